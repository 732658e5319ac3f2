from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainstay_server.areas.maintenance.service.schedules import (
    Schedule,
    checked_schedule,
    first_start,
    instant_of,
    starts_between,
)
from mainstay_server.kernel.problems import Invalid

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
# By an hour, by half an hour, south of the equator, at midnight, and backwards during Ramadan.
ZONES = [
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Africa/Casablanca",
]
FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


def a_schedule(rule: str, starts_at: str = "2026-11-26T02:00", zone: str = "UTC") -> Schedule:
    return checked_schedule(rule, starts_at=wall(starts_at), time_zone=zone)


def next_starts(schedule: Schedule, count: int) -> list[str]:
    zone = ZoneInfo(schedule.time_zone)
    until = schedule.starts_at + 3000 * DAY
    found = islice(starts_between(schedule, schedule.starts_at, until), count)
    return [f"{start.astimezone(zone):%Y-%m-%dT%H:%M}" for start in found]


def changes_of(zone: ZoneInfo) -> Iterator[datetime]:
    """Each moment from 2024 to 2030 at which the clocks of a zone are changed, by looking."""
    moment = FIRST
    while moment < LAST:
        if moment.astimezone(zone).utcoffset() != (moment + HOUR).astimezone(zone).utcoffset():
            yield next(
                moment + minute * MINUTE
                for minute in range(1, 61)
                if (moment + minute * MINUTE).astimezone(zone).utcoffset()
                != moment.astimezone(zone).utcoffset()
            )
        moment += HOUR


def shown_around(change: datetime, zone: ZoneInfo) -> dict[datetime, datetime]:
    """The oracle: look at the clock of a zone minute by minute, and take the first match."""
    seen: dict[datetime, datetime] = {}
    for minute in range(-8 * 60, 8 * 60):
        moment = change + minute * MINUTE
        seen.setdefault(moment.astimezone(zone).replace(tzinfo=None), moment)
    return seen


def as_if_unchanged(shown: datetime, zone: ZoneInfo, change: datetime) -> datetime:
    """The oracle for what clocks leave out: go on as if they had not been changed."""
    before = (change - MINUTE).astimezone(zone).utcoffset()
    assert before is not None
    return (shown - before).replace(tzinfo=UTC)


@pytest.mark.slow
@pytest.mark.parametrize("zone", ZONES)
def test_at_each_change_of_clocks_until_2030_a_window_begins_when_clocks_show_it(zone: str) -> None:
    clocks = ZoneInfo(zone)
    changes = list(changes_of(clocks))
    assert len(changes) >= 14
    for change in changes:
        around = (change - MINUTE).astimezone(clocks).replace(tzinfo=None) + MINUTE
        seen = shown_around(change, clocks)
        for quarter in range(-8, 9):
            shown = around + quarter * 15 * MINUTE
            first = shown - 10 * DAY
            expected = seen.get(shown) or as_if_unchanged(shown, clocks, change)
            for rule in ("FREQ=DAILY", f"{shown.minute} {shown.hour} * * *"):
                schedule = checked_schedule(rule, starts_at=first, time_zone=zone)
                found = list(starts_between(schedule, change - 12 * HOUR, change + 12 * HOUR))
                assert expected in found, (rule, shown)
                assert len(found) == 1, (rule, shown, found)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("rule", ["FREQ=DAILY", "30 1 * * *"])
def test_each_day_of_seven_years_has_one_window_and_none_is_doubled(zone: str, rule: str) -> None:
    schedule = checked_schedule(rule, starts_at=wall("2023-12-01T01:30"), time_zone=zone)
    starts = list(starts_between(schedule, FIRST, LAST))
    assert len(starts) == 7 * 365 + 2
    assert all(22 * HOUR < after - before < 26 * HOUR for before, after in pairwise(starts))


