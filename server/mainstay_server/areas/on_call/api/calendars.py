"""The API of calendars: those that a schedule reads, and the private ones that others read."""

from typing import Annotated

from fastapi import Path
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.on_call.models import OnCallCalendar
from mainstay_server.areas.on_call.schemas.calendars import (
    CalendarAnswer,
    CalendarBody,
    CalendarsAnswer,
    FeedAnswer,
)
from mainstay_server.areas.on_call.service import calendars, feeds, schedules
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.web import Cursor, Limit, Router
from mainstay_server.tenancy.addresses import base_url

from .frame import Seen, Written
from .schedules import SCHEDULE, ScheduleId

CALENDARS = SCHEDULE + "/calendars"

router = Router()

CalendarId = Annotated[str, Path(description="The id of the calendar.", max_length=36)]


@router.get(CALENDARS, summary="List the calendars of a schedule")
def list_calendars(
    session: Session,
    caller: Seen,
    schedule_id: ScheduleId,
    *,
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> CalendarsAnswer:
    """The calendars that a schedule reads; a later one covers an earlier one."""
    found = schedules.get_schedule(session, caller.organization_id, schedule_id)
    page = calendars.list_calendars(session, found, limit=limit, cursor=cursor)
    return CalendarsAnswer(
        calendars=[_answer(each) for each in page.items], next_cursor=page.next_cursor
    )


@router.post(CALENDARS, summary="Have a schedule read a calendar", status_code=201)
def add_calendar(
    session: Session, caller: Written, schedule_id: ScheduleId, body: CalendarBody
) -> CalendarAnswer:
    """Read a calendar from its URL every 15 minutes, or the text of one that is given here.

    An event is a member's whose e-mail address is among its attendees or in its title.
    """
    found = schedules.get_schedule(session, caller.organization_id, schedule_id)
    return _answer(
        calendars.add_calendar(
            session, found, name=body.name, url=body.url, text=body.text, now=utc_now()
        )
    )


@router.delete(CALENDARS + "/{calendar_id}", summary="Read a calendar no more", status_code=204)
def remove_calendar(
    session: Session, caller: Written, schedule_id: ScheduleId, calendar_id: CalendarId
) -> None:
    """Its shifts are gone; what the layers say holds again."""
    found = schedules.get_schedule(session, caller.organization_id, schedule_id)
    calendars.remove_calendar(session, found, calendar_id, now=utc_now())


@router.post(SCHEDULE + "/feed", summary="Make the private address of a schedule's shifts")
def make_feed(
    request: Request, session: Session, caller: Written, schedule_id: ScheduleId
) -> FeedAnswer:
    """An address at which any calendar reads the shifts; one made before ends."""
    found = schedules.get_schedule(session, caller.organization_id, schedule_id)
    about = feeds.about_schedule(found.id)
    feed = feeds.make_feed(session, caller.organization_id, about, now=utc_now())
    return FeedAnswer(url=base_url(request) + feeds.path_of(feed))


@router.post("/api/on-call/feed", summary="Make the private address of my own shifts")
def make_my_feed(request: Request, session: Session, caller: Written) -> FeedAnswer:
    """An address at which a calendar reads the shifts of the caller, over all schedules."""
    about = feeds.about_person(caller.person_id)
    feed = feeds.make_feed(session, caller.organization_id, about, now=utc_now())
    return FeedAnswer(url=base_url(request) + feeds.path_of(feed))


def _answer(row: OnCallCalendar) -> CalendarAnswer:
    return CalendarAnswer(
        id=row.id,
        name=row.name,
        source=calendars.shown(row),
        shifts=len(row.shifts),
        unmatched=row.unmatched,
        read_at=row.read_at,
        last_error=row.last_error,
    )
