"""When reports are due: by period, cron and calendar, whatever the clocks on the wall do."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from mainstay_server.areas.heartbeats.models import ScheduleKind
from mainstay_server.areas.heartbeats.service.schedules import (
    Schedule,
    checked_schedule,
    next_due,
    next_turns,
)
from mainstay_server.kernel.problems import Invalid

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Africa/Casablanca",
)
MINUTE = timedelta(minutes=1)


def cron(expression: str, zone: str = "UTC") -> Schedule:
    return Schedule(kind=ScheduleKind.CRON, expression=expression, time_zone=zone)


def changes_of_the_clocks(zone: str) -> list[datetime]:
    """Every minute between 2024 and 2030 (UTC) at which a zone's offset becomes another."""
    wall = ZoneInfo(zone)
    found = []
    hour = datetime(2024, 1, 1, tzinfo=UTC)
    while hour < datetime(2031, 1, 1, tzinfo=UTC):
        later = hour + timedelta(hours=1)
        if hour.astimezone(wall).utcoffset() != later.astimezone(wall).utcoffset():
            minute = hour
            while minute.astimezone(wall).utcoffset() == hour.astimezone(wall).utcoffset():
                minute += MINUTE
            found.append(minute)
        hour = later
    return found


def oracle(zone: str, hour: int, minute: int, *, after: datetime) -> datetime:
    """The next `minute hour * * *`, found by walking the minutes of the clocks on the wall.

    Debian's cron: a time that is left out comes when the clocks jump over it; one that comes twice
    is run the first time.
    """
    wall = ZoneInfo(zone)
    local = after.astimezone(wall).replace(tzinfo=None)
    day = local.date()
    for _ in range(4):
        named = datetime.combine(day, time(hour, minute))
        first = named.replace(tzinfo=wall, fold=0)
        real = first.astimezone(UTC)
        if real.astimezone(wall).replace(tzinfo=None) != named:  # the clocks jump over it
            real = next(
                at
                for at in changes_of_the_clocks_cached(zone)
                if abs(at - real) < timedelta(hours=3)
            )
        if real > after:
            return real
        day += timedelta(days=1)
    raise AssertionError("a daily turn comes every day")


_CHANGES: dict[str, list[datetime]] = {}


def changes_of_the_clocks_cached(zone: str) -> list[datetime]:
    if zone not in _CHANGES:
        _CHANGES[zone] = changes_of_the_clocks(zone)
    return _CHANGES[zone]


@pytest.mark.parametrize("zone", ZONES)
def test_daily_turns_are_right_around_every_change_of_the_clocks(zone: str) -> None:
    changes = changes_of_the_clocks_cached(zone)
    assert len(changes) >= 14, "a zone that changes its clocks twice a year, 2024 to 2030"
    for change in changes:
        for hour, minute in ((0, 30), (1, 45), (2, 0), (2, 30), (3, 15), (12, 0)):
            after = change - timedelta(hours=30)
            for _ in range(3):
                due = next_due(cron(f"{minute} {hour} * * *", zone), after=after)
                assert due == oracle(zone, hour, minute, after=after), (change, hour, minute)
                after = due


def test_a_period_counts_from_the_report() -> None:
    every = Schedule(period_seconds=90)
    assert next_due(every, after=NOW) == NOW + timedelta(seconds=90)


def test_on_calendar_is_systemds() -> None:
    schedule = Schedule(
        kind=ScheduleKind.ON_CALENDAR, expression="Mon..Fri 10:30", time_zone="Europe/Berlin"
    )
    assert next_due(schedule, after=datetime(2026, 7, 3, 12, tzinfo=UTC)) == datetime(
        2026, 7, 6, 8, 30, tzinfo=UTC
    )


def test_the_preview_shows_the_clocks_of_the_zone() -> None:
    turns = next_turns(cron("0 3 * * *", "Europe/Berlin"), after=datetime(2026, 3, 28, tzinfo=UTC))
    assert [f"{turn:%d %H:%M %Z}" for turn in turns[:2]] == ["28 03:00 CET", "29 03:00 CEST"]


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (cron("61 * * * *"), "This is no cron expression"),
        (cron("* * * * * *"), "A cron expression has 5 fields"),
        (cron("0 0 31 2 *"), "Bad day-of-month"),
        (cron("0 3 * * *", "Mars/Olympus"), "There is no time zone"),
        (cron(""), "must have 1 to 200 characters"),
        (Schedule(kind=ScheduleKind.ON_CALENDAR, expression="whenever"), "no OnCalendar"),
        (Schedule(kind=ScheduleKind.ON_CALENDAR, expression="2020-01-01"), "never comes"),
        (Schedule(period_seconds=1), "The period must be from 10"),
    ],
)
def test_what_says_nothing_or_never_comes_is_refused(schedule: Schedule, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        checked_schedule(schedule, now=NOW)
