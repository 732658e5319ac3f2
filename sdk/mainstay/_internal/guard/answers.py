"""What the guard adds to a response: security headers, CORS, and how the limits stand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mainstay._internal.guard.limits import SECOND_US, Standing
from mainstay._internal.guard.reading import MOST, Section

Headers = list[tuple[str, str]]

# The fields of draft-ietf-httpapi-ratelimit-headers-11, and those that came before them.
LIMIT_FIELDS: Final = (
    "ratelimit-policy",
    "ratelimit",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
)
NONCE: Final = "{nonce}"
_FORBIDDEN_IN_HEADERS = ("\r", "\n", "\0")


@dataclass(frozen=True, slots=True)
class HeaderRules:
    """Headers that are set where the app did not set them, and headers that are removed."""

    set: tuple[tuple[str, str], ...]
    remove: frozenset[str]


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
    origins = frozenset(section.texts("origins"))
    if not all(origin.isascii() for origin in origins):
        raise section.fail("has an origin that is not plain ASCII; write xn--… for such a host")
    return CorsRules(
        origins=origins,
        credentials=section.flag("credentials", default=False),
        preflight=tuple((name, value) for name, value in preflight if value),
        actual=tuple((name, value) for name, value in actual if value),
    )


def whole_seconds(microseconds: int) -> int:
    """Return the seconds after which so many microseconds are surely over."""
    return -(-microseconds // SECOND_US)


def limit_headers(standings: Sequence[Standing]) -> tuple[str, ...]:
    """Say how the limits stand: the values of the fields in ``LIMIT_FIELDS``.

    ``t`` is the time until a limit is whole again. Where some refused, only those are told, and
    ``t`` is the time until the same request would pass, left out where that is never. The older
    ``X-RateLimit-*`` tell of the one that is nearest to its end, with the reset in seconds.
    """
    nearest, least = standings[0], MOST
    policies, states = [], []
    for standing in standings:
        limit, wait, remaining, full_in = standing
        if wait != 0:
            return _told_of_refusing(standings)
        policies.append(limit.told)
        states.append(f"{limit.state}{remaining};t={-(-full_in // SECOND_US)}")
        if remaining < least:
            nearest, least = standing, remaining
    return (
        ", ".join(policies),
        ", ".join(states),
        str(nearest.limit.quota),
        str(least),
        str(-(-nearest.full_in_us // SECOND_US)),
    )


def _told_of_refusing(standings: Sequence[Standing]) -> tuple[str, ...]:
    refusing = [standing for standing in standings if standing.wait_us != 0]
    states, longest = [], refusing[0]
    for standing in refusing:
        state = f"{standing.limit.state}{standing.remaining}"
        wait = standing.wait_us
        states.append(state if wait is None else f"{state};t={whole_seconds(wait)}")
        if wait is None or (longest.wait_us is not None and wait > longest.wait_us):
            longest = standing
    policies = ", ".join(standing.limit.told for standing in standings)
    told = (policies, ", ".join(states), str(longest.limit.quota), str(longest.remaining))
    return told if longest.wait_us is None else (*told, str(whole_seconds(longest.wait_us)))
