"""Where Sentry and OpenTelemetry clients put an ingest key; reading it from a raw request."""

import base64
import binascii
import re
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

# Clients repeat the same few values; what is longer than any of theirs is not remembered.
MOST_REMEMBERED = 2048
LONGEST_REMEMBERED = 1000
KEY_LENGTH = 32

_IN_SENTRY_AUTH = re.compile(rb"(?:^|[\s,])sentry_key\s*=\s*\"?([^\s,\"]+)", re.IGNORECASE)
_IN_QUERY = re.compile(rb"(?:^|&)sentry_key=([^&]+)")


def keys_given(scope: MutableMapping[str, Any]) -> tuple[str, ...]:
    """The ingest keys in a raw ASGI request, the most specific place first; empty without any.

    The order is that of Sentry's own server: `X-Sentry-Auth`, then `Authorization` with the scheme
    Sentry, Basic (the user name) or Bearer, then the query parameter `sentry_key`.
    """
    sentry_auth = authorization = b""
    for name, value in scope["headers"]:
        if name == b"x-sentry-auth":
            sentry_auth = value
        elif name == b"authorization":
            authorization = value
    query: bytes = scope.get("query_string", b"")
    if len(sentry_auth) + len(authorization) + len(query) > LONGEST_REMEMBERED:
        return _keys_in.__wrapped__(sentry_auth, authorization, query)
    return _keys_in(sentry_auth, authorization, query)


@lru_cache(maxsize=MOST_REMEMBERED)
def key_and_number_in_dsn(dsn: str) -> tuple[str, int | None]:
    """The key and project number of a DSN; an empty key when it is none."""
    try:
        parts = urlsplit(dsn)
        number = parts.path.rstrip("/").rpartition("/")[2]
    except ValueError:
        return "", None
    return parts.username or "", int(number) if number.isascii() and number.isdigit() else None


@lru_cache(maxsize=MOST_REMEMBERED)
def _keys_in(sentry_auth: bytes, authorization: bytes, query: bytes) -> tuple[str, ...]:
    found = [*_IN_SENTRY_AUTH.findall(sentry_auth)[:1]]
    scheme, _, rest = authorization.strip().partition(b" ")
    if scheme.lower() == b"sentry":
        found += _IN_SENTRY_AUTH.findall(rest)[:1]
    elif scheme.lower() == b"basic":
        found.append(_user_name(rest))
    elif scheme.lower() == b"bearer":
        found.append(rest.strip())
    found += _IN_QUERY.findall(query)[:1]
    return tuple(key.decode("latin-1")[: KEY_LENGTH + 1] for key in found if key)


def _user_name(encoded: bytes) -> bytes:
    try:
        return base64.b64decode(encoded.strip()).partition(b":")[0]
    except (binascii.Error, ValueError):
        return b""
