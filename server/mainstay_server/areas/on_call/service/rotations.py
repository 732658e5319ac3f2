"""Who is on call when: pure functions from turns, calendars and overrides to spans without holes.

Everything is counted as clocks of the schedule's time zone show it, so a hand-over stays at nine
also when clocks are changed; the turn over the change is an hour longer or shorter.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from mainstay_server.areas.on_call.schemas.schedules import LayerBody

DAY = timedelta(days=1)
TURNS = {"hourly": timedelta(hours=1), "daily": DAY, "weekly": timedelta(days=7)}
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
OVERRIDE = "Override"
NOBODY = ""


@dataclass(frozen=True, kw_only=True)
class Shift:
    """A span in which one person is on call; `person_id` is "" where nobody is."""

    person_id: str
    started_at: datetime
    ended_at: datetime
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that says who is on call: each level covers those before it."""

    time_zone: str
    layers: Sequence[LayerBody] = ()
    calendars: Sequence[Sequence[Shift]] = ()
    overrides: Sequence[Shift] = ()


def shifts_between(plan: Plan, since: datetime, until: datetime) -> list[Shift]:
    """Who is on call from `since` up to but not including `until`, gaps included, in order.

    The spans touch each other and fill the range; one person's spans that touch are one.
    """
    zone = ZoneInfo(plan.time_zone)
    levels: list[Sequence[Shift]] = [
        list(turns_between(layer, zone, since, until)) for layer in plan.layers
    ]
    levels += [*plan.calendars, *([each] for each in plan.overrides)]
    return _joined(_overlaid(levels, since, until))


def on_call_at(plan: Plan, at: datetime) -> Shift | None:
    """Who is on call at a moment, or None. The span's ends are not those of the shift."""
    (only,) = shifts_between(plan, at, at + timedelta(microseconds=1))
    return only if only.person_id else None


def instant_of(wall: datetime, zone: ZoneInfo) -> datetime:
    """The moment at which clocks of a zone show a time, in UTC (RFC 5545, 3.3.5).

    One that they leave out is later by as much as they were put forward; one that they show twice
    is the first of the two.
    """
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def turns_between(
    layer: LayerBody, zone: ZoneInfo, since: datetime, until: datetime
) -> Iterator[Shift]:
    """The turns of one layer that overlap a range, narrowed to its part of the week."""
    turns = _whole_turns(layer, zone, since, until)
    if layer.days or layer.from_time:
        return _narrowed(turns, _hours(layer, zone, since, until))
    return turns


def _narrowed(
    turns: Iterator[Shift], hours: Sequence[tuple[datetime, datetime]]
) -> Iterator[Shift]:
    """The parts of turns that lie within hours; both come in order, so none is looked at twice."""
    first = 0
    for turn in turns:
        while first < len(hours) and hours[first][1] <= turn.started_at:
            first += 1
        at = first
        while at < len(hours) and hours[at][0] < turn.ended_at:
            begins, ends = max(hours[at][0], turn.started_at), min(hours[at][1], turn.ended_at)
            if begins < ends:
                yield replace(turn, started_at=begins, ended_at=ends)
            at += 1


def _whole_turns(
    layer: LayerBody, zone: ZoneInfo, since: datetime, until: datetime
) -> Iterator[Shift]:
    first = datetime.fromisoformat(layer.starts_at)
    length = TURNS[layer.rotates] * layer.every
    # A day earlier, since clocks may have been changed in between.
    passed = since.astimezone(zone).replace(tzinfo=None) - DAY - first
    number = max(passed // length, 0)
    start = instant_of(first + number * length, zone)
    while start < until:
        end = instant_of(first + (number + 1) * length, zone)
        if start < end and end > since:
            person = layer.person_ids[number % len(layer.person_ids)]
            yield Shift(person_id=person, started_at=start, ended_at=end, source=layer.name)
        number, start = number + 1, end


def _hours(
    layer: LayerBody, zone: ZoneInfo, since: datetime, until: datetime
) -> list[tuple[datetime, datetime]]:
    """The spans of the week in which a layer holds, each begun on one of its days."""
    begins = time.fromisoformat(layer.from_time or "00:00")
    ends = time.fromisoformat(layer.to_time or "00:00")
    day = since.astimezone(zone).date() - DAY
    last = until.astimezone(zone).date()
    spans = []
    while day <= last:
        if not layer.days or DAYS[day.weekday()] in layer.days:
            spans.append(_hours_of(day, begins, ends, zone))
        day += DAY
    return spans


def _hours_of(day: date, begins: time, ends: time, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """One day's span; an end that is not later than the start lies on the next day."""
    last = day if ends > begins else day + DAY
    start = instant_of(datetime.combine(day, begins), zone)
    return start, instant_of(datetime.combine(last, ends), zone)


def _overlaid(
    levels: Sequence[Sequence[Shift]], since: datetime, until: datetime
) -> Iterator[Shift]:
    """Span by span the highest level that has somebody; within one, whoever began last.

    Each shift goes into the heap once and out of it once: a year of hourly turns is no work.
    """
    waiting = sorted(
        (max(shift.started_at, since), rank, shift.ended_at, shift.person_id, shift.source)
        for rank, level in enumerate(levels)
        for shift in level
        if shift.started_at < until and shift.ended_at > since
    )
    edges = {since, until} | {one[0] for one in waiting} | {min(one[2], until) for one in waiting}
    active: list[tuple[int, int, datetime, str, str]] = []
    next_one = 0
    for start, end in pairwise(sorted(edges)):
        while next_one < len(waiting) and waiting[next_one][0] <= start:
            _, rank, ends, person, source = waiting[next_one]
            heapq.heappush(active, (-rank, -next_one, ends, person, source))
            next_one += 1
        while active and active[0][2] <= start:
            heapq.heappop(active)
        _, _, _, person, source = active[0] if active else (0, 0, start, NOBODY, "")
        yield Shift(person_id=person, started_at=start, ended_at=end, source=source)


def _joined(shifts: Iterator[Shift]) -> list[Shift]:
    """The same with what touches and is of one person in one."""
    found: list[Shift] = []
    for shift in shifts:
        if found and found[-1].person_id == shift.person_id:
            found[-1] = replace(found[-1], ended_at=shift.ended_at)
        else:
            found.append(shift)
    return found
