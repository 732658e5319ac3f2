"""Check-ins as reports, and the configuration that travels with them as a plan."""

from datetime import datetime
from uuid import UUID

import msgspec

from mainstay_server.areas.heartbeats.models import ScheduleKind, Signal
from mainstay_server.areas.heartbeats.schemas.checkins import CheckIn, MonitorConfig
from mainstay_server.areas.heartbeats.schemas.reports import Plan, Report, Target
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.subjects import InstanceRef

from .making import slug_of
from .schedules import Schedule, checked_schedule

SIGNALS = {"in_progress": Signal.START, "ok": Signal.SUCCESS, "error": Signal.FAIL}
MINUTE = 60
SECONDS = {
    "minute": MINUTE,
    "hour": 3_600,
    "day": 86_400,
    "week": 7 * 86_400,
    "month": 30 * 86_400,
    "year": 365 * 86_400,
}
NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
# What Sentry takes where nothing is said; it holds for a heartbeat that the check-in makes.
MARGIN_SECONDS = MINUTE
RUNTIME_SECONDS = 30 * MINUTE
MOST_TIMES = 100
MOST_SECONDS = 31_536_000
MOST_DURATION_SECONDS = 366 * 86_400

_decoder = msgspec.json.Decoder(CheckIn)


def read_check_in(payload: bytes) -> CheckIn:
    """The check-in of an envelope or a body. Raises `Invalid`."""
    try:
        return _decoder.decode(payload)
    except msgspec.MsgspecError as error:
        raise Invalid(f"The check-in cannot be read: {error}.") from error


def report_of(check_in: CheckIn, instance: InstanceRef, *, received_at: datetime) -> Report:
    """A check-in as a report to the heartbeat of its slug; with a configuration it makes one.

    Raises `Invalid` for a slug, an id, a duration or a configuration that makes no sense.
    """
    slug = slug_of(check_in.monitor_slug)
    if not slug:
        raise Invalid("monitor_slug has no letter or digit; give the job a name.")
    run_id, newest = _run(check_in.check_in_id)
    plan = None
    if check_in.monitor_config is not None:
        plan = plan_of(check_in.monitor_config, now=received_at)
    return Report(
        target=Target(slug=slug, instance=instance, create=plan is not None, plan=plan),
        signal=SIGNALS[check_in.status],
        at=received_at,
        scheme="sentry",
        run_id=run_id,
        newest_run=newest and check_in.status != "in_progress",
        duration_ms=_milliseconds(check_in.duration),
    )


def plan_of(config: MonitorConfig, *, now: datetime) -> Plan:
    """A monitor's configuration as a plan. Raises `Invalid`."""
    schedule = checked_schedule(_schedule(config), now=now)
    return Plan(
        schedule_kind=schedule.kind,
        period_seconds=schedule.period_seconds,
        expression=schedule.expression,
        time_zone=schedule.time_zone,
        grace_seconds=_seconds(config.checkin_margin),
        max_duration_seconds=_seconds(config.max_runtime),
        fail_after=_times(config.failure_issue_threshold),
        recover_after=_times(config.recovery_threshold),
        new_grace_seconds=MARGIN_SECONDS,
        new_max_duration_seconds=RUNTIME_SECONDS,
    )


def _schedule(config: MonitorConfig) -> Schedule:
    zone = config.timezone or "UTC"
    value = config.schedule.value
    if config.schedule.type == "crontab":
        line = NICKNAMES.get(str(value).strip(), str(value))
        return Schedule(kind=ScheduleKind.CRON, expression=line, time_zone=zone)
    if not isinstance(value, int) or config.schedule.unit is None:
        raise Invalid("An interval has a whole number as its value, and a unit.")
    return Schedule(period_seconds=value * SECONDS[config.schedule.unit], time_zone=zone)


def _run(check_in_id: str) -> tuple[str, bool]:
    """The run's id in its one form, and whether the newest run is meant."""
    if not check_in_id:
        return "", True
    try:
        run = UUID(check_in_id)
    except ValueError:
        raise Invalid("check_in_id is no UUID; send the one of the start.") from None
    return ("", True) if run.int == 0 else (str(run), False)


def _milliseconds(duration: float | None) -> int | None:
    if duration is None:
        return None
    if not 0 <= duration <= MOST_DURATION_SECONDS:
        raise Invalid("duration must be seconds, from 0 to a year.")
    return round(duration * 1000)


def _seconds(minutes: int | None) -> int | None:
    return None if minutes is None else min(max(minutes, 1) * MINUTE, MOST_SECONDS)


def _times(count: int | None) -> int | None:
    return None if count is None else min(max(count, 1), MOST_TIMES)
