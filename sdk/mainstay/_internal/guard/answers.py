"""What the guard adds to a response: security headers, CORS, and how the limits stand."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mainstay._internal.guard.limits import SECOND_US, Standing
from mainstay._internal.guard.reading import Section

Headers = list[tuple[str, str]]

NONCE: Final = "{nonce}"
_FORBIDDEN_IN_HEADERS = ("\r", "\n", "\0")


@dataclass(frozen=True, slots=True)
class HeaderRules:
    """Headers that are set where the app did not set them, and headers that are removed."""

    set: tuple[tuple[str, str], ...]
    remove: frozenset[str]
    names: frozenset[str]
    has_nonce: bool


@dataclass(frozen=True, slots=True)
class CorsRules:
    """Which pages' scripts may call (Fetch standard, CORS protocol).

    ``preflight`` and ``actual`` are the headers for an allowed origin, less the origin itself.
    """

    origins: frozenset[str]
    credentials: bool
    preflight: tuple[tuple[str, str], ...]
    actual: tuple[tuple[str, str], ...]

    def headers(self, origin: str, *, preflight: bool = False) -> Headers:
        """Return the headers for a request of this origin; ``""`` is a request without one."""
        told: Headers = [("vary", "Origin")]
        if not origin:
            return told
        if origin in self.origins:
            told.append(("access-control-allow-origin", origin))
            if self.credentials:
                told.append(("access-control-allow-credentials", "true"))
        elif "*" in self.origins:
            # Everybody may read, but never what a person's cookies open.
            told.append(("access-control-allow-origin", "*"))
        else:
            return told
        told.extend(self.preflight if preflight else self.actual)
        return told


def read_headers(section: Section) -> HeaderRules:
    """Read the section ``headers``; raises ValueError for what cannot be a header."""
    pairs = tuple((name.lower(), value) for name, value in section.pairs("set"))
    for name, value in pairs:
        if not name.isascii() or " " in name or not value.isascii():
            raise section.fail("sets a header that is not plain ASCII")
        if any(c in name + value for c in _FORBIDDEN_IN_HEADERS):
            raise section.fail("sets a header with a line break")
    return HeaderRules(
        set=pairs,
        remove=frozenset(name.lower() for name in section.texts("remove")),
        names=frozenset(name for name, _ in pairs),
        has_nonce=any(NONCE in value for _, value in pairs),
    )


def read_cors(section: Section) -> CorsRules:
    """Read the section ``cors``."""
    preflight = (
        ("access-control-allow-methods", ", ".join(section.texts("methods"))),
        ("access-control-allow-headers", ", ".join(section.texts("headers"))),
        ("access-control-max-age", str(section.whole("maxAgeSeconds", 600))),
    )
    actual = (("access-control-expose-headers", ", ".join(section.texts("expose"))),)
    for _, value in preflight + actual:
        if not value.isascii() or any(c in value for c in _FORBIDDEN_IN_HEADERS):
            raise section.fail("has a name that cannot stand in a header")
    return CorsRules(
        origins=frozenset(section.texts("origins")),
        credentials=section.flag("credentials", default=False),
        preflight=tuple((name, value) for name, value in preflight if value),
        actual=tuple((name, value) for name, value in actual if value),
    )


def limit_headers(standings: Sequence[Standing]) -> Headers:
    """Say how the limits stand, in the fields of draft-ietf-httpapi-ratelimit-headers-11.

    ``t`` is the time until a limit is whole again, and for one that refused the time until the
    same request would pass. The older ``X-RateLimit-*`` tell of the tightest limit alone, with
    the reset in seconds from now.
    """
    if len(standings) == 1:
        tightest = standings[0]
        policies, states = tightest.limit.told, _state(tightest)
    else:
        tightest = min(standings, key=_tightness)
        policies = ", ".join(standing.limit.told for standing in standings)
        states = ", ".join(map(_state, standings))
    return [
        ("ratelimit-policy", policies),
        ("ratelimit", states),
        ("x-ratelimit-limit", str(tightest.limit.quota)),
        ("x-ratelimit-remaining", str(tightest.remaining)),
        ("x-ratelimit-reset", str(_reset_seconds(tightest))),
    ]


def whole_seconds(microseconds: int) -> int:
    """Return the seconds after which so many microseconds are surely over."""
    return -(-microseconds // SECOND_US)


def _tightness(standing: Standing) -> tuple[bool, int, int]:
    wait = standing.wait_us or 0
    return standing.admits, standing.remaining, -wait


def _reset_seconds(standing: Standing) -> int:
    return whole_seconds(standing.wait_us or standing.full_in_us)


def _state(standing: Standing) -> str:
    return f'"{standing.limit.name}";r={standing.remaining};t={_reset_seconds(standing)}'


def missing(wanted: Iterable[tuple[str, str]], present: set[str]) -> Headers:
    """Return the headers that the app did not set itself."""
    return [pair for pair in wanted if pair[0] not in present]


def with_nonce(rules: HeaderRules, nonce: str) -> Headers:
    """Return the headers that are set, with the nonce of this response."""
    return [(name, value.replace(NONCE, nonce)) for name, value in rules.set]


def new_nonce() -> str:
    """Return a value that nobody can guess (CSP Level 3 §8.1 asks for 128 bits)."""
    return secrets.token_urlsafe(16)
