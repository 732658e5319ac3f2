"""Uptime: arithmetic over the spells of states, true to the microsecond."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks.models import HealthCheck, HealthInterval, HealthState

from .states import UP

MOST_SPELLS = 10_000
NONE = timedelta()


@dataclass(frozen=True, kw_only=True)
class Spell:
    """A state from its start up to its end; `ongoing` when the end is only that of the range."""

    state: HealthState
    started_at: datetime
    ended_at: datetime
    reason: str = ""
    ongoing: bool = False


@dataclass(frozen=True, kw_only=True)
class Uptime:
    """How long each state lasted within a range."""

    lasted: dict[HealthState, timedelta]

    @property
    def known(self) -> timedelta:
        """The time in which we were watching: our own outages and pauses are not in it."""
        seen = (HealthState.HEALTHY, HealthState.DEGRADED, HealthState.UNHEALTHY)
        return sum((self.lasted[state] for state in seen), NONE)

    @property
    def percent(self) -> float | None:
        """Up time in percent of known time, 0 to 100; None when nothing is known."""
        if not self.known:
            return None
        return sum((self.lasted[state] for state in UP), NONE) / self.known * 100


def uptime_of(spells: Iterable[Spell], *, since: datetime, until: datetime) -> Uptime:
    """Add up how long each state lasted between two instants; spells must not overlap."""
    lasted = dict.fromkeys(HealthState, NONE)
    for spell in spells:
        span = min(spell.ended_at, until) - max(spell.started_at, since)
        lasted[spell.state] += max(span, NONE)
    return Uptime(lasted=lasted)


def read_spells(
    session: Session,
    checks: Sequence[HealthCheck],
    *,
    since: datetime,
    until: datetime,
    now: datetime,
    grace_seconds: float,
) -> dict[str, list[Spell]]:
    """The spells of each check within a range, oldest first, cut to it; at most 10,000 in all.

    A spell that lasts is cut where its latest result stops speaking for the app, if that is long
    ago: until our own outage is written down, it must not count as time we watched.
    """
    until = min(until, now)
    known = {check.id: check for check in checks}
    spells: dict[str, list[Spell]] = {check.id: [] for check in checks}
    rows = session.scalars(
        sa.select(HealthInterval)
        .where(
            HealthInterval.health_check_id.in_(known),
            HealthInterval.started_at < until,
            sa.or_(HealthInterval.ended_at.is_(None), HealthInterval.ended_at > since),
        )
        .order_by(HealthInterval.started_at, HealthInterval.id)
        .limit(MOST_SPELLS)
    )
    for row in rows:
        end = row.ended_at or _end_of_knowledge(known[row.health_check_id], now, grace_seconds)
        for state, start, stop in (
            (HealthState(row.state), row.started_at, end),
            (HealthState.UNKNOWN, end, until if row.ended_at is None else end),
        ):
            start, stop = max(start, since), min(stop, until)  # noqa: PLW2901 - cut to the range
            if start < stop:
                spells[row.health_check_id].append(
                    Spell(
                        state=state,
                        started_at=start,
                        ended_at=stop,
                        reason=row.reason if state == row.state else "",
                        ongoing=row.ended_at is None and stop == until,
                    )
                )
    return spells


def _end_of_knowledge(check: HealthCheck, now: datetime, grace_seconds: float) -> datetime:
    if check.state not in (*UP, HealthState.UNHEALTHY):
        return now
    allowed = timedelta(seconds=allowed_seconds(check, grace_seconds))
    return now if now <= check.watched_until + allowed else check.watched_until


def allowed_seconds(check: HealthCheck, grace_seconds: float) -> float:
    """How long after its interval a result may still come: both tries and the grace."""
    return 2 * check.timeout_seconds + grace_seconds


def worst_in_slots(
    spells: Sequence[Spell], *, since: datetime, until: datetime, count: int
) -> list[tuple[datetime, HealthState | None]]:
    """The range in equal slots: the start of each and its worst known state, None before any."""
    width = (until - since) / count
    worst: list[HealthState | None] = [None] * count
    for spell in spells:
        first = max(int((spell.started_at - since) / width), 0)
        last = min(int(-((since - spell.ended_at) // width)), count)
        for slot in range(first, last):
            known = worst[slot]
            if known is None or _BADNESS.index(spell.state) > _BADNESS.index(known):
                worst[slot] = spell.state
    return [(since + slot * width, state) for slot, state in enumerate(worst)]


_BADNESS = (
    HealthState.PAUSED,
    HealthState.UNKNOWN,
    HealthState.HEALTHY,
    HealthState.DEGRADED,
    HealthState.UNHEALTHY,
)
