"""Schedules: when a target's next backup is, and from when on it is late."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from mainstay_server.areas.backups.models import BackupTarget
from mainstay_server.kernel.problems import Invalid

HOUR = timedelta(hours=1)
LONGEST_INTERVAL_HOURS = 24 * 90
CRON_FIELDS = 5
LONGEST_CRON = 100
# A backup that lasts twice as long as the one before, and an hour more, is not late yet.
GRACE = HOUR
DURATIONS = 2


@dataclass(frozen=True)
class Schedule:
    """Every so many hours, or by a cron expression in a time zone."""

    interval_hours: int | None = None
    cron: str = ""
    time_zone: str = "UTC"


DAILY_AT_TWO = Schedule(cron="0 2 * * *")


def checked_schedule(schedule: Schedule) -> Schedule:
    """The schedule as it is kept. Raises `Invalid` for one that says nothing, or never comes."""
    cron = " ".join(schedule.cron.split())
    if (schedule.interval_hours is None) == (not cron):
        raise Invalid("A schedule is either intervalHours or cron; give one of them.")
    hours = schedule.interval_hours
    if hours is not None and not 1 <= hours <= LONGEST_INTERVAL_HOURS:
        raise Invalid(f"intervalHours must be from 1 to {LONGEST_INTERVAL_HOURS}.")
    clean = Schedule(hours, cron, checked_zone(schedule.time_zone))
    if cron:
        _refuse_strange(clean)
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


def schedule_of(target: BackupTarget) -> Schedule:
    """A target's schedule."""
    return Schedule(target.interval_hours, target.cron, target.time_zone)


def next_turn(schedule: Schedule, *, after: datetime, anchor: datetime) -> datetime:
    """The first turn later than `after`, in UTC.

    An interval counts from `anchor`, so that turns do not drift. Cron's hours are those of the
    clocks on the wall: one that a change of time leaves out comes at the moment of the change, and
    one that comes twice is done once, as Debian's cron does it.
    """
    if schedule.interval_hours is not None:
        step = schedule.interval_hours * HOUR
        return anchor + (max((after - anchor) // step, -1) + 1) * step
    local = after.astimezone(ZoneInfo(schedule.time_zone))
    return next(CronSim(schedule.cron, local)).astimezone(UTC)


def late_at(
    target: BackupTarget, *, last_started: datetime | None, last_seconds: float
) -> datetime | None:
    """From when on the next backup is late, computed from the schedule alone; None while it is off.

    `last_started` is when the last good one began, `last_seconds` how long it took.
    """
    if not target.is_enabled:
        return None
    expected = target.expected_since
    if last_started is not None:
        turn = next_turn(schedule_of(target), after=last_started, anchor=target.created_at)
        expected = max(turn, expected)
    return expected + GRACE + DURATIONS * timedelta(seconds=last_seconds)


def _refuse_strange(schedule: Schedule) -> None:
    fields = schedule.cron.split()
    if len(fields) != CRON_FIELDS or len(schedule.cron) > LONGEST_CRON:
        raise Invalid("cron must have five fields, such as 0 2 * * * for every day at two.")
    now = datetime(2026, 1, 1, tzinfo=UTC)  # any moment: a schedule comes in no year, or in most
    try:
        next_turn(schedule, after=now, anchor=now)
    except CronSimError as error:
        raise Invalid(
            f"cron {schedule.cron!r} cannot be read ({error}); write five fields."
        ) from None
    except StopIteration:
        raise Invalid(f"cron {schedule.cron!r} never comes; choose a day that exists.") from None
