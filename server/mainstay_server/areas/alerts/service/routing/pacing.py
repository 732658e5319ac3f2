"""When a message of a group leaves: the first at once, what follows gathered. Pure, over a clock.

A group is what one channel hears together: alerts of one route whose chosen labels are alike. The
words are those of Alertmanager: group wait, group interval, repeat interval.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

DEFAULT_GROUP_BY = ("environment", "alertname", "severity")
NEVER = timedelta(0)


class Reason(StrEnum):
    """Why a channel is to be told something of an alert now."""

    OPENED = "opened"
    RESOLVED = "resolved"
    REPEAT = "repeat"


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How a group is told: how long its first alert waits for others, and then the others.

    `repeat` of nothing means that what lasts is told once.
    """

    wait: timedelta = timedelta(0)
    interval: timedelta = timedelta(seconds=60)
    repeat: timedelta = NEVER


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What one channel knows of one alert: when it was last told that it is there, and its end."""

    told_at: datetime | None = None
    is_over: bool = False


def needs_update(
    entry: Entry, *, firing: bool, resolved: bool, repeat: timedelta, now: datetime
) -> Reason | None:
    """Why a channel has to be told of an alert now, or None when it knows all there is.

    `firing` is whether it may be told as lasting: it is active, and nobody has taken it in hand
    after the channel heard of it. An end is told only to who heard the beginning, and once.
    """
    if entry.is_over:
        return None
    if entry.told_at is None:
        return Reason.OPENED if firing else None
    if resolved:
        return Reason.RESOLVED
    if firing and repeat > NEVER and now - entry.told_at >= repeat:
        return Reason.REPEAT
    return None


def opening_due(
    *, told_at: datetime | None, waiting_until: datetime | None, pace: Pace, now: datetime
) -> datetime:
    """When an alert that joins a group now is told: with those that wait, if any do.

    Otherwise after the group wait where the group was quiet for an interval, which by default is at
    once, and else when an interval has passed since its last message. A clock that was set back
    meanwhile makes nothing later than if the group were told just now.
    """
    latest = _latest(pace, now=now)
    if waiting_until is not None:
        return min(waiting_until, latest)
    if told_at is None or now - told_at >= pace.interval:
        return now + pace.wait
    return min(max(told_at + pace.interval, now + pace.wait), latest)


def ending_due(
    *, others_stand: bool, waiting_until: datetime | None, pace: Pace, now: datetime
) -> datetime:
    """When the end of an alert is told: at once where nothing else of its group still stands.

    Otherwise within an interval, together with what ends until then, or at once when all has.
    """
    if not others_stand:
        return now
    if waiting_until is None:
        return now + pace.interval
    return min(waiting_until, _latest(pace, now=now))


def _latest(pace: Pace, *, now: datetime) -> datetime:
    """When at the latest something of a group is told, whatever a clock said before."""
    return now + max(pace.interval, pace.wait)


def group_key(labels: Mapping[str, str], group_by: Iterable[str]) -> tuple[str, dict[str, str]]:
    """What tells a group from others of its route and channel, and the labels it stands for."""
    chosen = {name: labels.get(name, "") for name in sorted(set(group_by))}
    return hashlib.sha256(msgspec.json.encode(chosen, order="sorted")).hexdigest(), chosen


def earliest(*moments: datetime | None) -> datetime | None:
    """The first of some moments, or None when there is none."""
    return min((each for each in moments if each is not None), default=None)
