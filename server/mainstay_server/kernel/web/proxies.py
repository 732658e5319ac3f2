"""Which peers are proxies of the operator, whose word about the client is believed."""

import ipaddress
from functools import lru_cache

MOST_REMEMBERED = 4096

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@lru_cache(maxsize=MOST_REMEMBERED)
def is_trusted(peer: str, trusted: str) -> bool:
    """Whether a peer is in the comma-separated addresses and networks; `*` is everybody."""
    if trusted.strip() == "*":
        return True
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in _networks(trusted))


@lru_cache(maxsize=8)
def _networks(trusted: str) -> tuple[Network, ...]:
    found: list[Network] = []
    for text in trusted.split(","):
        try:
            found.append(ipaddress.ip_network(text.strip(), strict=False))
        except ValueError:  # noqa: PERF203 - read once
            continue  # a name such as a Unix socket's, which no peer of ours has
    return tuple(found)
