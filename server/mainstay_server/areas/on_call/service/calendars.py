"""Calendars that a schedule reads: added, fetched again and again, removed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.on_call.models import OnCallCalendar, OnCallSchedule
from mainstay_server.areas.on_call.schemas.calendars import LONGEST_CALENDAR
from mainstay_server.contracts.on_call import OnCallCalendarAdded, OnCallCalendarRemoved
from mainstay_server.kernel.database import new_id, reading, transaction
from mainstay_server.kernel.events import say
from mainstay_server.kernel.outbound import OutboundError, fetch_blocking
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, Page, decode_cursor, page_of
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound

from .people import Member, members_of
from .reading import Read, read_calendar

MOST_CALENDARS = 10
FETCHED_EVERY = timedelta(minutes=15)
# What lies sealed or pasted is worked out again in time, since only the days around now are kept.
READ_EVERY = timedelta(hours=6)
BEHIND, AHEAD = timedelta(days=30), timedelta(days=180)
TIMEOUT_SECONDS = 15.0
MOST_AT_ONCE = 20
LONGEST_ERROR = 300
OK = 200


def add_calendar(
    session: Session, schedule: OnCallSchedule, *, name: str, url: str, text: str, now: datetime
) -> OnCallCalendar:
    """Have a schedule read a calendar: a pasted one now, one behind a URL within a minute.

    Raises:
        Invalid: neither or both were given, the URL is none, or the text is no calendar.
        Conflict: the schedule reads as many as it may.
    """
    url = url.strip().replace("webcal://", "https://", 1)
    if bool(url) == bool(text.strip()):
        raise Invalid("Give either the url of a calendar, or its text.")
    if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
        raise Invalid("url must be the whole address of a calendar, from https:// on.")
    session.get_one(OnCallSchedule, schedule.id, with_for_update=True)
    counted = sa.select(sa.func.count()).where(OnCallCalendar.schedule_id == schedule.id)
    if (session.scalar(counted) or 0) >= MOST_CALENDARS:
        raise Conflict(f"The schedule reads {MOST_CALENDARS} calendars; remove one.")
    calendar = OnCallCalendar(
        id=new_id(),
        schedule_id=schedule.id,
        name=name.strip() or "Calendar",
        url=url,
        text=text,
        shifts=[],
        due_at=now,
        created_at=now,
    )
    if text:
        members = list(members_of(session, schedule.organization_id).values())
        zone = schedule.time_zone
        read = _read(text, members, time_zone=zone, name=calendar.name, now=now)
        _keep(calendar, read, now=now)
    session.add(calendar)
    session.flush()
    event = OnCallCalendarAdded(
        organization_id=schedule.organization_id, calendar_id=calendar.id, name=calendar.name
    )
    say(session, event, now=now)
    return calendar


def remove_calendar(
    session: Session, schedule: OnCallSchedule, calendar_id: str, *, now: datetime
) -> None:
    """Read a calendar no more; its shifts are gone. Raises `NotFound`."""
    calendar = session.get(OnCallCalendar, calendar_id)
    if calendar is None or calendar.schedule_id != schedule.id:
        raise NotFound("The schedule reads no such calendar; GET …/calendars lists them.")
    event = OnCallCalendarRemoved(
        organization_id=schedule.organization_id, calendar_id=calendar.id, name=calendar.name
    )
    say(session, event, now=now)
    session.delete(calendar)


def list_calendars(
    session: Session, schedule: OnCallSchedule, *, limit: int = DEFAULT_PER_PAGE, cursor: str = ""
) -> Page[OnCallCalendar]:
    """The calendars of a schedule, in the order in which they were added."""
    statement = sa.select(OnCallCalendar).where(OnCallCalendar.schedule_id == schedule.id)
    after = decode_cursor(cursor, parts=1)
    if after is not None:
        statement = statement.where(OnCallCalendar.id > str(after[0]))
    found = session.scalars(statement.order_by(OnCallCalendar.id).limit(limit + 1)).all()
    return page_of(found, limit=limit, key=lambda each: (each.id,))


def shown(calendar: OnCallCalendar) -> str:
    """Where it comes from, without what is secret of it."""
    if not calendar.url:
        return "pasted"
    parts = urlsplit(calendar.url)
    return f"{parts.scheme}://{parts.hostname}/…"


def read_due(*, now: datetime) -> int:
    """Fetch and read the calendars that are due, at most 20; returns how many.

    One that cannot be fetched keeps what it said last, with the reason, and is tried again.
    """
    with reading() as session:
        due = session.execute(
            sa.select(OnCallCalendar.id, OnCallCalendar.url)
            .where(OnCallCalendar.due_at <= now)
            .order_by(OnCallCalendar.due_at)
            .limit(MOST_AT_ONCE)
        ).all()
    for calendar_id, url in due:
        _put_off(calendar_id, now=now)
        text, error = _fetched(url) if url else ("", "")
        read, error = (None, error) if error else _read_apart(calendar_id, text, now=now)
        with transaction() as session:
            calendar = session.get(OnCallCalendar, calendar_id, with_for_update=True)
            if calendar is None or calendar.url != url:
                continue
            if read is None:
                _keep_failure(calendar, error, now=now)
            else:
                _keep(calendar, read, now=now)
    return len(due)


def _put_off(calendar_id: str, *, now: datetime) -> None:
    """Have it due later before it is read, so that one that breaks the reading stops no other."""
    with transaction() as session:
        calendar = session.get(OnCallCalendar, calendar_id, with_for_update=True)
        if calendar is not None:
            calendar.due_at = now + (FETCHED_EVERY if calendar.url else READ_EVERY)


def _fetched(url: str) -> tuple[str, str]:
    """The text behind a URL, and why there is none."""
    try:
        answer = fetch_blocking(
            "GET",
            url,
            headers={"accept": "text/calendar, */*;q=0.1"},
            timeout_seconds=TIMEOUT_SECONDS,
            max_body_bytes=LONGEST_CALENDAR,
            truncate=False,
            follow_redirects=True,
        )
    except OutboundError as failure:
        return "", str(failure)
    if answer.status != OK:
        return "", f"The calendar's server answered {answer.status}."
    return answer.body.decode("utf-8", "replace"), ""


def _read_apart(calendar_id: str, text: str, *, now: datetime) -> tuple[Read | None, str]:
    """What a calendar says, worked out outside of any transaction, or why nothing."""
    with reading() as session:
        calendar = session.get(OnCallCalendar, calendar_id)
        if calendar is None:
            return None, "The calendar was removed."
        schedule = session.get_one(OnCallSchedule, calendar.schedule_id)
        members = list(members_of(session, schedule.organization_id).values())
        text, name, zone = text or calendar.text, calendar.name, schedule.time_zone
    try:
        return _read(text, members, time_zone=zone, name=name, now=now), ""
    except Invalid as refused:
        return None, refused.detail


def _keep_failure(calendar: OnCallCalendar, reason: str, *, now: datetime) -> None:
    calendar.failed_at = calendar.failed_at or now
    calendar.last_error = reason[:LONGEST_ERROR]


def _read(
    text: str, members: Sequence[Member], *, time_zone: str, name: str, now: datetime
) -> Read:
    span = (now - BEHIND, now + AHEAD)
    return read_calendar(text, members, time_zone=time_zone, span=span, name=name)


def _keep(calendar: OnCallCalendar, read: Read, *, now: datetime) -> None:
    calendar.shifts = [
        [each.person_id, each.started_at.isoformat(), each.ended_at.isoformat()]
        for each in read.shifts
    ]
    calendar.unmatched = read.unmatched
    calendar.read_at = now
    calendar.due_at = now + (FETCHED_EVERY if calendar.url else READ_EVERY)
    calendar.failed_at, calendar.last_error = None, ""
