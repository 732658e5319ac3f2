"""When windows begin: a rule on the clocks of a time zone, and the moments that it means."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from dateutil.rrule import rrule, rrulestr

from mainstay_server.kernel.problems import Invalid

DAY = timedelta(days=1)
LONGEST_SCHEDULE = 300
MOST_YEARS = 10
CRON_FIELDS = 5
# Far from the ends of what a calendar has, so that no zone leads over them.
FIRST_YEAR, LAST_YEAR = 1970, 9000
# Closer together, and it is one window that should be planned as a whole.
LEAST_APART = timedelta(hours=1)
TRIED_STARTS = 60
# What each frequency may be narrowed by. What is left out either says what another one says
# better, or could make the search for a start that never comes take minutes.
_ALWAYS = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST"}
_PARTS = {
    "DAILY": _ALWAYS | {"BYDAY"},
    "WEEKLY": _ALWAYS | {"BYDAY"},
    "MONTHLY": _ALWAYS | {"BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS"},
    "YEARLY": _ALWAYS | {"BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS"},
}
_DAYS = r"([+-]?[1-5]?(MO|TU|WE|TH|FR|SA|SU))"
_DAY = r"-?([1-9]|[12]\d|3[01])"
_MONTH = r"([1-9]|1[0-2])"
_POSITION = r"-?[1-9]\d{0,2}"
_VALUES = {
    "FREQ": re.compile(r"[A-Z]+"),
    "INTERVAL": re.compile(r"[1-9]\d{0,2}"),
    "COUNT": re.compile(r"[1-9]\d{0,3}"),
    "UNTIL": re.compile(r"\d{8}(T\d{6}Z?)?"),
    "WKST": re.compile(r"MO|TU|WE|TH|FR|SA|SU"),
    "BYDAY": re.compile(rf"{_DAYS}(,{_DAYS}){{0,34}}"),
    "BYMONTHDAY": re.compile(rf"{_DAY}(,{_DAY}){{0,30}}"),
    "BYMONTH": re.compile(rf"{_MONTH}(,{_MONTH}){{0,11}}"),
    "BYSETPOS": re.compile(rf"{_POSITION}(,{_POSITION}){{0,11}}"),
}
_UNTIL = re.compile(r"UNTIL=(\d{8})(T\d{6})?(Z?)")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When windows begin. `rule` is a cron expression, an RRULE, or "" for once.

    `starts_at` is the first possible start and `wall_start` what clocks in `time_zone` show then.
    A rule goes by those clocks. A start that a change of time leaves out is later by as much as
    the clocks were put forward; one that comes twice is meant the first time (RFC 5545, 3.3.5).
    """

    rule: str
    starts_at: datetime
    wall_start: datetime
    time_zone: str


def checked_schedule(rule: str, *, starts_at: datetime, time_zone: str) -> Schedule:
    """A schedule as it is kept; `starts_at` without a zone is what clocks in `time_zone` show.

    Raises:
        Invalid: there is no such zone, the rule cannot be read, never comes, or comes too often.
    """
    zone = _zone_of(time_zone)
    clean = rule.strip().removeprefix("RRULE:").strip()
    if not FIRST_YEAR <= starts_at.year <= LAST_YEAR:
        raise Invalid("startsAt must lie within five years from now.")
    if starts_at.tzinfo is None:
        starts_at = instant_of(starts_at, zone)
    schedule = Schedule(
        rule=clean if "=" not in clean else clean.upper(),
        starts_at=starts_at.astimezone(UTC).replace(microsecond=0),
        wall_start=starts_at.astimezone(zone).replace(tzinfo=None, microsecond=0),
        time_zone=time_zone,
    )
    if schedule.rule:
        _refuse_strange(schedule)
    return schedule


def starts_between(schedule: Schedule, since: datetime, until: datetime) -> Iterator[datetime]:
    """The starts from `since` up to but not including `until`, in UTC, in order, each once."""
    if not schedule.rule:
        if since <= schedule.starts_at < until:
            yield schedule.starts_at
        return
    last = min(until.year, since.year + MOST_YEARS, LAST_YEAR)
    for year in range(since.year, last + 1):
        yield from (start for start in _starts_of_year(schedule, year) if since <= start < until)


def first_start(schedule: Schedule, *, since: datetime) -> datetime | None:
    """The first start at `since` or later, looked for over ten years; None without one."""
    until = since + timedelta(days=366 * (MOST_YEARS - 1))
    return next(starts_between(schedule, since, until), None)


def instant_of(wall: datetime, zone: ZoneInfo) -> datetime:
    """The moment at which clocks of a zone show a time, in UTC.

    One that they leave out is read with the offset before the change, which puts it later by as
    much as the clocks were put forward. One that they show twice is the first of the two.
    """
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


