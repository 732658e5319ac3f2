"""Bars: what each day was like, by arithmetic over spells of states, in the page's time zone."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from mainstay_server.areas.status_pages.models import ComponentStatus
from mainstay_server.areas.status_pages.schemas.facts import Day

DAYS = 90
LONG_OUTAGE_SECONDS = 3600
LARGE_SHARE = 0.05

DOWN = (ComponentStatus.PARTIAL_OUTAGE, ComponentStatus.MAJOR_OUTAGE)
KNOWN = (ComponentStatus.OPERATIONAL, ComponentStatus.DEGRADED, *DOWN)


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A status from its start up to its end."""

    status: ComponentStatus
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, kw_only=True)
class Bars:
    """The days of one component, oldest first, and its uptime over all of them in percent."""

    days: list[Day]
    uptime: float | None


def days_until(now: datetime, zone: ZoneInfo) -> list[datetime]:
    """When each of the 90 days begins, today last, and the end of today: 91 instants in UTC.

    A day has 23 or 25 hours where the clock is set.
    """
    today = now.astimezone(zone).date()
    return [
        datetime.combine(today - timedelta(days=ago), time(), tzinfo=zone).astimezone(UTC)
        for ago in range(DAYS - 1, -2, -1)
    ]


def bars_of(
    stretches: Iterable[Stretch],
    maintenance: Sequence[tuple[datetime, datetime]],
    starts: Sequence[datetime],
    zone: ZoneInfo,
) -> Bars:
    """What each day amounts to; `maintenance` (disjoint, in order) is in nobody's uptime."""
    seconds = [defaultdict[ComponentStatus, float](float) for _ in starts[:-1]]
    for piece in _without(stretches, maintenance):
        _add(seconds, starts, piece)
    up = sum(_up(day) for day in seconds)
    known = sum(_known(day) for day in seconds)
    return Bars(
        days=[
            _day(each, starts[index].astimezone(zone).date().isoformat())
            for index, each in enumerate(seconds)
        ],
        uptime=up / known * 100 if known else None,
    )


def merged(spans: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """The spans in order and disjoint: those that overlap or touch become one."""
    found: list[tuple[datetime, datetime]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def _without(
    stretches: Iterable[Stretch], maintenance: Sequence[tuple[datetime, datetime]]
) -> Iterable[Stretch]:
    """The stretches, and maintenance where it was, whatever was seen meanwhile."""
    for stretch in stretches:
        at = stretch.started_at
        for start, end in maintenance:
            if end <= at or start >= stretch.ended_at:
                continue
            begin, stop = max(start, at), min(end, stretch.ended_at)
            yield from _piece(stretch.status, at, begin)
            yield from _piece(ComponentStatus.MAINTENANCE, begin, stop)
            at = stop
        yield from _piece(stretch.status, at, stretch.ended_at)


def _piece(status: ComponentStatus, start: datetime, end: datetime) -> Iterable[Stretch]:
    if start < end:
        yield Stretch(status=status, started_at=start, ended_at=end)


def _add(
    seconds: Sequence[defaultdict[ComponentStatus, float]],
    starts: Sequence[datetime],
    piece: Stretch,
) -> None:
    day = max(bisect_right(starts, piece.started_at) - 1, 0)
    while day < len(seconds) and starts[day] < piece.ended_at:
        overlap = min(piece.ended_at, starts[day + 1]) - max(piece.started_at, starts[day])
        if overlap > timedelta():
            seconds[day][piece.status] += overlap.total_seconds()
        day += 1


def _known(day: defaultdict[ComponentStatus, float]) -> float:
    return sum(day[status] for status in KNOWN)


def _up(day: defaultdict[ComponentStatus, float]) -> float:
    return _known(day) - sum(day[status] for status in DOWN)


def _day(day: defaultdict[ComponentStatus, float], date: str) -> Day:
    known = _known(day)
    down = sum(day[status] for status in DOWN)
    return Day(
        date=date,
        status=_worst(day, known, down),
        up=round(_up(day) / known * 100, 3) if known else None,
        down_seconds=round(down),
        degraded_seconds=round(day[ComponentStatus.DEGRADED]),
        maintenance_seconds=round(day[ComponentStatus.MAINTENANCE]),
    )


def _worst(day: defaultdict[ComponentStatus, float], known: float, down: float) -> ComponentStatus:
    """What a day looks like: a long outage, a short one, slowness, maintenance, well, or nothing.

    An outage is a major one from an hour on, or from a twentieth of the time that was watched.
    """
    if down >= LONG_OUTAGE_SECONDS or (down and down >= known * LARGE_SHARE):
        return ComponentStatus.MAJOR_OUTAGE
    if down:
        return ComponentStatus.PARTIAL_OUTAGE
    if day[ComponentStatus.DEGRADED]:
        return ComponentStatus.DEGRADED
    if day[ComponentStatus.MAINTENANCE]:
        return ComponentStatus.MAINTENANCE
    return ComponentStatus.OPERATIONAL if known else ComponentStatus.UNKNOWN
