"""Reading a calendar of somewhere else (RFC 5545): whose events last when, told by e-mail or name.

What comes is not trusted: few events, few rules, rules that do not come every second, and nothing
is worked out beyond the range that is asked for.
"""

import re
from calendar import isleap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rrulestr
from icalendar import Calendar
from icalendar.parser import Contentlines

from mainstay_server.areas.on_call.schemas.calendars import LONGEST_CALENDAR
from mainstay_server.kernel.problems import Invalid

from .people import Member
from .rotations import Shift

MOST_EVENTS = 2000
MOST_RULES = 200
MOST_SHIFTS = 1000
MOST_ATTENDEES = 50
OLDEST_RULE_YEARS = 10
LONGEST_RULE = 300
DAY = timedelta(days=1)
_EMAIL = re.compile(r"[^\s@,;:<>()\[\]\"]{1,64}@[A-Za-z0-9.-]{1,190}")
# What comes by the hour or the minute is no duty of anybody, but could keep the server busy.
_STRANGE_RULE = re.compile(
    r"SECONDLY|MINUTELY|HOURLY|BYHOUR|BYMINUTE|BYSECOND|BYYEARDAY|BYEASTER", re.IGNORECASE
)
# The rules of time zones are worked out by the library, up to the last year if they never come.
_ZONE_RULE = re.compile(
    r"(?!.*BYMONTHDAY.*BYDAY=-?\d)(?!.*BYDAY=-?\d.*BYMONTHDAY)FREQ=YEARLY(?:;(?:INTERVAL=1"
    r"|WKST=[A-Z]{2}|UNTIL=[0-9TZ]+|BYMONTH=(?:0?[1-9]|1[0-2])|BYDAY=-?[1-5]?[A-Z]{2}"
    r"|BYMONTHDAY=(?:0?[1-9]|1\d|2[0-8])(?:,\d\d?)*))*"
)
MOST_ZONE_RULES = 40
# An event of which one of these could not be read is not read at all.
_TIMES = {"DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID"}
_BROKEN = (ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError)


@dataclass(frozen=True, kw_only=True)
class Read:
    """What a calendar says: shifts of members, and how many events were of nobody known."""

    shifts: list[Shift]
    unmatched: int


@dataclass(frozen=True, kw_only=True)
class _Known:
    """The members of an organization, by address and by name in small letters."""

    by_address: Mapping[str, Member]
    by_name: Sequence[tuple[str, Member]]


@dataclass(frozen=True, kw_only=True)
class _Event:
    """One event as clocks show it; a date lasts from midnight to midnight."""

    uid: str
    person_id: str
    wall: datetime
    zone: tzinfo
    length: timedelta
    rule: str
    left_out: frozenset[datetime]
    added: tuple[datetime, ...]
    replaces: datetime | None


def read_calendar(
    text: str,
    members: Sequence[Member],
    *,
    time_zone: str,
    span: tuple[datetime, datetime],
    name: str = "",
) -> Read:
    """Whose events of a calendar overlap a span; times without a zone are in `time_zone`.

    An event is a member's whose address is among its ATTENDEEs or in its SUMMARY, or whose whole
    name is in its SUMMARY. Events that nobody is recognized in, or that cannot be read, are
    counted.

    Raises:
        Invalid: it is no calendar, or a larger one than is read.
    """
    if len(text.encode()) > LONGEST_CALENDAR:
        raise Invalid(f"The calendar is over {LONGEST_CALENDAR >> 10} KiB; export a shorter range.")
    found = _components(text)
    known = _Known(
        by_address={member.email.lower(): member for member in members},
        by_name=[(" ".join(member.name.lower().split()), member) for member in members],
    )
    events, unmatched, rules = [], 0, 0
    for component in found:
        event = _event_of(component, known, ZoneInfo(time_zone))
        rules += bool(event and event.rule)
        if event is None or (event.rule and rules > MOST_RULES):
            unmatched += not _is_cancelled(component)
        else:
            events.append(event)
    shifts, broken = _all_shifts(events, span, name)
    return Read(
        shifts=sorted(shifts, key=lambda each: (each.started_at, each.ended_at)),
        unmatched=unmatched + broken,
    )


def _components(text: str) -> list[Any]:
    if "BEGIN:VCALENDAR" not in text:
        raise Invalid("That is no calendar: it has no line BEGIN:VCALENDAR.")
    try:
        _refuse_strange_zones(text)
        calendar = Calendar.from_ical(text)
        found = [one for one in calendar.subcomponents if one.name == "VEVENT"]
    except (*_BROKEN, RecursionError) as error:
        raise Invalid(f"The calendar cannot be read: {str(error)[:100]}") from None
    if len(found) > MOST_EVENTS:
        raise Invalid(f"The calendar has over {MOST_EVENTS:,} events; export a shorter range.")
    return found


