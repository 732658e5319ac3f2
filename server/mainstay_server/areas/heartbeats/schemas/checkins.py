"""Check-ins of Sentry's SDKs: the item of an envelope, and what its address may say instead."""

from typing import Literal

import msgspec

Unit = Literal["year", "month", "week", "day", "hour", "minute"]
Status = Literal["in_progress", "ok", "error"]


class MonitorSchedule(msgspec.Struct, kw_only=True):
    """When a monitor expects its job: a crontab line, or every so many units."""

    type: Literal["crontab", "interval"]
    value: str | int
    unit: Unit | None = None


class MonitorConfig(msgspec.Struct, kw_only=True):
    """How a monitor should be; margins and run times are minutes."""

    schedule: MonitorSchedule
    checkin_margin: int | None = None
    max_runtime: int | None = None
    timezone: str | None = None
    failure_issue_threshold: int | None = None
    recovery_threshold: int | None = None


class CheckIn(msgspec.Struct, kw_only=True):
    """One check-in; an id of only zeros stands for the run that began last. `duration` is in s."""

    monitor_slug: str
    status: Status
    check_in_id: str = ""
    duration: float | None = None
    environment: str | None = None
    monitor_config: MonitorConfig | None = None
