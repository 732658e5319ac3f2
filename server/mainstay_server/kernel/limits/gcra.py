"""The arithmetic of limits: GCRA, the generic cell rate algorithm, on whole microseconds.

A bucket is one number, the theoretical arrival time (`tat`) of the next request of one that keeps
exactly to its rate. `wire/guard/limits.json` holds the formulas and traces of them to the
microsecond; they come from ITU-T I.371, annex A.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import msgspec

SECOND_US = 1_000_000
MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The period is rounded up to whole microseconds: at this speed that is a hundredth of the rate.
MOST_PER_SECOND = 10_000
LONGEST_WINDOW_SECONDS = 366 * 86_400
# A tat stays below 2^53, where the doubles of Redis' Lua stop being exact, for 200 years.
LONGEST_BURST_SECONDS = 10 * 366 * 86_400
LONGEST_KEY = 200
# A full bucket and none are the same, unless a clock is set back: they are kept for that long.
KEPT_FULL_US = 60 * SECOND_US
# No clock that only goes forward leaves a tat further ahead than the tolerance. One that is so much
# further was written before the clock was set back, and counts as none: nobody waits for a day. A
# little further is no more than threads and machines that are not quite of one time.
SET_BACK_US = 60 * SECOND_US


class OnError(StrEnum):
    """What holds while the store of the buckets is away."""

    LOCAL = "local"
    DENY = "deny"
    ALLOW = "allow"


class Rate(msgspec.Struct, frozen=True):
    """So many (`quota`) in so many seconds, evenly; `burst` of them may come at once."""

    quota: int
    window_seconds: int
    burst: int
    period_us: int = 0
    tolerance_us: int = 0

    def __post_init__(self) -> None:
        """Work out what every verdict needs; raises `ValueError` for a rate that cannot be."""
        if not 1 <= self.quota <= self.window_seconds * MOST_PER_SECOND:
            raise ValueError(f"a quota is at least 1 and at most {MOST_PER_SECOND:,} a second")
        if not 1 <= self.window_seconds <= LONGEST_WINDOW_SECONDS:
            raise ValueError("a window has 1 second to 366 days")
        period_us = -(-self.window_seconds * SECOND_US // self.quota)
        if not 1 <= self.burst * period_us <= LONGEST_BURST_SECONDS * SECOND_US:
            raise ValueError("a burst is at least 1 and at most what comes together in 10 years")
        msgspec.structs.force_setattr(self, "period_us", period_us)
        msgspec.structs.force_setattr(self, "tolerance_us", period_us * self.burst)


# Verdicts are made hundreds of thousands of times a second: structs cost a quarter of a dataclass.
class Bucket(msgspec.Struct, frozen=True, gc=False):
    """One count that a request is charged to, `cost` times what the request costs.

    A key names it everywhere. It holds the rate and whom it is about: a policy that is changed
    begins with full buckets, so that nobody waits by a rule that is gone.
    """

    key: str
    rate: Rate
    cost: int = 1
    on_error: OnError = OnError.LOCAL


class Standing(msgspec.Struct, frozen=True, gc=False):
    """How one bucket stands after a verdict.

    `retry_after_us` is 0 where it admits, and None where the cost never fits. `full_in_us` is when
    the whole burst is there again.
    """

    remaining: int
    retry_after_us: int | None
    full_in_us: int


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """One decision about all of its buckets, and how each stands, in their order.

    `degraded` says that the shared store was away and the buckets' `on_error` decided; `denied`
    that one of them then lets nobody pass.
    """

    admitted: bool
    standings: tuple[Standing, ...]
    degraded: bool = False
    denied: bool = False

    @property
    def violated(self) -> tuple[int, ...]:
        """The places of the buckets that do not admit."""
        return tuple(i for i, each in enumerate(self.standings) if each.retry_after_us != 0)

    @property
    def retry_after_us(self) -> int | None:
        """When all of them would admit, if nobody else came; None if never."""
        longest = 0
        for each in self.standings:
            if each.retry_after_us is None:
                return None
            longest = max(longest, each.retry_after_us)
        return longest


def judge(
    buckets: Sequence[Bucket], ahead_us: Sequence[int], *, cost: int, admitted: bool
) -> Verdict:
    """How buckets stand that run so far ahead of the clock, charged exactly if admitted."""
    if admitted:
        return Verdict(
            admitted=True,
            standings=tuple(
                [
                    Standing((bucket.rate.tolerance_us - ahead) // bucket.rate.period_us, 0, ahead)
                    for bucket, ahead in zip(buckets, ahead_us, strict=True)
                ]
            ),
        )
    standings = []
    for bucket, ahead in zip(buckets, ahead_us, strict=True):
        rate = bucket.rate
        left = rate.tolerance_us - ahead
        charge = rate.period_us * bucket.cost * cost
        retry_us = None if charge > rate.tolerance_us else max(charge - left, 0)
        standings.append(Standing(max(left, 0) // rate.period_us, retry_us, ahead))
    return Verdict(admitted=False, standings=tuple(standings))


def charge_of(bucket: Bucket, cost: int) -> int:
    """What a request of that cost moves the bucket's tat by, cut to what can never fit."""
    rate = bucket.rate
    charge = rate.period_us * bucket.cost * cost
    return charge if charge <= rate.tolerance_us else rate.tolerance_us + 1


def microseconds(moment: datetime) -> int:
    """An instant as whole microseconds since 1970."""
    return (moment - EPOCH) // MICROSECOND


def bucket_key(scope: str, rate: Rate, *about: str) -> str:
    """The key of a bucket of a rule (`scope`) about somebody; whoever is long is digested."""
    whom = "|".join(about)
    key = f"{scope}|{rate.period_us}|{rate.tolerance_us}|{whom}"
    return key if len(key) <= LONGEST_KEY else f"{scope}|{hashlib.sha256(key.encode()).hexdigest()}"
