"""What objectives are counted by: spells of what is watched, or requests of an instance."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.objectives.models import Kind, Objective, ObjectiveHour, Source
from mainstay_server.contracts.maintenance import windows_over
from mainstay_server.contracts.requests import RequestSlice, count_bad_requests
from mainstay_server.kernel.database import insert
from mainstay_server.kernel.subjects import Watched
from mainstay_server.kernel.watching import (
    KNOWN,
    Spell,
    State,
    Uptime,
    find_watched,
    read_spells,
    uptime_of,
    windows_of,
)

from .burning import HOUR, Amount, Measured

MINUTE = timedelta(minutes=1)
MINUTE_SECONDS, HOUR_SECONDS = 60, 3600
# Requests that arrive late still count in their hour for so long.
SETTLED_AFTER = timedelta(minutes=15)
FURTHEST_BACK = timedelta(days=93)
GOOD = {
    Kind.AVAILABILITY: (State.HEALTHY, State.DEGRADED),
    Kind.LATENCY: (State.HEALTHY,),
}
NOTHING = Amount(total=0, bad=0)


class _Span(Protocol):
    @property
    def started_at(self) -> datetime: ...
    @property
    def ended_at(self) -> datetime: ...


class Unknown:
    """Nothing is known: what was watched is gone."""

    known_since: datetime | None = None

    def between(self, since: datetime, until: datetime) -> Amount:  # noqa: ARG002 - the protocol's
        """Nothing."""
        return NOTHING


class SpellsMeasured:
    """Seconds that something was watched, and those of them in a state that is not good."""

    def __init__(self, spells: Sequence[Spell], windows: Sequence[_Span], kind: Kind) -> None:
        self._spells = spells
        self._windows = windows
        self._kind = kind
        self.known_since = next((s.started_at for s in spells if s.state in KNOWN), None)

    def between(self, since: datetime, until: datetime) -> Amount:
        """Known seconds outside of maintenance, by interval arithmetic."""
        found = uptime_of(self._spells, since=since, until=until, without=self._windows)
        return amount_of(found, self._kind)


def amount_of(uptime: Uptime, kind: Kind) -> Amount:
    """Seconds that were watched, and those of them in which what is promised was not kept."""
    bad = sum(uptime.lasted[state].total_seconds() for state in KNOWN if state not in GOOD[kind])
    return Amount(total=uptime.known.total_seconds(), bad=bad)


class RequestsMeasured:
    """Requests by hours, and lately by minutes; an hour that a range cuts counts partly."""

    def __init__(self, hours: Sequence[RequestSlice], minutes: Sequence[RequestSlice]) -> None:
        self._parts = [
            *((each, HOUR) for each in hours),
            *((each, MINUTE) for each in minutes),
        ]
        self._begins = [each.begins_at for each, _ in self._parts]
        self.known_since = self._begins[0] if self._begins else None

    def between(self, since: datetime, until: datetime) -> Amount:
        """Requests; of an hour that the range cuts, the same share as of its time."""
        total = bad = 0.0
        first = bisect_left(self._begins, since - HOUR)
        for part, length in self._parts[first : bisect_left(self._begins, until)]:
            begin, end = max(part.begins_at, since), min(part.begins_at + length, until)
            if begin < end:
                share = (end - begin) / length
                total += part.total * share
                bad += part.bad * share
        return Amount(total=total, bad=bad)


def measure(session: Session, objective: Objective, *, since: datetime, now: datetime) -> Measured:
    """What an objective is counted by from a moment on."""
    if objective.source == Source.WATCHED:
        watched = find_watched(session, [objective.subject_id]).get(objective.subject_id)
        if watched is None or watched.project_id != objective.project_id:
            return Unknown()
        return watched_since(session, watched, objective.kind, since=since, now=now)
    return _requests_since(session, objective, since=since, now=now)


def watched_since(
    session: Session, watched: Watched, kind: Kind, *, since: datetime, now: datetime
) -> SpellsMeasured:
    """What something watched is counted by from a moment on."""
    spells = read_spells(session, [watched], since=since, until=now, now=now)[watched.id]
    windows = windows_of(session, watched, since=since, until=now)
    return SpellsMeasured(spells, windows, Kind(kind))


def sum_up_hours(session: Session, objective: Objective, *, now: datetime) -> None:
    """Keep the sums of the hours that are over, so that a month needs no look at its requests."""
    until = _hour_of(now - SETTLED_AFTER)
    since = objective.summed_until or _hour_of(now - FURTHEST_BACK)
    if objective.source != Source.REQUESTS or since >= until:
        return
    found = _outside_of_maintenance(session, objective, since=since, until=until)
    sums: dict[datetime, list[int]] = {}
    for each in found:
        of_hour = sums.setdefault(_hour_of(each.begins_at), [0, 0])
        of_hour[0] += each.total
        of_hour[1] += each.bad
    for begins_at, (total, bad) in sums.items():
        session.execute(
            insert(ObjectiveHour)
            .values(objective_id=objective.id, begins_at=begins_at, total=total, bad=bad)
            .on_conflict_do_update(
                index_elements=["objective_id", "begins_at"], set_={"total": total, "bad": bad}
            )
        )
    objective.summed_until = until


def forget_hours(session: Session, *, now: datetime) -> None:
    """Let go of hours that no period reaches."""
    session.execute(
        sa.delete(ObjectiveHour).where(ObjectiveHour.begins_at < now - 5 * FURTHEST_BACK)
    )


def _requests_since(
    session: Session, objective: Objective, *, since: datetime, now: datetime
) -> RequestsMeasured:
    summed = objective.summed_until or _hour_of(now)
    rows = session.scalars(
        sa.select(ObjectiveHour)
        .where(
            ObjectiveHour.objective_id == objective.id,
            ObjectiveHour.begins_at > since - HOUR,
            ObjectiveHour.begins_at < summed,
        )
        .order_by(ObjectiveHour.begins_at)
    ).all()
    # Short windows are counted by minutes; of a time that is over, the hours stand as they were.
    recent = min(summed, _hour_of(now - 6 * HOUR)) if summed < now else now
    hours = [
        RequestSlice(begins_at=row.begins_at, total=row.total, bad=row.bad)
        for row in rows
        if row.begins_at < recent
    ]
    minutes = _outside_of_maintenance(session, objective, since=recent, until=now)
    return RequestsMeasured(hours, minutes)


def _outside_of_maintenance(
    session: Session, objective: Objective, *, since: datetime, until: datetime
) -> list[RequestSlice]:
    """Requests by minutes, without those of minutes in which maintenance covers the instance."""
    if not count_bad_requests.is_answered:
        return []
    found = count_bad_requests(
        objective.instance_id,
        since=since,
        until=until,
        step_seconds=MINUTE_SECONDS,
        route=objective.route,
        slower_than_ms=objective.threshold_ms if objective.kind == Kind.LATENCY else None,
    )
    if not windows_over.is_answered:
        return list(found)
    windows = windows_over(session, objective.instance_id, (), "", since=since, until=until)
    return [
        each
        for each in found
        if not any(span.started_at <= each.begins_at < span.ended_at for span in windows)
    ]


def _hour_of(moment: datetime) -> datetime:
    seconds = int(moment.timestamp()) // HOUR_SECONDS * HOUR_SECONDS
    return datetime.fromtimestamp(seconds, tz=UTC)