@lru_cache(maxsize=2048)
def _starts_of_year(schedule: Schedule, year: int) -> tuple[datetime, ...]:
    """The starts in one year of UTC: pure, so each is worked out once."""
    zone = ZoneInfo(schedule.time_zone)
    first, last = datetime(year, 1, 1) - DAY, datetime(year, 12, 31) + 2 * DAY  # noqa: DTZ001 - what clocks show
    moments = {instant_of(wall, zone) for wall in _walls_between(schedule, first, last)}
    return tuple(
        sorted(moment for moment in moments if moment.year == year and moment >= schedule.starts_at)
    )


def _walls_between(schedule: Schedule, first: datetime, last: datetime) -> Iterator[datetime]:
    """What clocks show at the starts of a rule between two times that they show."""
    if "=" in schedule.rule:
        yield from _rrule_of(schedule).between(first, last, inc=True)
        return
    later = _walls(schedule, since=max(first, schedule.wall_start))
    yield from takewhile(lambda wall: wall <= last, later)


def _walls(schedule: Schedule, *, since: datetime | None = None) -> Iterator[datetime]:
    """What clocks show at the starts of a rule, from the first on; lazily, since it may not end."""
    if "=" in schedule.rule:
        return iter(_rrule_of(schedule))
    # One minute earlier, since the expression is asked for what comes after.
    return CronSim(schedule.rule, (since or schedule.wall_start) - timedelta(minutes=1))


def _rrule_of(schedule: Schedule) -> rrule:
    """The rule, with its end as clocks of the zone show it, which is how it is compared."""
    zone = ZoneInfo(schedule.time_zone)

    def as_shown(found: re.Match[str]) -> str:
        day, time, is_utc = found[1], found[2], found[3]
        if not time:
            return f"UNTIL={day}T235959"
        if not is_utc:
            return f"UNTIL={day}{time}"
        end = datetime.strptime(f"{day}{time}Z", "%Y%m%dT%H%M%S%z").astimezone(zone)
        return f"UNTIL={end:%Y%m%dT%H%M%S}"

    parsed = rrulestr(_UNTIL.sub(as_shown, schedule.rule), dtstart=schedule.wall_start)
    assert isinstance(parsed, rrule), "one rule is read, never a set of them"
    return parsed


def _zone_of(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(
            f"There is no time zone {name[:60]!r}; write it like Europe/Berlin."
        ) from None


def _refuse_strange(schedule: Schedule) -> None:
    if len(schedule.rule) > LONGEST_SCHEDULE:
        raise Invalid(f"schedule must have at most {LONGEST_SCHEDULE} characters.")
    if "=" in schedule.rule:
        _refuse_strange_parts(schedule.rule)
    elif len(schedule.rule.split()) != CRON_FIELDS:
        raise Invalid(
            "schedule is five cron fields (0 2 * * SUN#1) or an RRULE (FREQ=MONTHLY;BYDAY=1SU)."
        )
    try:
        starts = list(islice(_walls(schedule), TRIED_STARTS))
    except (CronSimError, ValueError, OverflowError) as error:
        raise Invalid(f"schedule cannot be read: {error}.") from None
    if not starts:
        raise Invalid("schedule never comes; choose a day that exists, and an end that is later.")
    if any(after - before < LEAST_APART for before, after in pairwise(starts)):
        raise Invalid("schedule comes more often than every hour; plan one longer window instead.")


def _refuse_strange_parts(rule: str) -> None:
    pairs = [part.partition("=")[::2] for part in rule.strip(";").split(";")]
    given = dict(pairs)
    frequency = given.get("FREQ", "")
    allowed = _PARTS.get(frequency)
    if allowed is None or len(given) < len(pairs):
        raise Invalid("FREQ of the schedule must be DAILY, WEEKLY, MONTHLY or YEARLY, once.")
    for name, value in pairs:
        if name not in allowed:
            raise Invalid(
                f"A {frequency} schedule takes no {name[:40]!r}; it takes "
                f"{', '.join(sorted(allowed - {'FREQ'}))}, and its time is that of the first start."
            )
        if not _VALUES[name].fullmatch(value):
            raise Invalid(f"{name} of the schedule cannot be {value[:40]!r}.")
    if "COUNT" in given and "UNTIL" in given:
        raise Invalid("A schedule ends by COUNT or by UNTIL; give one of them.")
    if frequency in {"DAILY", "WEEKLY"} and re.search(r"\d", given.get("BYDAY", "")):
        raise Invalid("BYDAY with a number, such as 1SU, needs FREQ=MONTHLY or FREQ=YEARLY.")
