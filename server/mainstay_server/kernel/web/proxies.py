"""Which peers are proxies of the operator, whose word about the client is believed."""

import ipaddress
from collections.abc import MutableMapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

from mainstay_server.kernel.networks import Networks


def is_trusted(peer: str, trusted: str) -> bool:
    """Whether a peer is in the comma-separated addresses and networks; `*` is everybody."""
    return trusted.strip() == "*" or peer in _networks(trusted)


def client_address(scope: MutableMapping[str, Any], trusted: str) -> str:
    """Who sent a raw ASGI request: the peer, or whom the operator's proxies say they speak for.

    Of `X-Forwarded-For` the last address counts that is no proxy of ours: what stands before it
    was written by whoever it names.
    """
    client = scope.get("client")
    address = str(client[0]) if client else ""
    if not is_trusted(address, trusted):
        return address
    for name, value in scope["headers"]:
        if name == b"x-forwarded-for":
            for hop in reversed(value.decode("latin-1").split(",")):
                address = hop.strip() or address
                if not is_trusted(address, trusted):
                    break
    return address


@lru_cache(maxsize=8)
def _networks(trusted: str) -> Networks:
    found = []
    for text in trusted.split(","):
        with suppress(ValueError):  # a name such as a Unix socket's, which no peer of ours has
            found.append(str(ipaddress.ip_network(text.strip(), strict=False)))
    return Networks(found)
