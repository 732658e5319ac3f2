"""Schedules: turns that do not drift, right when clocks change, and lateness without a job."""

from datetime import UTC, datetime, timedelta

import pytest
from mainstay_server.areas.backups.models import BackupTarget
from mainstay_server.areas.backups.service.schedules import (
    DAILY_AT_TWO,
    Schedule,
    late_at,
    next_turn,
)

from .standing import DAY, HOUR, NOON

BERLIN = "Europe/Berlin"


def turns(schedule: Schedule, after: datetime, count: int) -> list[datetime]:
    found = []
    for _ in range(count):
        after = next_turn(schedule, after=after, anchor=NOON)
        found.append(after)
    return found


def test_an_interval_counts_from_the_beginning_and_does_not_drift() -> None:
    six = Schedule(interval_hours=6)

    assert turns(six, NOON, 2) == [NOON + 6 * HOUR, NOON + 12 * HOUR]
    assert next_turn(six, after=NOON + 8 * HOUR, anchor=NOON) == NOON + 12 * HOUR
    assert next_turn(six, after=NOON - 40 * DAY, anchor=NOON) == NOON, "a clock that was set back"


def test_daily_at_two_is_at_two_utc() -> None:
    assert turns(DAILY_AT_TWO, NOON, 2) == [NOON + 14 * HOUR, NOON + 38 * HOUR]


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        # 2026-03-29: half past two does not exist in Berlin; it is done when the clocks change.
        (datetime(2026, 3, 28, 12, tzinfo=UTC), ["03-29 01:00", "03-30 00:30", "03-31 00:30"]),
        # 2026-10-25: half past two comes twice, and is done once.
        (datetime(2026, 10, 24, 12, tzinfo=UTC), ["10-25 00:30", "10-26 01:30", "10-27 01:30"]),
    ],
)
def test_a_time_on_the_wall_comes_once_a_day(day: datetime, expected: list[str]) -> None:
    schedule = Schedule(cron="30 2 * * *", time_zone=BERLIN)

    assert [f"{each:%m-%d %H:%M}" for each in turns(schedule, day, 3)] == expected


def a_row(**said: object) -> BackupTarget:
    target = BackupTarget(
        is_enabled=True,
        interval_hours=6,
        cron="",
        time_zone="UTC",
        created_at=NOON,
        expected_since=NOON,
    )
    for name, value in said.items():
        setattr(target, name, value)
    return target


def test_the_first_backup_is_late_an_hour_after_it_was_expected() -> None:
    assert late_at(a_row(), last_started=None, last_seconds=0) == NOON + HOUR


def test_the_next_one_is_late_an_hour_and_two_durations_after_its_turn() -> None:
    late = late_at(a_row(), last_started=NOON, last_seconds=600)

    assert late == NOON + 7 * HOUR + timedelta(minutes=20)


def test_a_daily_backup_is_late_after_twenty_five_hours() -> None:
    daily = a_row(interval_hours=None, cron="0 2 * * *")
    at_two = NOON.replace(hour=2)

    assert late_at(daily, last_started=at_two, last_seconds=0) == at_two + 25 * HOUR


def test_nothing_is_late_while_it_is_off_or_was_not_expected_yet() -> None:
    assert late_at(a_row(is_enabled=False), last_started=NOON, last_seconds=0) is None
    moved = a_row(expected_since=NOON + 9 * DAY)
    assert late_at(moved, last_started=NOON, last_seconds=0) == NOON + 9 * DAY + HOUR
