"""Rate limits: GCRA on integer microseconds, and the buckets that it is counted in."""

import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from mainstay._internal.guard.paths import Patterns
from mainstay._internal.guard.reading import MOST, Section

SECOND_US: Final = 1_000_000
# Further ahead than its tolerance and this, a bucket was written before the clock was set back.
SET_BACK_US: Final = 60 * SECOND_US
LOCAL, DENY, ALLOW = "local", "deny", "allow"
BY: Final = ("caller", "key", "address", "owner", "plan", "instance", "person")
_UNITS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_SPOKEN = re.compile(r"([0-9]{1,12}) ?/ ?([0-9]{0,6}) ?(second|minute|hour|day)s?")
# How many of the oldest buckets are looked at for each new one.
_LOOKED_AT = 2
_LOOKED_AT_WHEN_FULL = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One policy of the limiter: ``quota`` in ``window_seconds``, ``burst`` of them at once.

    ``key`` begins the names of its buckets, ``name`` is what clients are told, ``told`` is its
    item of ``RateLimit-Policy``, and ``state`` begins its item of ``RateLimit``. ``unit_us`` is
    what a request of cost 1 takes. ``simulate`` counts and reports, but refuses nobody.
    """

    key: str
    name: str
    quota: int
    window_seconds: int
    burst: int
    by: str = "caller"
    cost: int = 1
    on_backend_error: str = LOCAL
    simulate: bool = False
    methods: frozenset[str] = frozenset()
    paths: Patterns = field(default_factory=lambda: Patterns(("/*",)))
    plans: frozenset[str] = frozenset()
    interval_us: int = field(init=False)
    tolerance_us: int = field(init=False)
    unit_us: int = field(init=False)
    told: str = field(init=False)
    state: str = field(init=False)

    def holds_for(self, method: str) -> bool:
        """Whether it counts requests with this method."""
        return not self.methods or method in self.methods

    def __post_init__(self) -> None:
        # T, how long until one more is allowed; tau, how far a bucket may run ahead of the clock.
        interval_us = -(-self.window_seconds * SECOND_US // self.quota)
        object.__setattr__(self, "interval_us", interval_us)
        object.__setattr__(self, "tolerance_us", interval_us * self.burst)
        object.__setattr__(self, "unit_us", interval_us * self.cost)
        told = f'"{self.name}";q={self.quota};w={self.window_seconds}'
        object.__setattr__(self, "told", told)
        object.__setattr__(self, "state", f'"{self.name}";r=')


def read_limit(section: Section, *, name: str | None = None) -> Limit:
    """Read a limit of the policy, or one of a key, which has no name of its own."""
    quota = section.whole("quota", least=1)
    paths = section.texts("paths")
    limit_name = section.text("name", name)
    limit = Limit(
        key=f"policy:{limit_name}",
        name=quotable(limit_name),
        quota=quota,
        window_seconds=section.whole("windowSeconds", least=1),
        burst=section.whole("burst", quota, least=1),
        by=section.one_of("by", BY, "caller"),
        cost=section.whole("cost", 1),
        on_backend_error=section.one_of("onBackendError", (LOCAL, DENY, ALLOW), LOCAL),
        simulate=section.flag("simulate", default=False),
        methods=frozenset(section.texts("methods")),
        paths=Patterns(paths or ("/*",)),
        plans=frozenset(section.texts("plans")),
    )
    if limit.tolerance_us > MOST:
        raise section.fail("allows a burst that takes centuries")
    return limit


def spoken_limit(text: str, *, key: str, name: str, by: str, cost: int) -> Limit:
    """Read a limit as people write it: ``5/hour``, ``100/minute``, ``1000/15 minutes``.

    Raises ValueError with what is wrong.
    """
    match = _SPOKEN.fullmatch(text.strip().lower())
    if match is None or 0 in (int(match[1]), int(match[2] or 1)):
        raise ValueError(f"{text!r} is no limit; write for example '5/hour' or '100/15 minutes'")
    if by not in BY:
        raise ValueError(f"{by!r} is nothing to count by; it is one of {', '.join(BY)}")
    if cost < 0:
        raise ValueError("a cost is 0 or more")
    quota = int(match[1])
    window = int(match[2] or 1) * _UNITS[match[3]]
    limit = Limit(
        key=key,
        name=quotable(name),
        quota=quota,
        window_seconds=window,
        burst=quota,
        by=by,
        cost=cost,
    )
    if limit.tolerance_us > MOST:
        raise ValueError(f"{text!r} takes centuries")
    return limit


def quotable(name: str) -> str:
    """Return a name that fits into a header's string (RFC 9651 §3.3.3) as it is."""
    return "".join(c for c in name if " " <= c <= "~" and c not in '"\\')[:100]


@dataclass(frozen=True, slots=True)
class Charge:
    """What one limit takes for one request: ``amount_us`` into the bucket; negative gives back."""

    limit: Limit
    bucket: str
    amount_us: int
    tolerance_us: int


