"""Networks: whose addresses are one, and whether one of many holds an address."""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
MOST_REMEMBERED = 8192
IPV6_NETWORK_BITS = 64
_MAPPED_BITS = 96


class Networks:
    """Many networks of both versions. Asking costs one look-up for each length of prefix in it.

    An IPv4 address that is written as IPv6 is the IPv4 address (RFC 4291, 2.5.5.2). Text that is
    no address is in no network.
    """

    __slots__ = ("_by_length",)

    def __init__(self, networks: Iterable[str]) -> None:
        found: dict[tuple[int, int], set[int]] = {}
        for text in networks:
            network = self.unmapped(ipaddress.ip_network(text, strict=False))
            shift = network.max_prefixlen - network.prefixlen
            bits = int(network.network_address) >> shift
            found.setdefault((network.version, shift), set()).add(bits)
        self._by_length = [(*key, frozenset(bits)) for key, bits in found.items()]

    def __bool__(self) -> bool:
        return bool(self._by_length)

    def __contains__(self, address: str) -> bool:
        version, number = _number(address)
        return any(version == of and number >> shift in bits for of, shift, bits in self._by_length)

    @staticmethod
    def unmapped(network: Network) -> Network:
        """A network of IPv4-mapped addresses as the IPv4 network that it stands for."""
        if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= _MAPPED_BITS:
            mapped = network.network_address.ipv4_mapped
            if mapped is not None:
                return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
        return network


@lru_cache(maxsize=MOST_REMEMBERED)
def network_of(address: str, ipv6_prefix_length: int = IPV6_NETWORK_BITS) -> str:
    """The address itself, or the /64 of an IPv6 one, in which everybody has 2^64 to choose from.

    An IPv4 address that is written as IPv6 is that IPv4 address. A text that is no address comes
    back as it is.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, ipaddress.IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), ipv6_prefix_length), strict=False))


@lru_cache(maxsize=MOST_REMEMBERED)
def shown(network: str) -> str:
    """A network as people write it: a single address without its prefix."""
    parsed = ipaddress.ip_network(network)
    return str(parsed[0]) if parsed.num_addresses == 1 else network


def _number(text: str) -> tuple[int, int]:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return 0, 0
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.version, int(mapped)
