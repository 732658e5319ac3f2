"""Client addresses: read them, find their networks, and tell the true one behind proxies."""

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Final, Generic, NamedTuple, TypeVar

_V = TypeVar("_V")

_BITS = {4: 32, 6: 128}
_MAPPED_PREFIX = 96
# Longer than every address with zone, brackets and port.
_LONGEST = 80
_IPV6_LOOPBACK = 1
_IPV4_LOOPBACK_NET = 127


class Address(NamedTuple):
    """An address in its one form; ``version`` is 0 when the text was none."""

    text: str
    version: int
    number: int

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine; what has no address (a Unix socket) is too."""
        if self.version == 4:  # noqa: PLR2004 - IPv4
            return self.number >> 24 == _IPV4_LOOPBACK_NET
        return self.text == "" or (self.version == 6 and self.number == _IPV6_LOOPBACK)  # noqa: PLR2004 - IPv6

    def bucket(self, ipv6_prefix_length: int) -> str:
        """The name it is counted under: the whole IPv4 address, the network of an IPv6 one."""
        if self.version != 6 or ipv6_prefix_length >= _BITS[6]:  # noqa: PLR2004 - IPv6
            return self.text
        shift = _BITS[6] - ipv6_prefix_length
        return f"{ipaddress.IPv6Address(self.number >> shift << shift)}/{ipv6_prefix_length}"


NOBODY: Final = Address("", 0, 0)


def read_address(text: str) -> Address:
    """Read an address as servers and proxies write it: with a port, in brackets, with a zone.

    IPv4 written as IPv6 (``::ffff:203.0.113.7``) is IPv4. A text that is no address comes back
    as it was, with the version 0.
    """
    bare = text[:_LONGEST].strip().strip('"')
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return Address(bare, 0, 0)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return Address(str(address), address.version, int(address))


class Networks(Generic[_V]):
    """Networks and what is known of each.

    A look-up costs one dict access for each different prefix length, however many networks
    there are. Raises ValueError for a text that is no network.
    """

    def __init__(self, known: Iterable[tuple[str, _V]]) -> None:
        self._tables: dict[int, dict[int, dict[int, list[_V]]]] = {4: {}, 6: {}}
        for text, value in known:
            version, number, prefix = _read_network(text)
            shift = _BITS[version] - prefix
            table = self._tables[version].setdefault(shift, {})
            table.setdefault(number >> shift, []).append(value)

    def __contains__(self, address: Address) -> bool:
        return next(self.of(address), None) is not None

    def of(self, address: Address) -> Iterator[_V]:
        """Return what is known of every network that holds the address."""
        for shift, table in self._tables.get(address.version, {}).items():
            yield from table.get(address.number >> shift, ())


def _read_network(text: str) -> tuple[int, int, int]:
    network = ipaddress.ip_network(text, strict=False)
    number, prefix = int(network.network_address), network.prefixlen
    if isinstance(network, ipaddress.IPv6Network) and prefix >= _MAPPED_PREFIX:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return 4, int(mapped), prefix - _MAPPED_PREFIX
    return network.version, number, prefix


def forwarded_entries(x_forwarded_for: str, forwarded: str) -> list[str]:
    """Return the addresses that proxies wrote, the client's first.

    ``X-Forwarded-For`` if there is one, else the ``for`` of RFC 7239's ``Forwarded``.
    """
    if x_forwarded_for:
        return x_forwarded_for.split(",")
    return [_forwarded_for(element) for element in _split(forwarded, ",")] if forwarded else []


def _forwarded_for(element: str) -> str:
    for pair in _split(element, ";"):
        name, _, value = pair.partition("=")
        if name.strip().lower() == "for":
            return value.strip().strip('"')
    return ""


def _split(text: str, separator: str) -> list[str]:
    """Split outside of quoted strings (RFC 9110 §5.6.4)."""
    parts, quoted, start = [], False, 0
    for index, character in enumerate(text):
        if character == '"' and text[index - 1 : index] != "\\":
            quoted = not quoted
        elif character == separator and not quoted:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return parts
