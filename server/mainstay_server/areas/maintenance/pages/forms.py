"""The form of maintenance: its choices, how what was sent is read, and how it is shown again."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from starlette.datastructures import ImmutableMultiDict

from mainstay_server.areas.maintenance.models import Maintenance, MaintenancePlan
from mainstay_server.areas.maintenance.service.planning import Wanted
from mainstay_server.kernel.problems import Invalid

Sent = ImmutableMultiDict[str, Any]

OWN, ONCE, MONTHLY = "own", "once", "monthly"
RULES = {
    ONCE: "",
    "daily": "FREQ=DAILY",
    "weekly": "FREQ=WEEKLY",
    "fortnightly": "FREQ=WEEKLY;INTERVAL=2",
}
COMES = (
    (ONCE, "Once"),
    ("daily", "Every day"),
    ("weekly", "Every week"),
    ("fortnightly", "Every two weeks"),
    (MONTHLY, "Every month, on the same weekday of it"),
    (OWN, "By a rule of my own, below"),
)
ANNOUNCED = (
    ("0", "Not at all"),
    ("15", "15 minutes before"),
    ("60", "An hour before"),
    ("1440", "A day before"),
    ("4320", "Three days before"),
    ("10080", "A week before"),
)
FIELDS = (
    "name",
    "description",
    "starts_at",
    "time_zone",
    "duration",
    "comes",
    "schedule",
    "announce_minutes",
    "tags",
)
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_UNITS = {"d": 1440, "h": 60, "m": 1}
_DURATION = re.compile(r"(?:\d{1,5}\s*[dhm]\s*)+")
_PART = re.compile(r"(\d{1,5})\s*([dhm])")


def wanted_from(sent: Sent) -> Wanted:
    """What a form wants to be planned. Raises `Invalid`."""
    starts_at = _start_of(text_of(sent, "starts_at"))
    return Wanted(
        name=text_of(sent, "name"),
        description=text_of(sent, "description"),
        announce_minutes=_number_of(text_of(sent, "announce_minutes") or "60"),
        schedule=_rule_of(sent, starts_at),
        starts_at=starts_at,
        time_zone=text_of(sent, "time_zone") or "UTC",
        duration_minutes=minutes_of(text_of(sent, "duration")),
        instance_ids=texts_of(sent, "instance_ids"),
        tags=text_of(sent, "tags").split(","),
        subject_ids=texts_of(sent, "subject_ids"),
    )


def values_of(maintenance: Maintenance, plan: MaintenancePlan) -> dict[str, Any]:
    """What is planned, as the form shows it."""
    rule = next((name for name, rule in RULES.items() if rule == plan.schedule), OWN)
    return {
        "name": maintenance.name,
        "description": maintenance.description,
        "announce_minutes": str(maintenance.announce_minutes),
        "comes": rule,
        "schedule": plan.schedule if rule == OWN else "",
        "starts_at": plan.wall_start[:16],
        "time_zone": plan.time_zone,
        "duration": words_of(plan.duration_minutes),
        "tags": ", ".join(plan.tags),
        "instance_ids": plan.instance_ids,
        "subject_ids": plan.subject_ids,
    }


def again(sent: Sent) -> dict[str, Any]:
    """What was sent, as the form shows it again."""
    values: dict[str, Any] = {name: text_of(sent, name) for name in FIELDS}
    for name in ("instance_ids", "subject_ids"):
        values[name] = texts_of(sent, name)
    return values


def new_values(query: Mapping[str, str], *, now: datetime) -> dict[str, Any]:
    """A form to begin with: tomorrow at this hour, for an hour."""
    start = (now + timedelta(days=1)).replace(minute=0)
    return {
        "name": "",
        "description": "",
        "schedule": "",
        "comes": ONCE,
        "starts_at": f"{start:%Y-%m-%dT%H:%M}",
        "time_zone": "UTC",
        "duration": "1h",
        "announce_minutes": "60",
        "tags": query.get("tags", "")[:200],
        "instance_ids": [],
        "subject_ids": [query["subject"][:36]] if query.get("subject") else [],
    }


def minutes_of(text: str) -> int:
    """A length as people write it: `2h`, `90m`, `1d 6h`. Raises `Invalid`."""
    clean = text.strip().lower()
    if not _DURATION.fullmatch(clean):
        raise Invalid(f"It lasts {text.strip()[:20]!r}; write 30m, 2h or 1d 6h.")
    return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(clean))


def words_of(minutes: int) -> str:
    """The same the other way round."""
    days, rest = divmod(minutes, 1440)
    hours, left = divmod(rest, 60)
    parts = [f"{n}{unit}" for n, unit in ((days, "d"), (hours, "h"), (left, "m")) if n]
    return " ".join(parts) or "0m"


def text_of(sent: Sent, name: str) -> str:
    """A field as text, "" when it was not sent."""
    value = sent.get(name, "")
    return value.strip() if isinstance(value, str) else ""


def texts_of(sent: Sent, name: str) -> list[str]:
    """All values of a field."""
    return [value for value in sent.getlist(name) if isinstance(value, str)]


def _start_of(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise Invalid("Say when it begins, first.") from None


def _number_of(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 7):  # noqa: PLR2004 - minutes
        raise Invalid("It is announced so many minutes before; choose one from the list.")
    return int(text)


def _rule_of(sent: Sent, starts_at: datetime) -> str:
    comes = text_of(sent, "comes")
    if comes == OWN:
        rule = text_of(sent, "schedule")
        if not rule:
            raise Invalid("Write the rule of your own: cron, or an RRULE.")
        return rule
    if comes == MONTHLY:
        week = (starts_at.day - 1) // 7 + 1
        place = "-1" if week == 5 else str(week)  # noqa: PLR2004 - no month has five of each
        return f"FREQ=MONTHLY;BYDAY={place}{_DAYS[starts_at.weekday()]}"
    if comes not in RULES:
        raise Invalid("That is no way to come again; choose one from the list.")
    return RULES[comes]