class Standing(NamedTuple):
    """How a limit stands after a decision.

    ``wait_us`` is 0 where it admits, else the time until the same would be admitted, and None
    where that will never be. ``full_in_us`` is the time until nothing of it is used.
    """

    limit: Limit
    wait_us: int | None
    remaining: int
    full_in_us: int

    @property
    def admits(self) -> bool:
        """Whether this limit alone would let the request pass."""
        return self.wait_us == 0


class Decision(NamedTuple):
    """What all limits together said.

    ``standings`` are those of the limits in force, ``simulated`` of those that only watch;
    ``unavailable`` names limits that could not be asked.
    """

    admitted: bool
    standings: Sequence[Standing] = ()
    simulated: Sequence[Standing] = ()
    unavailable: Sequence[str] = ()


# What a named tuple's own constructor does, at half its cost; see Buckets.decide.
_made: Final = tuple.__new__

NO_LIMITS: Final = Decision(admitted=True)


def standing_of(charge: Charge, ahead_us: int, *, admitted: bool) -> Standing:
    """Say how a bucket stands that is so far ahead of the clock after the decision."""
    limit, amount, tolerance = charge.limit, charge.amount_us, charge.tolerance_us
    wait: int | None = 0
    if not admitted:
        wait = ahead_us + amount - tolerance if amount <= tolerance else None
    left = tolerance - ahead_us
    return Standing(limit, wait, left // limit.interval_us if left > 0 else 0, ahead_us)


class Buckets:
    """The limiter's memory: at most ``most`` buckets, shared by all threads.

    A bucket is forgotten when nothing of its limit is used any more. When all places are taken,
    the fullest stay: of the eight oldest, the one with the least of its limit used gives way. An
    attacker with many addresses therefore pushes out buckets that are as little used as his
    own, and a bucket that is used up only by using up as many others.
    """

    def __init__(self, most: int) -> None:
        self._most = max(most, _LOOKED_AT_WHEN_FULL)
        self._tats: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._tats)

    def decide(self, charges: Sequence[Charge], now_us: int) -> Decision:
        """Charge all of them or none; a simulated limit is charged by itself and stops nobody."""
        with self._lock:
            tats, admitted = self._tats, True
            afters: list[int] = []
            for charge in charges:
                found, after = tats.get(charge.bucket), charge.amount_us
                if found is not None and 0 < found[0] - now_us <= found[1] + SET_BACK_US:
                    after += found[0] - now_us
                afters.append(after)
                if after > charge.tolerance_us and not charge.limit.simulate:
                    admitted = False
            standings: list[Standing] = []
            simulated: list[Standing] = []
            for charge, after in zip(charges, afters):  # noqa: B905 - one for each, from above
                limit, tolerance = charge.limit, charge.tolerance_us
                if after <= tolerance and (admitted or limit.simulate):
                    standing = self._charged(charge, max(after, 0), now_us)
                else:
                    before = after - charge.amount_us
                    standing = standing_of(charge, before, admitted=after <= tolerance)
                (simulated if limit.simulate else standings).append(standing)
            return _made(Decision, (admitted, standings, simulated, ()))

    def _charged(self, charge: Charge, after: int, now_us: int) -> Standing:
        bucket, tolerance = charge.bucket, charge.tolerance_us
        if after > 0 and bucket in self._tats:
            self._tats[bucket] = (now_us + after, tolerance)
        else:
            self._put(bucket, now_us + after, tolerance, now_us)
        limit = charge.limit
        return _made(Standing, (limit, 0, (tolerance - after) // limit.interval_us, after))

    def learn(self, bucket: str, tat: int, tolerance_us: int, now_us: int) -> None:
        """Take over how a bucket stands in the shared store, for when that is away."""
        with self._lock:
            self._put(bucket, tat, tolerance_us, now_us)

    def renew_lock(self) -> None:
        """Take a lock of this process, because a thread of the parent may have held the old one."""
        self._lock = threading.Lock()

    def _put(self, bucket: str, tat: int, tolerance_us: int, now_us: int) -> None:
        if tat <= now_us:
            self._tats.pop(bucket, None)
            return
        if bucket not in self._tats:
            self._make_room(now_us)
        self._tats[bucket] = (tat, tolerance_us)

    def _make_room(self, now_us: int) -> None:
        """Look at the oldest buckets: forget those that are over, and one more if all are full."""
        full = len(self._tats) >= self._most
        emptiest, least = "", 2.0
        for _ in range(_LOOKED_AT_WHEN_FULL if full else min(_LOOKED_AT, len(self._tats))):
            bucket, (tat, tolerance) = self._tats.popitem(last=False)
            if tat > now_us:
                self._tats[bucket] = (tat, tolerance)
                used = (tat - now_us) / tolerance
                if used < least:
                    emptiest, least = bucket, used
        if len(self._tats) >= self._most:
            del self._tats[emptiest]
