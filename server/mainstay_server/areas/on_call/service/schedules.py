"""Schedules: making and changing them, overrides, and who is on call in them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.on_call.models import OnCallCalendar, OnCallOverride, OnCallSchedule
from mainstay_server.areas.on_call.schemas.schedules import LayerBody
from mainstay_server.contracts.on_call import (
    OnCallOverrideCreated,
    OnCallOverrideRemoved,
    OnCallPerson,
    OnCallScheduleChanged,
    OnCallScheduleCreated,
    OnCallScheduleRemoved,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, Page, decode_cursor, page_of
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.tenancy.models import Organization

from .people import members_of, name_of, refuse_strangers
from .rotations import OVERRIDE, Plan, Shift, on_call_at, shifts_between

MOST_SCHEDULES = 100
MOST_OVERRIDES = 200
LONGEST_OVERRIDE = timedelta(days=366)
LONGEST_RANGE = timedelta(days=366)
LOOKED_AHEAD = timedelta(days=14)
FACTS = ("name", "time_zone", "layers")


def make_schedule(
    session: Session, organization_id: str, wanted: Mapping[str, Any], *, now: datetime
) -> OnCallSchedule:
    """Make a schedule of a name, a time zone and layers.

    Raises:
        Invalid: there is no such zone, or somebody in a layer is no member.
        Conflict: the organization has as many as it may.
    """
    session.get_one(Organization, organization_id, with_for_update=True)  # or two go in at once
    counted = sa.select(sa.func.count()).where(OnCallSchedule.organization_id == organization_id)
    if (session.scalar(counted) or 0) >= MOST_SCHEDULES:
        raise Conflict(f"The organization has {MOST_SCHEDULES} schedules; remove one.")
    schedule = OnCallSchedule(
        id=new_id(), organization_id=organization_id, created_at=now, layers=[], time_zone="UTC"
    )
    _set(session, schedule, wanted, now=now)
    session.add(schedule)
    session.flush()
    changes = changes_between({}, facts_of(schedule, FACTS))
    say(session, OnCallScheduleCreated(**_names(schedule), changes=changes), now=now)
    return schedule


def change_schedule(
    session: Session, schedule: OnCallSchedule, wanted: Mapping[str, Any], *, now: datetime
) -> OnCallSchedule:
    """Change what is given of a schedule. Raises `Invalid`."""
    before = facts_of(schedule, FACTS)
    _set(session, schedule, wanted, now=now)
    session.flush()
    changes = changes_between(before, facts_of(schedule, FACTS))
    if changes:
        say(session, OnCallScheduleChanged(**_names(schedule), changes=changes), now=now)
    return schedule


def remove_schedule(session: Session, schedule: OnCallSchedule, *, now: datetime) -> None:
    """Remove a schedule; a step that tells who is on call in it is skipped from now on."""
    changes = changes_between(facts_of(schedule, FACTS), {})
    say(session, OnCallScheduleRemoved(**_names(schedule), changes=changes), now=now)
    session.delete(schedule)


def get_schedule(
    session: Session, organization_id: str, schedule_id: str, *, locked: bool = False
) -> OnCallSchedule:
    """One schedule of an organization. Raises `NotFound`."""
    found = session.get(OnCallSchedule, schedule_id, with_for_update=locked or None)
    if found is None or found.organization_id != organization_id:
        raise NotFound("There is no such schedule; GET /api/on-call/schedules lists yours.")
    return found


def list_schedules(
    session: Session,
    organization_id: str,
    *,
    text: str = "",
    limit: int = DEFAULT_PER_PAGE,
    cursor: str = "",
) -> Page[OnCallSchedule]:
    """The schedules of an organization by name."""
    order = (OnCallSchedule.name, OnCallSchedule.id)
    statement = sa.select(OnCallSchedule).where(
        OnCallSchedule.organization_id == organization_id,
        OnCallSchedule.name.icontains(text, autoescape=True),
    )
    after = decode_cursor(cursor, parts=len(order))
    if after is not None:
        statement = statement.where(sa.tuple_(*order) > tuple(map(str, after)))
    found = session.scalars(statement.order_by(*order).limit(limit + 1)).all()
    return page_of(found, limit=limit, key=lambda each: (each.name, each.id))


def layers_of(schedule: OnCallSchedule) -> list[LayerBody]:
    """The layers of a schedule, the lowest first."""
    return [LayerBody.model_validate(each) for each in schedule.layers]


def plan_of(session: Session, schedule: OnCallSchedule) -> Plan:
    """All that says who is on call in a schedule."""
    calendars = session.scalars(
        sa.select(OnCallCalendar)
        .where(OnCallCalendar.schedule_id == schedule.id)
        .order_by(OnCallCalendar.id)
    ).all()
    overrides = session.scalars(
        sa.select(OnCallOverride)
        .where(OnCallOverride.schedule_id == schedule.id)
        .order_by(OnCallOverride.id)
    ).all()
    return Plan(
        time_zone=schedule.time_zone,
        layers=layers_of(schedule),
        calendars=[_shifts_of(calendar) for calendar in calendars],
        overrides=[
            Shift(
                person_id=each.person_id,
                started_at=each.started_at,
                ended_at=each.ended_at,
                source=OVERRIDE,
            )
            for each in overrides
        ],
    )


def list_shifts(
    session: Session, schedule: OnCallSchedule, *, since: datetime, until: datetime
) -> list[Shift]:
    """Who is on call over a range, gaps included. Raises `Invalid` for more than 366 days."""
    if not timedelta() < until - since <= LONGEST_RANGE:
        raise Invalid("from must be before to, by at most 366 days.")
    return shifts_between(plan_of(session, schedule), since, until)


def find_person_on_call(session: Session, schedule: OnCallSchedule, *, at: datetime) -> str:
    """The id of who is on call at a moment, "" for nobody."""
    found = on_call_at(plan_of(session, schedule), at)
    return found.person_id if found else ""


def who_is_on_call(
    session: Session, organization_id: str, *, at: datetime
) -> Sequence[OnCallPerson]:
    """Who is on call at a moment, one line for each schedule."""
    members = members_of(session, organization_id)
    page = list_schedules(session, organization_id, limit=MOST_SCHEDULES)
    found = []
    for schedule in page.items:
        shift = shifts_between(plan_of(session, schedule), at, at + LOOKED_AHEAD)[0]
        person = shift.person_id if shift.person_id in members else ""
        found.append(
            OnCallPerson(
                schedule_id=schedule.id,
                schedule=schedule.name,
                person_id=person,
                name=name_of(members, person),
                until=shift.ended_at,
            )
        )
    return found


def make_override(
    session: Session,
    schedule: OnCallSchedule,
    person_id: str,
    span: tuple[datetime, datetime],
    *,
    now: datetime,
) -> OnCallOverride:
    """Have somebody take over from a start to an end.

    Raises:
        Invalid: the span cannot be.
        NotFound: the person is no member.
        Conflict: the schedule has as many as it may.
    """
    started_at, ended_at = span
    if not timedelta() < ended_at - started_at <= LONGEST_OVERRIDE:
        raise Invalid("startsAt must be before endsAt, by at most 366 days.")
    if ended_at <= now:
        raise Invalid("An override that is over changes nothing; choose an end that lies ahead.")
    if person_id not in members_of(session, schedule.organization_id):
        raise NotFound("There is no such member; GET /api/members lists them.")
    session.get_one(OnCallSchedule, schedule.id, with_for_update=True)
    counted = sa.select(sa.func.count()).where(
        OnCallOverride.schedule_id == schedule.id, OnCallOverride.ended_at > now
    )
    if (session.scalar(counted) or 0) >= MOST_OVERRIDES:
        raise Conflict(f"The schedule has {MOST_OVERRIDES} overrides to come; remove one.")
    made = OnCallOverride(
        id=new_id(),
        schedule_id=schedule.id,
        person_id=person_id,
        started_at=started_at,
        ended_at=ended_at,
        created_at=now,
    )
    session.add(made)
    session.flush()
    facts = facts_of(made, ("person_id", "started_at", "ended_at"))
    event = OnCallOverrideCreated(
        organization_id=schedule.organization_id,
        override_id=made.id,
        schedule=schedule.name,
        changes=changes_between({}, facts),
    )
    say(session, event, now=now)
    return made


def remove_override(
    session: Session, schedule: OnCallSchedule, override_id: str, *, now: datetime
) -> None:
    """What the layers say holds again. Raises `NotFound`."""
    found = session.get(OnCallOverride, override_id)
    if found is None or found.schedule_id != schedule.id:
        raise NotFound("The schedule has no such override; GET …/overrides lists them.")
    facts = facts_of(found, ("person_id", "started_at", "ended_at"))
    event = OnCallOverrideRemoved(
        organization_id=schedule.organization_id,
        override_id=found.id,
        schedule=schedule.name,
        changes=changes_between(facts, {}),
    )
    say(session, event, now=now)
    session.delete(found)


def list_overrides(
    session: Session,
    schedule: OnCallSchedule,
    *,
    limit: int = DEFAULT_PER_PAGE,
    cursor: str = "",
    now: datetime,
) -> Page[OnCallOverride]:
    """The overrides that last or come, in the order in which they were made."""
    statement = sa.select(OnCallOverride).where(
        OnCallOverride.schedule_id == schedule.id, OnCallOverride.ended_at > now
    )
    after = decode_cursor(cursor, parts=1)
    if after is not None:
        statement = statement.where(OnCallOverride.id > str(after[0]))
    found = session.scalars(statement.order_by(OnCallOverride.id).limit(limit + 1)).all()
    return page_of(found, limit=limit, key=lambda each: (each.id,))


def _set(
    session: Session, schedule: OnCallSchedule, wanted: Mapping[str, Any], *, now: datetime
) -> None:
    if "name" in wanted:
        schedule.name = " ".join(wanted["name"].split())
        if not schedule.name:
            raise Invalid("name must say something, such as Primary.")
    if "time_zone" in wanted:
        schedule.time_zone = _checked_zone(wanted["time_zone"])
    if "layers" in wanted:
        layers = [LayerBody.model_validate(each) for each in wanted["layers"]]
        people = [person for layer in layers for person in layer.person_ids]
        refuse_strangers(session, schedule.organization_id, people)
        schedule.layers = [
            layer.model_copy(update={"id": layer.id or new_id()}).model_dump() for layer in layers
        ]
    schedule.changed_at = now


def _checked_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(
            f"There is no time zone {name[:60]!r}; write it like Europe/Berlin."
        ) from None
    return name


def _shifts_of(calendar: OnCallCalendar) -> list[Shift]:
    return [
        Shift(
            person_id=person_id,
            started_at=datetime.fromisoformat(start),
            ended_at=datetime.fromisoformat(end),
            source=calendar.name,
        )
        for person_id, start, end in calendar.shifts
    ]


def _names(schedule: OnCallSchedule) -> dict[str, str]:
    return {
        "organization_id": schedule.organization_id,
        "schedule_id": schedule.id,
        "name": schedule.name,
    }
