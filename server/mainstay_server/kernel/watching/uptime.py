"""Uptime: arithmetic over spells, true to the microsecond, never a count of results."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .spells import Spell
from .states import KNOWN, UP, State
from .windows import Span

NONE = timedelta()


@dataclass(frozen=True, kw_only=True)
class Uptime:
    """How long each state lasted within a range, outside of maintenance, and how long that took."""

    lasted: Mapping[State, timedelta]
    maintenance: timedelta = field(default=NONE)

    @property
    def known(self) -> timedelta:
        """The time in which we were watching: our own outages and pauses are not in it."""
        return sum((self.lasted[state] for state in KNOWN), NONE)

    @property
    def percent(self) -> float | None:
        """Up time in percent of known time, 0 to 100; None when nothing is known."""
        if not self.known:
            return None
        return sum((self.lasted[state] for state in UP), NONE) / self.known * 100

    @property
    def coverage(self) -> float | None:
        """Known time in percent of all time outside of maintenance; None without any."""
        whole = sum(self.lasted.values(), NONE)
        return self.known / whole * 100 if whole else None

    def __add__(self, other: "Uptime") -> "Uptime":
        """The uptime over both of two ranges that do not overlap."""
        return Uptime(
            lasted={state: self.lasted[state] + other.lasted[state] for state in State},
            maintenance=self.maintenance + other.maintenance,
        )


def uptime_of(
    spells: Iterable[Spell], *, since: datetime, until: datetime, without: Sequence[Span] = ()
) -> Uptime:
    """Add up how long each state lasted between two instants, spells not overlapping.

    The spans `without` (maintenance; disjoint) are left out of every state.
    """
    lasted = dict.fromkeys(State, NONE)
    maintenance = NONE
    for spell in spells:
        start, end = max(spell.started_at, since), min(spell.ended_at, until)
        excluded = sum((_overlap(start, end, span) for span in without), NONE)
        lasted[spell.state] += max(end - start, NONE) - excluded
        maintenance += excluded
    return Uptime(lasted=lasted, maintenance=maintenance)


def worst_in_slots(
    spells: Sequence[Spell], *, since: datetime, until: datetime, count: int
) -> list[tuple[datetime, State | None]]:
    """The range in equal slots: the start of each and its worst known state, None before any."""
    width = (until - since) / count
    worst: list[State | None] = [None] * count
    for spell in spells:
        first = max(int((spell.started_at - since) / width), 0)
        last = min(int(-((since - spell.ended_at) // width)), count)
        for slot in range(first, last):
            known = worst[slot]
            if known is None or _BADNESS.index(spell.state) > _BADNESS.index(known):
                worst[slot] = spell.state
    return [(since + slot * width, state) for slot, state in enumerate(worst)]


def _overlap(start: datetime, end: datetime, span: Span) -> timedelta:
    return max(min(end, span.ended_at) - max(start, span.started_at), NONE)


_BADNESS = (
    State.PAUSED,
    State.UNKNOWN,
    State.UNREACHABLE,
    State.HEALTHY,
    State.DEGRADED,
    State.UNHEALTHY,
)
