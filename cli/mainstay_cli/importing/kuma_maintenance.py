"""Maintenance of Uptime Kuma: its strategies as one start and a schedule of ours."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from .drafts import Draft

Row = Mapping[str, Any]

MINUTES_A_DAY = 1_440
LONGEST_MINUTES = 31 * MINUTES_A_DAY


def add_maintenance(draft: Draft, row: Row, subjects: Sequence[str]) -> None:
    """Add what is planned; what cannot be said here is noted."""
    title = str(row["title"])
    about = f"maintenance {title}"
    if not row.get("active", 1):
        draft.note(about, "is switched off")
        return
    try:
        planned = _planned(row)
    except (ValueError, KeyError, TypeError) as error:
        draft.note(about, f"could not be read: {error}")
        return
    if planned is None:
        draft.note(about, f"the strategy {row.get('strategy')} has no plan; begin it by hand")
        return
    zone = str(row.get("timezone") or "")
    if not zone or zone == "SAME_AS_SERVER":
        draft.note(about, "was on the clock of Kuma's machine; check timeZone, which is UTC now")
        zone = "UTC"
    if not subjects:
        draft.note(about, "covered no monitor; here it would cover all, so it was left out")
        return
    thing = {
        "description": row.get("description") or None,
        "timeZone": zone,
        "subjects": list(subjects),
        **planned,
    }
    draft.add("maintenance", title, thing)


def _planned(row: Row) -> dict[str, Any] | None:
    strategy = str(row.get("strategy") or "")
    if strategy == "single":
        start, end = _moment(row["start_date"]), _moment(row["end_date"])
        minutes = round((end - start).total_seconds() / 60)
        return {"startsAt": _wall(start), "durationMinutes": max(minutes, 1)}
    if strategy == "cron":
        minutes = max(round(int(row.get("duration") or 3600) / 60), 1)
        first = _moment(row.get("start_date") or row.get("created_date") or "2026-01-01 00:00:00")
        cron = str(row["cron"])
        return {"startsAt": _wall(first), "schedule": cron, "durationMinutes": minutes}
    if not strategy.startswith("recurring-"):
        return None
    begin, minutes = _daily(row)
    first = _moment(row.get("start_date") or "2026-01-01 00:00:00")
    first = first.replace(hour=begin[0], minute=begin[1], second=0)
    schedule = _schedule(row, strategy, begin)
    if schedule is None:
        return None
    return {"startsAt": _wall(first), "schedule": schedule, "durationMinutes": minutes}


def _schedule(row: Row, strategy: str, begin: tuple[int, int]) -> str | None:
    hour, minute = begin
    if strategy == "recurring-interval":
        return f"FREQ=DAILY;INTERVAL={max(int(row.get('interval_day') or 1), 1)}"
    if strategy == "recurring-weekday":
        days = ",".join(str(int(day)) for day in json.loads(row.get("weekdays") or "[]"))
        return f"{minute} {hour} * * {days}" if days else None
    if strategy == "recurring-day-of-month":
        days = ",".join(_month_day(day) for day in json.loads(row.get("days_of_month") or "[]"))
        return f"FREQ=MONTHLY;BYMONTHDAY={days}" if days else None
    return None


def _month_day(day: object) -> str:
    """`lastDay1` is the last day of a month, `lastDay2` the one before."""
    text = str(day)
    return f"-{text.removeprefix('lastDay')}" if text.startswith("lastDay") else str(int(text))


def _daily(row: Row) -> tuple[tuple[int, int], int]:
    """When it begins, and how many minutes it lasts; an end before the start is on the next day."""
    start, end = (_clock(row[name]) for name in ("start_time", "end_time"))
    minutes = (end[0] * 60 + end[1]) - (start[0] * 60 + start[1])
    return start, minutes if minutes > 0 else minutes + MINUTES_A_DAY


def _clock(text: object) -> tuple[int, int]:
    hour, minute, *_ = str(text).split(":")
    return int(hour), int(minute)


def _moment(text: object) -> datetime:
    found = datetime.fromisoformat(str(text).strip().removesuffix("Z"))
    return found.replace(tzinfo=None, microsecond=0)


def _wall(moment: datetime) -> str:
    return moment.isoformat(timespec="minutes")
