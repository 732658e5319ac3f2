"""The API of schedules: made, changed, overridden, and who is on call in them."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Path, Query
from sqlalchemy.orm import Session

from mainstay_server.areas.on_call.models import OnCallSchedule
from mainstay_server.areas.on_call.schemas.schedules import (
    OverrideAnswer,
    OverrideBody,
    OverridesAnswer,
    ScheduleAnswer,
    ScheduleBody,
    ScheduleChanges,
    SchedulesAnswer,
    ShiftsAnswer,
)
from mainstay_server.areas.on_call.service import schedules
from mainstay_server.areas.on_call.service.people import Member, members_of
from mainstay_server.areas.on_call.service.rotations import shifts_between
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, page_within
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.web import Cursor, Limit, Router

from .frame import Seen, Written, override_answer, shift_answer

SCHEDULES = "/api/on-call/schedules"
SCHEDULE = SCHEDULES + "/{schedule_id}"
OVERRIDES = SCHEDULE + "/overrides"
FIRST_YEAR, LAST_YEAR = 1980, 2200
A_FORTNIGHT = timedelta(days=14)

router = Router()

ScheduleId = Annotated[str, Path(description="The id of the schedule.", max_length=36)]
OverrideId = Annotated[str, Path(description="The id of the override.", max_length=36)]


@router.get(SCHEDULES, summary="List on-call schedules")
def list_schedules(
    session: Session,
    caller: Seen,
    *,
    q: Annotated[str, Query(max_length=100, description="In the name.")] = "",
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> SchedulesAnswer:
    """The schedules of the organization by name, each with who is on call now."""
    now, organization_id = utc_now(), caller.organization_id
    page = schedules.list_schedules(session, organization_id, text=q, limit=limit, cursor=cursor)
    members = members_of(session, organization_id)
    return SchedulesAnswer(
        schedules=[_answer(session, each, members, now=now) for each in page.items],
        next_cursor=page.next_cursor,
    )


@router.post(SCHEDULES, summary="Make an on-call schedule", status_code=201)
def make_schedule(session: Session, caller: Written, body: ScheduleBody) -> ScheduleAnswer:
    """Make a schedule, with its layers or without any yet."""
    now = utc_now()
    made = schedules.make_schedule(session, caller.organization_id, body.model_dump(), now=now)
    return _answer(session, made, members_of(session, caller.organization_id), now=now)


@router.get(SCHEDULE, summary="One on-call schedule")
def get_schedule(session: Session, caller: Seen, schedule_id: ScheduleId) -> ScheduleAnswer:
    """A schedule with its layers, and who is on call now."""
    found = schedules.get_schedule(session, caller.organization_id, schedule_id)
    members = members_of(session, caller.organization_id)
    return _answer(session, found, members, now=utc_now())


@router.patch(SCHEDULE, summary="Change an on-call schedule")
def change_schedule(
    session: Session, caller: Written, schedule_id: ScheduleId, changes: ScheduleChanges
) -> ScheduleAnswer:
    """Change its name, zone or layers; `layers` replaces all of them."""
    now = utc_now()
    found = schedules.get_schedule(session, caller.organization_id, schedule_id, locked=True)
    given = changes.model_dump(exclude_none=True)
    schedules.change_schedule(session, found, given, now=now)
    return _answer(session, found, members_of(session, caller.organization_id), now=now)


@router.delete(SCHEDULE, summary="Remove an on-call schedule", status_code=204)
def remove_schedule(session: Session, caller: Written, schedule_id: ScheduleId) -> None:
    """Remove it; steps that tell who is on call in it are skipped from now on."""
    found = schedules.get_schedule(session, caller.organization_id, schedule_id, locked=True)
    schedules.remove_schedule(session, found, now=utc_now())


@router.get(SCHEDULE + "/shifts", summary="Who is on call over a range")
def list_shifts(  # noqa: PLR0913 - what can be chosen
    session: Session,
    caller: Seen,
    schedule_id: ScheduleId,
    *,
    since: Annotated[datetime | None, Query(alias="from", description="Default: now.")] = None,
    until: Annotated[
        datetime | None, Query(alias="to", description="Default: 14 days later.")
    ] = None,
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> ShiftsAnswer:
    """Shifts and gaps without holes over at most 366 days; a moment is asked for by both ends."""
    found = schedules.get_schedule(session, caller.organization_id, schedule_id)
    since = since or utc_now()
    until = until or since + A_FORTNIGHT
    for moment in (since, until):
        if moment.tzinfo is None or not FIRST_YEAR <= moment.year <= LAST_YEAR:
            raise Invalid("from and to need a time zone, such as a Z, and a year of this time.")
    members = members_of(session, caller.organization_id)
    page = page_within(
        schedules.list_shifts(session, found, since=since, until=until),
        limit=limit,
        cursor=cursor,
        key=lambda each: (each.started_at.isoformat(timespec="microseconds"),),
    )
    return ShiftsAnswer(
        shifts=[shift_answer(each, members) for each in page.items],
        next_cursor=page.next_cursor,
    )


@router.get(OVERRIDES, summary="List overrides")
def list_overrides(
    session: Session,
    caller: Seen,
    schedule_id: ScheduleId,
    *,
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> OverridesAnswer:
    """Those that last or come, in the order in which they were made; the later one counts."""
    found = schedules.get_schedule(session, caller.organization_id, schedule_id)
    page = schedules.list_overrides(session, found, limit=limit, cursor=cursor, now=utc_now())
    return OverridesAnswer(
        overrides=[override_answer(each) for each in page.items], next_cursor=page.next_cursor
    )


@router.post(OVERRIDES, summary="Take over for a while", status_code=201)
def make_override(
    session: Session, caller: Written, schedule_id: ScheduleId, body: OverrideBody
) -> OverrideAnswer:
    """Have somebody be on call from a start to an end, whatever the layers say."""
    found = schedules.get_schedule(session, caller.organization_id, schedule_id)
    span = (body.starts_at, body.ends_at)
    return override_answer(
        schedules.make_override(session, found, body.person_id, span, now=utc_now())
    )


@router.delete(OVERRIDES + "/{override_id}", summary="Remove an override", status_code=204)
def remove_override(
    session: Session, caller: Written, schedule_id: ScheduleId, override_id: OverrideId
) -> None:
    """What the layers and calendars say holds again."""
    found = schedules.get_schedule(session, caller.organization_id, schedule_id)
    schedules.remove_override(session, found, override_id, now=utc_now())


def _answer(
    session: Session, schedule: OnCallSchedule, members: dict[str, Member], *, now: datetime
) -> ScheduleAnswer:
    first = shifts_between(schedules.plan_of(session, schedule), now, now + A_FORTNIGHT)[0]
    return ScheduleAnswer(
        id=schedule.id,
        name=schedule.name,
        time_zone=schedule.time_zone,
        layers=schedules.layers_of(schedule),
        on_call=shift_answer(first, members) if first.person_id in members else None,
        created_at=schedule.created_at,
    )
