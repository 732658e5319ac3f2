"""What people may say of a key: cleaned, or refused by name with the next step."""

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from mainstay_server.areas.api_keys.schemas import (
    LONGEST_OWNER,
    LONGEST_PLAN,
    PATH_PATTERN,
    SCOPE_PATTERN,
    KeyLimit,
)
from mainstay_server.kernel.limits import Rate
from mainstay_server.kernel.problems import Invalid

LONGEST_NAME = 100
MOST_METADATA_BYTES = 4096

_SCOPE = re.compile(SCOPE_PATTERN)
_PATH = re.compile(PATH_PATTERN)
_METHOD = re.compile(r"[A-Z]{1,20}")


def invalid(field: str, reason: str) -> Invalid:
    """The refusal of one field; `reason` follows its name and ends with the next step."""
    return Invalid(f"{field} {reason}.", errors=[{"field": field, "message": reason}])


def clean_name(name: str) -> str:
    """A name of 1 to 100 characters on one line."""
    clean = one_line(name)
    if not 1 <= len(clean) <= LONGEST_NAME:
        raise invalid("name", f"must have 1 to {LONGEST_NAME} characters; say what the key is for")
    return clean


def clean_owner(owner: str) -> str:
    """Whose key it is, in the project's own words; empty stays empty."""
    clean = one_line(owner)
    if len(clean) > LONGEST_OWNER:
        raise invalid("owner", f"must have at most {LONGEST_OWNER} characters; shorten it")
    return clean


def clean_plan(plan: str) -> str:
    """The name of a plan; empty stays empty."""
    clean = one_line(plan)
    if len(clean) > LONGEST_PLAN:
        raise invalid("plan", f"must have at most {LONGEST_PLAN} characters; shorten it")
    return clean


def clean_scopes(scopes: Iterable[str], *, field: str = "scopes") -> list[str]:
    """Scopes of the form `resource:action`, each once, in the order given."""
    for scope in scopes:
        if not _SCOPE.fullmatch(scope):
            raise invalid(
                field,
                f"has {scope[:50]!r}; write a resource and an action in lower case, such as"
                " insight:read",
            )
    return list(dict.fromkeys(scopes))


def clean_networks(networks: Iterable[str]) -> list[str]:
    """Addresses and networks in their usual form, each once; IPv4 in IPv6 becomes IPv4."""
    return list(dict.fromkeys(_clean_network(text.strip()) for text in networks))


def clean_limits(limits: Sequence[KeyLimit]) -> list[dict[str, Any]]:
    """Limits as the policy tells them, one for each window; each can be counted."""
    if len({limit.window_seconds for limit in limits}) != len(limits):
        raise invalid("limits", "has two for one window; keep the smaller of them")
    try:
        for limit in limits:
            Rate(limit.quota, limit.window_seconds, limit.quota)
    except ValueError as error:
        raise invalid("limits", f"cannot be counted: {error}; choose another one") from None
    return [limit.model_dump(by_alias=True) for limit in limits]


def clean_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object of at most 4 KiB."""
    size = len(json.dumps(metadata, ensure_ascii=False, allow_nan=False).encode())
    if size > MOST_METADATA_BYTES:
        raise invalid("metadata", f"has {size} bytes; keep it within {MOST_METADATA_BYTES}")
    return dict(metadata)


def clean_expiry(expires_at: datetime | None, *, now: datetime) -> datetime | None:
    """A time that is still to come, or none."""
    if expires_at is not None and expires_at <= now:
        raise invalid("expiresAt", "is in the past; choose a later time or leave it out")
    return expires_at


def clean_paths(paths: Iterable[str], *, field: str) -> list[str]:
    """Exact paths, or prefixes before a final `*`, each once."""
    clean = [path.strip() for path in paths]
    for path in clean:
        if not _PATH.fullmatch(path):
            raise invalid(
                field,
                f"has {path[:60]!r}; write a path such as /api/health, or /api/* for a prefix",
            )
    return list(dict.fromkeys(clean))


def clean_methods(methods: Iterable[str], *, field: str) -> list[str]:
    """HTTP methods in capitals, each once; none means all."""
    clean = [method.strip().upper() for method in methods]
    for method in clean:
        if not _METHOD.fullmatch(method):
            raise invalid(field, f"has {method[:30]!r}; write a method such as GET")
    return list(dict.fromkeys(clean))


def _clean_network(text: str) -> str:
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError:
        raise invalid(
            "networks", f"has {text[:60]!r}; write an address or a network such as 203.0.113.0/24"
        ) from None
    if interface.ip != interface.network.network_address:
        raise invalid(
            "networks",
            f"has {text[:60]!r}, which names one address and a whole network; write"
            f" {interface.network} for the network or {interface.ip} for the address",
        )
    network = interface.network
    if isinstance(network, ipaddress.IPv6Network):
        mapped = network.network_address.ipv4_mapped
        if mapped is not None and network.prefixlen >= 96:  # noqa: PLR2004 - ::ffff:0:0/96
            return str(ipaddress.ip_network((mapped, network.prefixlen - 96)))
    return str(network)


def one_line(text: str) -> str:
    """Without line ends, control characters and runs of spaces."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
