"""Whose addresses are one: what a single customer of a provider is given."""

from ipaddress import IPv6Address, ip_address, ip_network

IPV6_NETWORK_BITS = 64


def network_of(address: str) -> str:
    """The address itself, or the /64 of an IPv6 one, in which everybody has 2^64 to choose from.

    A text that is no address comes back as it is.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(ip_network((int(parsed), IPV6_NETWORK_BITS), strict=False))
    return address
