"""One HTTP request of a check: how it is asked, and what makes its answer a good one."""

import base64
import json
import re
import time
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, SecretStr, field_validator
from typing_extensions import override

from mainstay_server.areas.health_checks.schemas.orders import ProviderConfig
from mainstay_server.areas.health_checks.schemas.places import filled
from mainstay_server.kernel import outbound
from mainstay_server.kernel.outbound import CookieJar, Response

MAX_BODY_BYTES = 64 * 1024
FIRST_FAILURE = 400
MOST_HEADERS = 50
HEADERS = {
    "user-agent": "Mainstay/1 (health check)",
    "accept": "application/json, */*;q=0.8",
    "cache-control": "no-cache",
}
_STATUSES = re.compile(r"([1-5]\d\d)(?:\s*-\s*([1-5]\d\d))?")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_OURS = frozenset({"content-length", "transfer-encoding", "connection", "cookie2"})
LONGEST_PEM = 32_000
Pem = Annotated[SecretStr, Field(max_length=LONGEST_PEM)]


class Asking(ProviderConfig):
    """How to ask one URL. In the URL, headers, body and user, `{{name}}` stands for a secret.

    `acceptedStatuses` are codes and ranges, such as `200-299`; without any, all below 400 are.
    `redirectTo` must be part of the address that a redirect leads to.
    """

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"
    headers: dict[str, Annotated[str, Field(max_length=4_000)]] = Field(
        default_factory=dict, max_length=MOST_HEADERS
    )
    body: Annotated[str, Field(max_length=MAX_BODY_BYTES)] = ""
    accepted_statuses: list[str] = Field(default_factory=list, max_length=20)
    follow_redirects: bool = True
    max_redirects: Annotated[int, Field(ge=0, le=20)] = 5
    redirect_to: Annotated[str, Field(max_length=2_000)] = ""
    verify_tls: bool = True
    ip_version: Literal["any", "4", "6"] = "any"

    @field_validator("headers")
    @classmethod
    def _named_as_http_allows(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not _TOKEN.fullmatch(name) or name.lower() in _NOT_OURS:
                raise ValueError(f"has a header {name[:40]!r} that cannot be set")
            if any(ord(letter) < ord(" ") and letter != "\t" for letter in value):
                raise ValueError(f"has a line end in the header {name}")
        return headers

    @field_validator("accepted_statuses")
    @classmethod
    def _codes_and_ranges(cls, statuses: list[str]) -> list[str]:
        for text in statuses:
            _range_of(text)
        return statuses

    @property
    def texts(self) -> tuple[str, ...]:
        """What may hold places for secrets and variables, besides the URL."""
        return (self.body, *self.headers.values())

    def accepts(self, status: int) -> bool:
        """Whether the status is a good one."""
        if self.accepted_statuses:
            ranges = (_range_of(text) for text in self.accepted_statuses)
            return any(first <= status <= last for first, last in ranges)
        return status < FIRST_FAILURE


async def send(  # noqa: PLR0913 - what, where to, with what, and how long
    asking: Asking,
    url: str,
    *,
    values: Mapping[str, str],
    timeout_seconds: float,
    authorization: str = "",
    client_pem: str = "",
    jar: CookieJar | None = None,
) -> Response:
    """Send the request and return its answer, at most 64 KiB of it.

    Raises `OutboundError`, and `NotFilled` for a place without a value.
    """
    return await outbound.fetch(
        asking.method,
        filled(url, values),
        headers=_headers(asking, values, authorization),
        body=filled(asking.body, values).encode() or None,
        timeout_seconds=timeout_seconds,
        max_body_bytes=MAX_BODY_BYTES,
        follow_redirects=asking.follow_redirects,
        max_redirects=asking.max_redirects,
        verify_tls=asking.verify_tls,
        ip_version=None if asking.ip_version == "any" else int(asking.ip_version),
        client_pem=client_pem,
        jar=jar,
        limited=False,  # the watch keeps a room per host, which those that hang do not fill
    )


def fault_of(asking: Asking, response: Response) -> str:
    """What is wrong with the answer by status and by where it led; empty when nothing is."""
    if not asking.accepts(response.status):
        wanted = ", ".join(asking.accepted_statuses)
        return f"answered {response.status}{f', not {wanted}' if wanted else ''}"
    led = response.url if asking.follow_redirects else response.headers.get("location", "")
    if asking.redirect_to and asking.redirect_to not in led:
        return f"leads to {safe_url(led) or 'no other address'}, not to {asking.redirect_to}"
    return ""


def values_of(response: Response) -> dict[str, object]:
    """What conditions may speak of."""
    return {
        "STATUS": response.status,
        "HEADER": response.headers,
        "BODY": response.body,
        "SIZE": len(response.body),
        "IP": response.remote_address,
        "REDIRECTS": response.redirects,
    }


def safe_url(url: str) -> str:
    """The URL without a user and a password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def basic(pair: str) -> str:
    """The authorization of `user:password` (RFC 7617); empty for an empty pair."""
    return "Basic " + base64.b64encode(pair.encode()).decode() if pair else ""


def remaining(until: float) -> float:
    """Seconds left until a moment of the monotonic clock, never less than a moment."""
    return max(until - time.monotonic(), 0.05)


def _headers(asking: Asking, values: Mapping[str, str], authorization: str) -> dict[str, str]:
    given = {name.lower(): filled(text, values) for name, text in asking.headers.items()}
    made = {**HEADERS, **given}
    if authorization:
        made["authorization"] = authorization
    if asking.body and "content-type" not in made:
        made["content-type"] = "application/json" if _is_json(asking.body) else "text/plain"
    return made


def _is_json(body: str) -> bool:
    """Whether a body is JSON once its places hold something."""
    try:
        json.loads(filled(body, _Anything()))
    except ValueError:
        return False
    return True


class _Anything(dict[str, str]):
    @override
    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return "0"


def _range_of(text: str) -> tuple[int, int]:
    found = _STATUSES.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"has {text[:20]!r}, which is no status such as 204 or 200-299")
    return int(found.group(1)), int(found.group(2) or found.group(1))