def _refuse_strange_zones(text: str) -> None:
    rules = list(_zone_rules(text)) if "VTIMEZONE" in text.upper() else []
    if len(rules) > MOST_ZONE_RULES or not all(map(_ZONE_RULE.fullmatch, rules)):
        raise Invalid("The calendar's time zones have rules that no clock follows; name the zones.")


def _zone_rules(text: str) -> Iterator[str]:
    """The rules within time zones, line by line as the library reads them."""
    within: list[str] = []
    for line in filter(None, Contentlines.from_ical(text)):  # type: ignore[no-untyped-call]
        try:
            name, _, value = line.parts()
        except ValueError:
            continue
        if name.upper() == "BEGIN":
            within.append(value.upper())
        elif name.upper() == "END":
            del within[-1:]
        elif name.upper() == "RRULE" and within[-1:] in (["STANDARD"], ["DAYLIGHT"]):
            yield value.upper()


def _event_of(component: Any, known: _Known, zone: ZoneInfo) -> _Event | None:  # noqa: ANN401 - what the library gives
    """An event of somebody known; None for others, cancelled ones, and what cannot be read."""
    if _is_cancelled(component) or any(name in _TIMES for name, _ in component.errors):
        return None
    try:
        person = _person_of(component, known)
        if person is None:
            return None
        start = component.decoded("DTSTART")
        wall, own_zone = _wall_of(start, zone)
        rule = component["RRULE"].to_ical().decode() if "RRULE" in component else ""
        replaces = component.decoded("RECURRENCE-ID") if "RECURRENCE-ID" in component else None
        event = _Event(
            uid=str(component.get("UID", "")),
            person_id=person.id,
            wall=wall,
            zone=own_zone,
            length=_length_of(component, start, wall, zone),
            rule=rule,
            left_out=frozenset(_dates_of(component, "EXDATE", zone)),
            added=tuple(_dates_of(component, "RDATE", zone))[:MOST_SHIFTS],
            replaces=None if replaces is None else _instant(*_wall_of(replaces, zone)),
        )
    except _BROKEN:
        return None
    strange = len(rule) > LONGEST_RULE or _STRANGE_RULE.search(rule)
    if ("RRULE" in component and not rule) or strange:
        return None
    return event if event.length > timedelta() else None


def _is_cancelled(component: Any) -> bool:  # noqa: ANN401 - what the library gives
    return str(component.get("STATUS", "")).upper() == "CANCELLED"


def _person_of(component: Any, known: _Known) -> Member | None:  # noqa: ANN401 - same
    attendees = component.get("ATTENDEE", [])
    listed = attendees if isinstance(attendees, list) else [attendees]
    summary = " ".join(str(component.get("SUMMARY", ""))[:500].lower().split())
    addresses = [
        str(each).lower().removeprefix("mailto:").strip() for each in listed[:MOST_ATTENDEES]
    ]
    for address in (*addresses, *_EMAIL.findall(summary)):
        if address in known.by_address:
            return known.by_address[address]
    # Nearly every name is nowhere in it, which is quickly seen: there may be millions of pairs.
    named = [
        member
        for name, member in known.by_name
        if name in summary and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", summary)
    ]
    return max(named, key=lambda member: len(member.name), default=None)


def _wall_of(value: date, zone: tzinfo) -> tuple[datetime, tzinfo]:
    """What clocks show, and where: in the event's own zone, or else in the schedule's."""
    if not isinstance(value, datetime):
        return datetime.combine(value, time()), zone
    own = value.tzinfo or zone
    return value.replace(tzinfo=None, microsecond=0), own


def _length_of(component: Any, start: date, wall: datetime, zone: tzinfo) -> timedelta:  # noqa: ANN401 - same
    """How long clocks say it lasts, so that a day stays a day when they are changed."""
    if "DTEND" in component:
        end, end_zone = _wall_of(component.decoded("DTEND"), zone)
        own_zone = _wall_of(start, zone)[1]
        shown = _instant(end, end_zone).astimezone(own_zone).replace(tzinfo=None)
        return shown - wall
    if "DURATION" in component:
        length: timedelta = component.decoded("DURATION")
        return length
    return timedelta() if isinstance(start, datetime) else DAY


