"""Which peers are proxies of the operator, whose word about the client is believed."""

import ipaddress
from contextlib import suppress
from functools import lru_cache

from mainstay_server.kernel.networks import Networks


def is_trusted(peer: str, trusted: str) -> bool:
    """Whether a peer is in the comma-separated addresses and networks; `*` is everybody."""
    return trusted.strip() == "*" or peer in _networks(trusted)


@lru_cache(maxsize=8)
def _networks(trusted: str) -> Networks:
    found = []
    for text in trusted.split(","):
        with suppress(ValueError):  # a name such as a Unix socket's, which no peer of ours has
            found.append(str(ipaddress.ip_network(text.strip(), strict=False)))
    return Networks(found)
