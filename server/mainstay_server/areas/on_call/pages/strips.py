"""Two weeks of a schedule as pictures: a strip of shifts, and a calendar of days."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from mainstay_server.areas.on_call.service.people import Member, name_of
from mainstay_server.areas.on_call.service.rotations import (
    Plan,
    Shift,
    instant_of,
    shifts_between,
)

DAYS = 14
DAYS_OF_WEEK = 7
COLOURS = 6
WIDTH = 1400
MOST_IN_A_DAY = 4
NOBODY = "nobody"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A shift as it is drawn: `x` and `width` in a strip of 1,400, the colour of its person."""

    name: str
    kind: str
    x: float
    width: float
    title: str


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A shift in one day of the calendar; `time` is "" when it began before."""

    name: str
    kind: str
    time: str
    title: str


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One day of the calendar."""

    day: date
    is_today: bool
    marks: list[Mark]
    more: int


@dataclass(frozen=True, kw_only=True)
class Fortnight:
    """Two weeks from today on, on the clocks of the schedule."""

    parts: list[Part]
    weeks: list[list[Cell]]
    shifts: Sequence[Shift]
    has_gaps: bool
    first: date
    last: date


def fortnight_of(plan: Plan, members: Mapping[str, Member], *, now: datetime) -> Fortnight:
    """Two weeks of a schedule."""
    zone = ZoneInfo(plan.time_zone)
    today = now.astimezone(zone).date()
    edges = [
        instant_of(datetime.combine(today + timedelta(days=n), time()), zone)
        for n in range(DAYS + 1)
    ]
    shifts = shifts_between(plan, edges[0], edges[-1])
    order = sorted({each.person_id for each in shifts if each.person_id in members})
    kinds = {person: str(number % COLOURS + 1) for number, person in enumerate(order)}
    draw = _Drawing(zone=zone, members=members, kinds=kinds)
    cells = [draw.cell(shifts, day, today=today) for day in pairwise(edges)]
    return Fortnight(
        parts=[draw.part(each, edges) for each in shifts],
        weeks=[cells[:DAYS_OF_WEEK], cells[DAYS_OF_WEEK:]],
        shifts=[each for each in shifts if each.ended_at > now],
        has_gaps=any(each.person_id not in members for each in shifts if each.ended_at > now),
        first=today,
        last=today + timedelta(days=DAYS - 1),
    )


@dataclass(frozen=True, kw_only=True)
class _Drawing:
    zone: ZoneInfo
    members: Mapping[str, Member]
    kinds: Mapping[str, str]

    def part(self, shift: Shift, edges: Sequence[datetime]) -> Part:
        whole = edges[-1] - edges[0]
        return Part(
            name=self.name(shift),
            kind=self.kinds.get(shift.person_id, "gap"),
            x=round((shift.started_at - edges[0]) / whole * WIDTH, 1),
            width=round((shift.ended_at - shift.started_at) / whole * WIDTH, 1),
            title=self.title(shift),
        )

    def cell(
        self, shifts: Sequence[Shift], span: tuple[datetime, datetime], *, today: date
    ) -> Cell:
        start, end = span
        inside = [each for each in shifts if each.started_at < end and each.ended_at > start]
        day = start.astimezone(self.zone).date()
        return Cell(
            day=day,
            is_today=day == today,
            marks=[self.mark(each, start) for each in inside[:MOST_IN_A_DAY]],
            more=max(len(inside) - MOST_IN_A_DAY, 0),
        )

    def mark(self, shift: Shift, start: datetime) -> Mark:
        begins_here = shift.started_at > start
        return Mark(
            name=self.name(shift),
            kind=self.kinds.get(shift.person_id, "gap"),
            time=f"{shift.started_at.astimezone(self.zone):%H:%M}" if begins_here else "",
            title=self.title(shift),
        )

    def name(self, shift: Shift) -> str:
        known = shift.person_id in self.members
        return name_of(self.members, shift.person_id) if known else NOBODY

    def title(self, shift: Shift) -> str:
        start = shift.started_at.astimezone(self.zone)
        end = shift.ended_at.astimezone(self.zone)
        return f"{self.name(shift)}: {start:%a %-d %b %H:%M} to {end:%a %-d %b %H:%M}"