def _dates_of(component: Any, name: str, zone: tzinfo) -> Iterator[datetime]:  # noqa: ANN401 - same
    given = component.get(name, [])
    for group in given if isinstance(given, list) else [given]:
        for each in group.dts:
            value = each.dt[0] if isinstance(each.dt, tuple) else each.dt
            yield _instant(*_wall_of(value, zone))


def _instant(wall: datetime, zone: tzinfo) -> datetime:
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def _all_shifts(
    events: Sequence[_Event], span: tuple[datetime, datetime], name: str
) -> tuple[list[Shift], int]:
    """The shifts in a span, and how many events lie where no clock can show them.

    An event that replaces one of a series takes its place.
    """
    replaced = frozenset((event.uid, event.replaces) for event in events if event.replaces)
    shifts: list[Shift] = []
    broken = 0
    for event in events:
        found = _shifts_of(event, replaced, span, name)
        broken += found is None
        shifts += found or ()
        if len(shifts) > MOST_SHIFTS:
            break
    return shifts[:MOST_SHIFTS], broken


def _shifts_of(
    event: _Event,
    replaced: frozenset[tuple[str, datetime | None]],
    span: tuple[datetime, datetime],
    name: str,
) -> list[Shift] | None:
    try:
        return list(islice(_shifts(event, replaced, span, name), MOST_SHIFTS))
    except OverflowError:
        return None


def _shifts(
    event: _Event,
    replaced: frozenset[tuple[str, datetime | None]],
    span: tuple[datetime, datetime],
    name: str,
) -> Iterator[Shift]:
    since, until = span
    for wall in _walls(event, span):
        start = _instant(wall, event.zone)
        if start in event.left_out:
            continue
        if event.replaces is None and (event.uid, start) in replaced:
            continue
        end = _instant(wall + event.length, event.zone)
        if start < until and end > since and start < end:
            yield Shift(person_id=event.person_id, started_at=start, ended_at=end, source=name)


def _walls(event: _Event, span: tuple[datetime, datetime]) -> Iterator[datetime]:
    """What clocks show at the starts of an event in a span: once, or by its rule."""
    yield from (one.astimezone(event.zone).replace(tzinfo=None) for one in event.added)
    if not event.rule:
        yield event.wall
        return
    since, until = (one.astimezone(event.zone).replace(tzinfo=None) for one in span)
    earliest = since - event.length - DAY
    try:
        rule, later = _rule_of(event, until=until)
        found = rule.between(earliest + later, until + later, inc=True)
    except _BROKEN:
        return
    yield from (wall - later for wall in islice(found, MOST_SHIFTS))


def _rule_of(event: _Event, *, until: datetime) -> tuple[rrule, timedelta]:
    """The rule as clocks show it, ended at the span, and how much later it is worked out.

    A rule that never comes is walked through up to the last year there is, whatever its end: so
    it is worked out in years shortly before that one, whose calendars are the same.
    """

    def as_shown(found: re.Match[str]) -> str:
        end = datetime.strptime(found[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return f"UNTIL={end.astimezone(event.zone):%Y%m%dT%H%M%S}"

    start = event.wall
    if start > until:
        raise ValueError("the rule has not begun")
    oldest = until - timedelta(days=366 * OLDEST_RULE_YEARS)
    if start < oldest:
        raise ValueError("the rule began too long ago")
    rule = rrulestr(re.sub(r"UNTIL=(\d{8}T\d{6}Z)", as_shown, event.rule), dtstart=start)
    if not isinstance(rule, rrule):
        raise TypeError("one rule is read, never a set of them")
    if rule._interval < 1:  # type: ignore[attr-defined] # noqa: SLF001 - same
        raise ValueError("a rule that does not go on never ends")
    own_end: datetime | None = rule._until  # type: ignore[attr-defined] # noqa: SLF001 - it has no other name
    later = start.replace(year=start.year + _years_later(start.year, until.year)) - start
    ends = min(own_end, until) if own_end else until
    return rule.replace(dtstart=start + later, until=ends + later), later


@lru_cache(maxsize=64)
def _years_later(first: int, last: int) -> int:
    """How much later years have the same calendars, as near to the last year as there are any."""

    def same(later: int) -> bool:
        return all(
            isleap(year) == isleap(year + later)
            and date(year, 1, 1).weekday() == date(year + later, 1, 1).weekday()
            for year in range(first - 1, last + 2)
        )

    return next(later for later in range(MAXYEAR - 1 - last, -1, -1) if same(later))
