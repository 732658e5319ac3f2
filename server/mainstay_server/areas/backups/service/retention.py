"""Retention: which backups go, as a pure function that the preview and the deletion share."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from mainstay_server.areas.backups.models import DEFAULT_KEEP_DAYS, STAGING_KEEP_DAYS


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How long backups stay; a backup stays when any of the rules keeps it.

    `days` keeps those of the last so many times 24 hours, `count` the newest ones. Grandfather,
    father, son: of each of the last `daily` days, `weekly` ISO weeks, `monthly` months and `yearly`
    years *that have a backup*, the newest one; calendars are those of `time_zone`. Zeros keep
    nothing, and a policy of zeros alone keeps all.
    """

    days: int = 0
    count: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    time_zone: str = "UTC"


PRODUCTION = Policy(days=DEFAULT_KEEP_DAYS)
STAGING = Policy(days=STAGING_KEEP_DAYS)


@dataclass(frozen=True)
class Kept:
    """A backup as retention sees it."""

    id: str
    finished_at: datetime
    is_verified: bool


@dataclass(frozen=True)
class Decision:
    """What happens to one backup, and why: the rules that keep it, or none."""

    id: str
    reasons: tuple[str, ...]

    @property
    def stays(self) -> bool:
        """Whether any rule keeps it."""
        return bool(self.reasons)


Calendar = Callable[[datetime], tuple[int, ...]]

CALENDARS: dict[str, Calendar] = {
    "daily": lambda at: (at.year, at.month, at.day),
    "weekly": lambda at: tuple(at.isocalendar()[:2]),
    "monthly": lambda at: (at.year, at.month),
    "yearly": lambda at: (at.year,),
}


def decide(backups: Iterable[Kept], policy: Policy, *, now: datetime) -> list[Decision]:
    """Decide for each backup, newest first, whether it stays.

    The newest verified backup always stays, whatever the policy: until a newer one was verified
    it is the only one known to restore. So does the newest of all, which may be verified yet. What
    lies in the future by `now` (a clock was wrong) stays, for its age is not known.
    """
    ordered = sorted(backups, key=lambda each: (each.finished_at, each.id), reverse=True)
    reasons: dict[str, list[str]] = {each.id: [] for each in ordered}
    for name, kept in _rules(ordered, policy, now=now):
        for each in kept:
            reasons[each.id].append(name)
    return [Decision(each.id, tuple(reasons[each.id])) for each in ordered]


def _rules(
    ordered: Sequence[Kept], policy: Policy, *, now: datetime
) -> Iterable[tuple[str, Iterable[Kept]]]:
    yield "last verified", [each for each in ordered if each.is_verified][:1]
    yield "newest", ordered[:1]
    yield "from the future", [each for each in ordered if each.finished_at > now]
    if policy == Policy(time_zone=policy.time_zone):
        yield "no policy", ordered
    border = now - timedelta(days=policy.days)
    yield "days", [each for each in ordered if each.finished_at > border]
    yield "count", ordered[: policy.count]
    for name, calendar in CALENDARS.items():
        most: int = getattr(policy, name)
        yield name, _newest_of_each(ordered, calendar, most, ZoneInfo(policy.time_zone))


def _newest_of_each(
    ordered: Sequence[Kept], calendar: Calendar, most: int, zone: ZoneInfo
) -> list[Kept]:
    newest: dict[tuple[int, ...], Kept] = {}
    for each in ordered:
        newest.setdefault(calendar(each.finished_at.astimezone(zone)), each)
    return list(newest.values())[:most]
