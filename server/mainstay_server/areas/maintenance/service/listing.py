"""Looking at maintenance: what is planned, the windows of a range, and what would be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.maintenance.models import Maintenance, MaintenancePlan
from mainstay_server.areas.maintenance.schemas import MOST_PREVIEWED
from mainstay_server.contracts.maintenance import Scope
from mainstay_server.kernel.pagination import Page, decode_cursor, page_of
from mainstay_server.kernel.subjects import Watched
from mainstay_server.kernel.watching import list_watched
from mainstay_server.tenancy.subjects import ProjectRef

from .planning import Wanted, checked_plan
from .schedules import starts_between
from .windows import A_MOMENT, Occurrence, occurrences, schedule_of

AHEAD = timedelta(days=400)


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A maintenance with the plan that is in force, and its window that lasts or comes next."""

    maintenance: Maintenance
    plan: MaintenancePlan
    next_window: Occurrence | None


@dataclass(frozen=True, kw_only=True)
class Previewed:
    """A window that would be, in UTC and in its zone."""

    starts_at: datetime
    ends_at: datetime
    local_start: datetime
    local_end: datetime


def list_maintenance(
    session: Session,
    project_id: str,
    *,
    text: str = "",
    limit: int,
    cursor: str = "",
    now: datetime,
) -> Page[Planned]:
    """What lasts or still comes in a project, by name."""
    statement = (
        sa.select(Maintenance)
        .where(Maintenance.project_id == project_id, Maintenance.next_due_at.is_not(None))
        .order_by(Maintenance.name, Maintenance.id)
        .limit(limit + 1)
    )
    if text:
        statement = statement.where(Maintenance.name.icontains(text, autoescape=True))
    after = decode_cursor(cursor, parts=2)
    if after is not None:
        position = sa.tuple_(Maintenance.name, Maintenance.id)
        statement = statement.where(position > (str(after[0]), str(after[1])))
    found = session.scalars(statement).all()
    page = page_of(found, limit=limit, key=lambda each: (each.name, each.id))
    return Page(with_plans(session, page.items, now=now), page.next_cursor)


def with_plans(session: Session, found: Sequence[Maintenance], *, now: datetime) -> list[Planned]:
    """The same, with their plans in force and next windows; a fixed number of statements."""
    ids = [each.id for each in found]
    plans = _newest_plans(session, ids)
    upcoming = occurrences(session, Maintenance.id.in_(ids), since=now, until=now + AHEAD)
    first: dict[str, Occurrence] = {}
    for each in upcoming:
        first.setdefault(each.maintenance.id, each)
    return [
        Planned(maintenance=each, plan=plans[each.id], next_window=first.get(each.id))
        for each in found
    ]


def windows_of_project(
    session: Session, project_id: str, *, since: datetime, until: datetime
) -> list[Occurrence]:
    """The windows of a project that overlap a range, by their start."""
    of_project = Maintenance.project_id == project_id
    return occurrences(session, of_project, since=since, until=until)


def windows_of(
    session: Session, maintenance_id: str, *, since: datetime, until: datetime
) -> list[Occurrence]:
    """The windows of one maintenance that overlap a range, by their start."""
    return occurrences(session, Maintenance.id == maintenance_id, since=since, until=until)


def preview(
    session: Session, project: ProjectRef, wanted: Wanted, *, now: datetime
) -> tuple[MaintenancePlan, list[Previewed]]:
    """The plan of what is wanted and its next ten windows. Raises `Invalid` as planning would."""
    plan = checked_plan(session, project, wanted, now=now)
    zone = ZoneInfo(plan.time_zone)
    until = now + timedelta(days=366 * 10)
    starts = starts_between(schedule_of(plan), now - A_MOMENT - timedelta(seconds=1), until)
    return plan, [
        _previewed(start, start + plan.duration, zone) for start in islice(starts, MOST_PREVIEWED)
    ]


def covered_by(session: Session, project_id: str, scope: Scope) -> list[Watched]:
    """The watched subjects of a project that a scope covers, by name."""
    return [
        each
        for each in list_watched(session, project_id)
        if scope.covers(each.instance_id, each.tags, each.id)
    ]


def _previewed(start: datetime, end: datetime, zone: ZoneInfo) -> Previewed:
    return Previewed(
        starts_at=start,
        ends_at=end,
        local_start=start.astimezone(zone),
        local_end=end.astimezone(zone),
    )


def wanted_of(planned: Maintenance, plan: MaintenancePlan) -> Wanted:
    """What is planned, as it would be wanted again: where a change begins."""
    once = plan.starts_at.astimezone(UTC)
    return Wanted(
        name=planned.name,
        description=planned.description,
        announce_minutes=planned.announce_minutes,
        schedule=plan.schedule,
        starts_at=datetime.fromisoformat(plan.wall_start) if plan.schedule else once,
        time_zone=plan.time_zone,
        duration_minutes=plan.duration_minutes,
        instance_ids=list(plan.instance_ids),
        tags=list(plan.tags),
        subject_ids=list(plan.subject_ids),
    )


def changed(wanted: Wanted, changes: Mapping[str, object]) -> Wanted:
    """What is wanted, with some of it changed."""
    return replace(wanted, **changes)  # type: ignore[arg-type] # names and types are the body's


def _newest_plans(session: Session, ids: Sequence[str]) -> dict[str, MaintenancePlan]:
    rows = session.scalars(
        sa.select(MaintenancePlan)
        .where(MaintenancePlan.maintenance_id.in_(ids))
        .order_by(MaintenancePlan.id)
    )
    return {plan.maintenance_id: plan for plan in rows}
