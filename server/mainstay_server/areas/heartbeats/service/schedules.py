"""Schedules: when the next report is due, by a period, a cron line or a calendar expression."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from oncalendar import OnCalendar, OnCalendarError

from mainstay_server.areas.heartbeats.models import Heartbeat, ScheduleKind
from mainstay_server.kernel.problems import Invalid

SHORTEST_SECONDS = 10
LONGEST_SECONDS = 31_536_000
LONGEST_EXPRESSION = 200
CRON_FIELDS = 5
MOST_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When reports are due. Of cron and calendar the hours are those of the clocks on the wall."""

    kind: ScheduleKind = ScheduleKind.PERIOD
    period_seconds: int = 0
    expression: str = ""
    time_zone: str = "UTC"


def schedule_of(heartbeat: Heartbeat) -> Schedule:
    """The schedule of a heartbeat."""
    return Schedule(
        kind=ScheduleKind(heartbeat.schedule_kind),
        period_seconds=heartbeat.period_seconds,
        expression=heartbeat.expression,
        time_zone=heartbeat.time_zone,
    )


def checked_schedule(schedule: Schedule, *, now: datetime) -> Schedule:
    """The schedule as it is kept. Raises `Invalid` for one that says nothing or never comes."""
    checked_zone(schedule.time_zone)
    if schedule.kind == ScheduleKind.PERIOD:
        if not SHORTEST_SECONDS <= schedule.period_seconds <= LONGEST_SECONDS:
            raise Invalid(
                f"The period must be from {SHORTEST_SECONDS} to {LONGEST_SECONDS} seconds."
            )
        return schedule
    expression = _one_line(schedule)
    clean = Schedule(
        kind=schedule.kind,
        period_seconds=schedule.period_seconds,
        expression=expression,
        time_zone=schedule.time_zone,
    )
    if next_due(clean, after=now) is None:
        raise Invalid(f"{expression!r} never comes; give days and months that exist.")
    return clean


def checked_zone(name: str) -> str:
    """The name of a time zone that is known. Raises `Invalid`."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(
            f"There is no time zone {name[:60]!r}; write it like Europe/Berlin."
        ) from None
    return name


def next_due(schedule: Schedule, *, after: datetime) -> datetime | None:
    """The first due time later than `after`, in UTC; None when a calendar has no more.

    A turn that a change of the clocks leaves out comes at the moment of the change, and one that
    comes twice is due once if it names an hour, as Debian's cron runs it.
    """
    if schedule.kind == ScheduleKind.PERIOD:
        return after + timedelta(seconds=schedule.period_seconds)
    return next(_turns(schedule, after), None)


def next_turns(schedule: Schedule, *, after: datetime, count: int = MOST_SHOWN) -> list[datetime]:
    """The next due times, for people to see what an expression means; in the schedule's zone."""
    zone = ZoneInfo(schedule.time_zone)
    if schedule.kind == ScheduleKind.PERIOD:
        period = timedelta(seconds=schedule.period_seconds)
        return [(after + turn * period).astimezone(zone) for turn in range(1, count + 1)]
    turns = _turns(schedule, after)
    return [turn.astimezone(zone) for turn in islice(turns, min(count, MOST_SHOWN))]


def _turns(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    local = after.astimezone(ZoneInfo(schedule.time_zone))
    source: Iterator[datetime] = (
        CronSim(schedule.expression, local)
        if schedule.kind == ScheduleKind.CRON
        else OnCalendar(schedule.expression, local)
    )
    for turn in source:
        yield turn.astimezone(UTC)


def _one_line(schedule: Schedule) -> str:
    lines = (" ".join(line.split()) for line in schedule.expression.splitlines())
    expression = "\n".join(line for line in lines if line)
    if not expression or len(expression) > LONGEST_EXPRESSION:
        raise Invalid(f"The schedule must have 1 to {LONGEST_EXPRESSION} characters.")
    start = datetime(2026, 1, 1, tzinfo=UTC)
    try:
        if schedule.kind == ScheduleKind.CRON:
            if len(expression.split(" ")) != CRON_FIELDS:
                raise Invalid(f"A cron expression has {CRON_FIELDS} fields, such as 0 3 * * *.")
            CronSim(expression, start)
        else:
            OnCalendar(expression, start)
    except (CronSimError, OnCalendarError) as error:
        name = "cron" if schedule.kind == ScheduleKind.CRON else "OnCalendar"
        raise Invalid(f"This is no {name} expression: {error}.") from error
    return expression