def test_the_first_sunday_and_the_second_tuesday_are_said_in_both_ways() -> None:
    first_sunday = ["2026-12-06T02:00", "2027-01-03T02:00", "2027-02-07T02:00"]
    assert next_starts(a_schedule("0 2 * * SUN#1"), 3) == first_sunday
    assert next_starts(a_schedule("RRULE:FREQ=MONTHLY;BYDAY=1SU"), 3) == first_sunday
    second_tuesday = ["2026-12-08T02:00", "2027-01-12T02:00", "2027-02-09T02:00"]
    assert next_starts(a_schedule("0 2 * * TUE#2"), 3) == second_tuesday
    assert next_starts(a_schedule("freq=monthly;byday=2tu"), 3) == second_tuesday


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TH", ["2026-11-26", "2026-12-10", "2026-12-24"]),
        ("FREQ=DAILY;COUNT=2", ["2026-11-26", "2026-11-27"]),
        ("FREQ=DAILY;UNTIL=20261127", ["2026-11-26", "2026-11-27"]),
        ("FREQ=DAILY;UNTIL=20261127T010000Z", ["2026-11-26", "2026-11-27"]),
        ("FREQ=DAILY;UNTIL=20261127T005959Z", ["2026-11-26"]),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", ["2026-11-30", "2026-12-31", "2027-01-31"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", ["2026-11-30", "2026-12-31"]),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", ["2028-02-29", "2032-02-29"]),
    ],
)
def test_rules_of_calendars_are_read(rule: str, expected: list[str]) -> None:
    schedule = a_schedule(rule, zone="Europe/Berlin")
    found = next_starts(schedule, len(expected) if len(expected) > 2 else 9)
    assert [day[:10] for day in found][: len(expected)] == expected
    if "COUNT" in rule or "UNTIL" in rule:
        assert len(found) == len(expected)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("* * * * *", "more often than every hour"),
        ("0,30 2 * * *", "more often than every hour"),
        ("0 0 30 2 *", "cannot be read"),
        ("at two", "five cron fields"),
        ("0 2 * *", "five cron fields"),
        ("FREQ=HOURLY", "FREQ"),
        ("FREQ=DAILY;FREQ=SECONDLY", "FREQ"),
        ("FREQ=DAILY;BYHOUR=2", "takes no 'BYHOUR'"),
        ("FREQ=DAILY;BYMONTH=2", "takes no 'BYMONTH'"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL"),
        ("FREQ=DAILY;COUNT=99999", "COUNT"),
        ("FREQ=DAILY;COUNT=2;UNTIL=20270101", "COUNT or by UNTIL"),
        ("FREQ=DAILY;UNTIL=20200101", "never comes"),
        ("FREQ=WEEKLY;BYDAY=1MO", "FREQ=MONTHLY or FREQ=YEARLY"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "never comes"),
        ("FREQ=DAILY;X-RULE=1", "takes no 'X-RULE'"),
        ("FREQ=DAILY\nRRULE:FREQ=DAILY", "FREQ"),
        ("FREQ=DAILY;" + "BYDAY=MO" * 50, "at most 300"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(rule: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        a_schedule(rule)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "/etc/localtime"])
def test_a_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(Invalid, match="no time zone"):
        a_schedule("", zone=zone)


def test_a_start_with_a_zone_is_that_moment_wherever_clocks_are_read() -> None:
    schedule = checked_schedule(
        "FREQ=DAILY", starts_at=datetime(2026, 7, 1, 22, tzinfo=UTC), time_zone="Europe/Berlin"
    )
    assert schedule.wall_start == wall("2026-07-02T00:00")
    winter = first_start(schedule, since=datetime(2026, 12, 1, tzinfo=UTC))
    assert winter == datetime(2026, 12, 1, 23, tzinfo=UTC)


@given(
    moment=st.datetimes(datetime(2024, 1, 1), datetime(2030, 12, 31)),  # noqa: DTZ001 - what clocks show
    zone=st.sampled_from(ZONES),
)
def test_what_clocks_show_at_the_moment_they_are_read_at_is_what_was_asked(
    moment: datetime, zone: str
) -> None:
    clocks = ZoneInfo(zone)
    shown = instant_of(moment, clocks).astimezone(clocks)
    later = shown.replace(tzinfo=None) - moment
    assert later in (timedelta(), HOUR, HOUR / 2)
    assert shown.fold == 0


@given(
    zone=st.sampled_from(ZONES),
    hour=st.integers(0, 23),
    rule=st.sampled_from(
        ["FREQ=DAILY", "FREQ=WEEKLY;BYDAY=SU,WE", "FREQ=MONTHLY;BYDAY=-1SU", "H 2 * * SUN#1"]
    ),
    days=st.integers(1, 900),
    cut=st.integers(1, 899),
)
def test_starts_are_in_order_and_a_range_is_the_sum_of_its_parts(
    zone: str, hour: int, rule: str, days: int, cut: int
) -> None:
    schedule = checked_schedule(
        rule.replace("H", "0") if rule.startswith("H") else rule,
        starts_at=datetime(2025, 1, 1, hour),  # noqa: DTZ001 - what clocks show
        time_zone=zone,
    )
    since, until = FIRST + 300 * DAY, FIRST + (300 + days) * DAY
    middle = min(until, since + cut * DAY)
    whole = list(starts_between(schedule, since, until))
    parts = [*starts_between(schedule, since, middle), *starts_between(schedule, middle, until)]
    assert whole == parts
    assert all(before < after for before, after in pairwise(whole))
