"""Backups in words: what is wrong with a target, when it runs, how long its backups stay."""

from mainstay_server.areas.backups.models import BackupTarget

TROUBLES = {
    "run": "The last backup failed, and its quick tries are used up.",
    "destination": "The last backup was not stored at every destination.",
    "verification": "A copy is not as it was written.",
    "drill": "The last restore drill failed.",
    "late": "A backup should be there by the schedule, and is not.",
    "too_small": "The last backup is much smaller than those before it.",
}
KEPT = {
    "keep_daily": "day",
    "keep_weekly": "week",
    "keep_monthly": "month",
    "keep_yearly": "year",
}


def troubles_of(target: BackupTarget) -> list[str]:
    """What is wrong with a target's backups, a sentence each."""
    return [TROUBLES.get(what, what) for what in target.troubles]


def schedule_in_words(target: BackupTarget) -> str:
    """When it runs: `every 6 h`, `daily at 02:00 UTC`, or the cron expression."""
    if target.interval_hours is not None:
        return "every hour" if target.interval_hours == 1 else f"every {target.interval_hours} h"
    minute, hour, *rest = target.cron.split()
    if rest == ["*", "*", "*"] and minute.isdigit() and hour.isdigit():
        return f"daily at {int(hour):02}:{int(minute):02} {target.time_zone}"
    return f"{target.cron} ({target.time_zone})"


def retention_in_words(target: BackupTarget) -> str:
    """How long backups stay, as one sentence says it."""
    parts = []
    if target.keep_days:
        parts.append(f"those of the last {_counted(target.keep_days, 'day')}")
    if target.keep_count:
        parts.append(f"the newest {target.keep_count}")
    for name, calendar in KEPT.items():
        if most := getattr(target, name):
            parts.append(f"one of each of {_counted(most, calendar)}")
    told = ", ".join(parts) or "all of them"
    return f"{told}; always the newest, and the newest proven one"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
