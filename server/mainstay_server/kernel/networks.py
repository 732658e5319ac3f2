"""Whose addresses are one: what a single customer of a provider is given."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

IPV6_NETWORK_BITS = 64


@lru_cache(maxsize=8192)
def network_of(address: str, ipv6_prefix_length: int = IPV6_NETWORK_BITS) -> str:
    """The address itself, or the /64 of an IPv6 one, in which everybody has 2^64 to choose from.

    An IPv4 address that is written as IPv6 is that IPv4 address. A text that is no address comes
    back as it is.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((int(parsed), ipv6_prefix_length), strict=False))
