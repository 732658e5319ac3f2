"""Refusals: what a request that may not pass is answered (RFC 9457), and the error that says so."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any, Final

from mainstay._internal.clock import rfc3339
from mainstay._internal.guard.answers import whole_seconds
from mainstay._internal.guard.limits import SECOND_US, Standing
from mainstay._internal.guard.policy import Ban, Meter

TOO_LARGE: Final = 413
CONTENT_TYPE: Final = "application/problem+json"
_REALM = 'Bearer realm="api"'
_INVALID_TOKEN = f'{_REALM}, error="invalid_token"'
# The registered types of draft-ietf-httpapi-ratelimit-headers-11.
_TYPES = "https://iana.org/assignments/http-problem-types#"
_QUOTA_EXCEEDED = f"{_TYPES}quota-exceeded"
_REDUCED_CAPACITY = f"{_TYPES}temporary-reduced-capacity"
_ABNORMAL_USAGE = f"{_TYPES}abnormal-usage-detected"
# Python before 3.13 has the older name.
_TITLES = {TOO_LARGE: "Content Too Large", 422: "Unprocessable Content"}
_AWAY_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with what was sent; ``pointer`` says where (RFC 6901, as ``#/…``)."""

    detail: str
    pointer: str = "#"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request may not pass; ``code`` is stable, ``detail`` says the next step."""

    status: int
    code: str
    detail: str
    type: str = "about:blank"
    violated: Sequence[str] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    errors: tuple[Fault, ...] = ()

    def body(self) -> bytes:
        """Return the problem document."""
        document: dict[str, Any] = {
            "type": self.type,
            "title": _TITLES.get(self.status, HTTPStatus(self.status).phrase),
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.violated is not None:
            document["violated-policies"] = list(self.violated)
        if self.errors:
            document["errors"] = [asdict(fault) for fault in self.errors]
        return json.dumps(document, separators=(",", ":")).encode()

    def all_headers(self, body: bytes) -> list[tuple[str, str]]:
        """Return the headers of the answer that has this body."""
        return [
            ("content-type", CONTENT_TYPE),
            ("content-length", str(len(body))),
            ("cache-control", "no-store"),
            *self.headers,
        ]


class Refused(Exception):
    """Raised into the app where it asked (a decorated route, a body that is read) and was refused.

    ``refusal`` says why: it has a ``status``, a ``code`` and a ``detail``. Let it pass: the guard
    answers in its place, whatever the framework makes of it.
    """

    def __init__(self, refusal: Refusal) -> None:
        # Not super(): what a framework's exception wants to be made with is its own affair.
        Exception.__init__(self, refusal.detail)
        self.refusal = refusal


def is_cause(refusal: Refusal | None, error: BaseException) -> bool:
    """Whether an error is what became of a refusal: itself, raised from it, or a group of it."""
    if refusal is None:
        return False
    if isinstance(error, Refused):
        return error.refusal is refusal
    inner: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    if error.__cause__ is not None:
        inner = (*inner, error.__cause__)
    return any(is_cause(refusal, one) for one in inner)


def _unauthorized(code: str, detail: str) -> Refusal:
    headers = (("www-authenticate", _INVALID_TOKEN),)
    return Refusal(401, code, detail, headers=headers)


KEY_MISSING: Final = Refusal(
    401,
    "key-missing",
    "This needs an API key; send it as Authorization: Bearer or as X-API-Key.",
    headers=(("www-authenticate", _REALM),),
)
KEY_MALFORMED: Final = _unauthorized(
    "key-malformed", "This is no API key of ours, or a mistyped one; copy it again as a whole."
)
KEY_UNKNOWN: Final = _unauthorized(
    "key-unknown", "This API key was revoked or never issued; ask for a new one."
)
KEY_EXPIRED: Final = _unauthorized("key-expired", "This API key has expired; ask for a new one.")
KEY_ADDRESS_NOT_ALLOWED: Final = Refusal(
    403,
    "key-address-not-allowed",
    "This API key may not be used from this address; call from one of its networks.",
)
ADDRESS_NOT_ALLOWED: Final = Refusal(
    403,
    "address-not-allowed",
    "This address is not on the allowlist; ask whoever runs this service to add it.",
)
GUARD_FAILED: Final = Refusal(
    503,
    "guard-failed",
    "The guard could not decide about this request; try again, and tell whoever runs this service.",
)


NO_POLICY: Final = Refusal(
    503,
    "no-policy",
    "This service has not been told yet whom it may let in; try again in a moment.",
    headers=(("retry-after", str(_AWAY_SECONDS)),),
)


def body_too_large(most_bytes: int) -> Refusal:
    """The body is longer than the policy allows."""
    return Refusal(TOO_LARGE, "body-too-large", f"The body may have {most_bytes} bytes; send less.")


def banned(ban: Ban, *, now: float) -> Refusal:
    """The address is banned; says why, and until when."""
    reason = f" for {ban.reason}" if ban.reason else ""
    if ban.until is None:
        detail = f"This address is banned{reason}; ask whoever runs this service to lift the ban."
        return Refusal(429, "banned", detail, type=_ABNORMAL_USAGE, violated=())
    wait = max(whole_seconds(int((ban.until - now) * SECOND_US)), 1)
    return Refusal(
        429,
        "banned",
        f"This address is banned{reason} until {rfc3339(ban.until)}.",
        type=_ABNORMAL_USAGE,
        violated=(),
        headers=(("retry-after", str(wait)),),
    )


def insufficient_scope(scopes: Sequence[str]) -> Refusal:
    """The key has not all of the scopes (RFC 6750 §3.1)."""
    wanted = " ".join(scopes)
    return Refusal(
        403,
        "insufficient-scope",
        f"This needs an API key with the scopes: {wanted}.",
        headers=(("www-authenticate", f'{_REALM}, error="insufficient_scope", scope="{wanted}"'),),
    )


def rate_limited(standings: Sequence[Standing]) -> Refusal:
    """Some limits are used up; the longest wait among them is the answer."""
    refusing = [standing for standing in standings if not standing.admits]
    names = [standing.limit.name for standing in refusing]
    waits = [standing.wait_us for standing in refusing if standing.wait_us is not None]
    if len(waits) < len(refusing):
        detail = f"This costs more than the limit ever allows: {', '.join(names)}."
        return Refusal(429, "rate-limited", detail, type=_QUOTA_EXCEEDED, violated=names)
    seconds = whole_seconds(max(waits))
    return Refusal(
        429,
        "rate-limited",
        f"Too many requests for the limit {', '.join(names)}; try again in {seconds} s.",
        type=_QUOTA_EXCEEDED,
        violated=names,
        headers=(("retry-after", str(seconds)),),
    )


def quota_exceeded(meter: Meter, *, now: float) -> Refusal:
    """A hard quota is used up until it resets."""
    headers: tuple[tuple[str, str], ...] = ()
    until = ""
    if meter.resets_at is not None:
        wait = max(whole_seconds(int((meter.resets_at - now) * SECOND_US)), 1)
        headers = (("retry-after", str(wait)),)
        until = f" until {rfc3339(meter.resets_at)}"
    return Refusal(
        429,
        "quota-exceeded",
        f"The quota of {meter.meter} is used up{until}; wait, or ask for a larger plan.",
        type=_QUOTA_EXCEEDED,
        violated=(meter.meter,),
        headers=headers,
    )


def limiter_unavailable(names: Sequence[str]) -> Refusal:
    """A limit that must be counted together cannot be, since the store is away."""
    return Refusal(
        503,
        "limiter-unavailable",
        "The limits cannot be counted at the moment; try again in a second.",
        type=_REDUCED_CAPACITY,
        violated=tuple(names),
        headers=(("retry-after", str(_AWAY_SECONDS)),),
    )
