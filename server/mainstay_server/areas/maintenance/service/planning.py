"""Planning maintenance: what is wanted, checked; another plan instead; no further windows."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypedDict

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.maintenance.models import (
    ANNOUNCE_MINUTES,
    ChangedWindow,
    Maintenance,
    MaintenancePlan,
)
from mainstay_server.contracts.maintenance import (
    MaintenanceCancelled,
    MaintenanceChanged,
    MaintenancePlanned,
    MaintenanceRemoved,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.tenancy.models import Project
from mainstay_server.tenancy.subjects import ProjectRef, instances_of_project

from .acting import end_now
from .schedules import Schedule, checked_schedule
from .telling import current_plan, tell, told_of
from .windows import A_MOMENT, LONGEST_MINUTES, Occurrence, is_planned, occurrences

MOST_PER_PROJECT = 100
MOST_NAMED = 200
LONGEST_TAG = 60
LONGEST_ANNOUNCE_MINUTES = 7 * 24 * 60
# How far behind a start may lie to mean "now": people and machines take a moment to ask.
A_SECOND = timedelta(seconds=1)
A_WHILE = timedelta(minutes=5)
FURTHEST = timedelta(days=5 * 366)
FACTS = ("name", "description", "announce_minutes")
PLAN_FACTS = (
    "schedule",
    "wall_start",
    "time_zone",
    "duration_minutes",
    "instance_ids",
    "tags",
    "subject_ids",
)


class MaintenanceNames(TypedDict):
    """Whose something is: what every audited event about maintenance carries."""

    organization_id: str
    project_id: str
    maintenance_id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What somebody wants to be planned. Empty lists stand for all, `schedule` "" for once.

    `starts_at` None means now; without a zone it is what clocks in `time_zone` show.
    """

    name: str
    description: str = ""
    announce_minutes: int = ANNOUNCE_MINUTES
    schedule: str = ""
    starts_at: datetime | None = None
    time_zone: str = "UTC"
    duration_minutes: int
    instance_ids: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    subject_ids: list[str] = field(default_factory=list)


def plan_maintenance(
    session: Session, project: ProjectRef, wanted: Wanted, *, now: datetime
) -> Maintenance:
    """Plan maintenance; a window that has its start already begins, and is said to have, at once.

    Raises:
        Invalid: what is wanted cannot be, and why.
        Conflict: the project has as many as it may.
    """
    session.get_one(Project, project.id, with_for_update=True)  # one at a time, or two go in
    count = session.scalar(
        sa.select(sa.func.count())
        .select_from(Maintenance)
        .where(Maintenance.project_id == project.id, Maintenance.next_due_at.is_not(None))
    )
    if (count or 0) >= MOST_PER_PROJECT:
        raise Conflict(f"The project has {MOST_PER_PROJECT} plans of maintenance; remove one.")
    maintenance = Maintenance(
        id=new_id(),
        organization_id=project.organization_id,
        project_id=project.id,
        **_said(wanted),
        created_at=now,
    )
    plan = checked_plan(session, project, wanted, now=now)
    plan.maintenance_id = maintenance.id
    session.add(maintenance)
    session.flush()
    session.add(plan)
    session.flush()
    changes = changes_between({}, _facts(maintenance, plan))
    say(session, MaintenancePlanned(**_names(maintenance), changes=changes), now=now)
    tell(session, maintenance, now=now)
    return maintenance


def change_maintenance(
    session: Session, project: ProjectRef, maintenance_id: str, wanted: Wanted, *, now: datetime
) -> Maintenance:
    """Plan something else from now on; windows that have begun stay as they were.

    A window that was announced and is not planned any more is said to be cancelled.
    """
    maintenance = get_maintenance(session, project, maintenance_id, locked=True)
    old = current_plan(session, maintenance)
    before = _facts(maintenance, old)
    for name, value in _said(wanted).items():
        setattr(maintenance, name, value)
    new = checked_plan(session, project, wanted, now=now, replaced=old)
    if facts_of(new, PLAN_FACTS) != facts_of(old, PLAN_FACTS):
        new.maintenance_id = maintenance.id
        old.valid_until = now
        session.add(new)
        session.flush()
        _let_go(session, maintenance, follows=new, now=now)
    changes = changes_between(before, _facts(maintenance, current_plan(session, maintenance)))
    if changes:
        say(session, MaintenanceChanged(**_names(maintenance), changes=changes), now=now)
        tell(session, maintenance, now=now)
    return maintenance


def remove_maintenance(
    session: Session, project: ProjectRef, maintenance_id: str, *, now: datetime
) -> None:
    """Call off all further windows, and end one that lasts; what has been still counts."""
    maintenance = get_maintenance(session, project, maintenance_id, locked=True)
    plan = current_plan(session, maintenance)
    before = _facts(maintenance, plan)
    for each in _active(session, maintenance, now=now):
        end_now(session, each, now=now)
    plan.valid_until = now
    maintenance.removed_at = now
    session.flush()
    _let_go(session, maintenance, follows=None, now=now)
    changes = changes_between(before, {})
    say(session, MaintenanceRemoved(**_names(maintenance), changes=changes), now=now)
    tell(session, maintenance, now=now)


def get_maintenance(
    session: Session, project: ProjectRef, maintenance_id: str, *, locked: bool = False
) -> Maintenance:
    """The project's maintenance of this id that was not removed. Raises `NotFound`."""
    found = session.get(Maintenance, maintenance_id, with_for_update=locked or None)
    if found is None or found.project_id != project.id or found.removed_at is not None:
        raise NotFound("The project has no such maintenance; list it first.")
    return found


def checked_plan(
    session: Session,
    project: ProjectRef,
    wanted: Wanted,
    *,
    now: datetime,
    replaced: MaintenancePlan | None = None,
) -> MaintenancePlan:
    """The plan of what is wanted, in no database yet. Raises `Invalid`."""
    if not 1 <= wanted.duration_minutes <= LONGEST_MINUTES:
        raise Invalid(f"durationMinutes must be from 1 to {LONGEST_MINUTES}, which is 31 days.")
    schedule = _schedule(wanted, now=now, replaced=replaced)
    return MaintenancePlan(
        id=new_id(),
        schedule=schedule.rule,
        starts_at=schedule.starts_at,
        wall_start=schedule.wall_start.isoformat(timespec="seconds"),
        time_zone=schedule.time_zone,
        duration_minutes=wanted.duration_minutes,
        instance_ids=_known_instances(session, project, wanted.instance_ids),
        tags=_named(wanted.tags, "tags"),
        subject_ids=_named(wanted.subject_ids, "subjectIds"),
        valid_from=min(now, max(schedule.starts_at, now - A_SECOND)),
        valid_until=None,
    )


def _schedule(wanted: Wanted, *, now: datetime, replaced: MaintenancePlan | None) -> Schedule:
    """When it begins; once must not lie behind, unless that is what was planned all along."""
    begins_now = checked_schedule(wanted.schedule, starts_at=now, time_zone=wanted.time_zone)
    if wanted.starts_at is None:
        return begins_now
    schedule = checked_schedule(
        wanted.schedule, starts_at=wanted.starts_at, time_zone=wanted.time_zone
    )
    if abs(schedule.starts_at - now) > FURTHEST:
        raise Invalid("startsAt must lie within five years from now.")
    unchanged = replaced is not None and schedule.starts_at == replaced.starts_at
    if schedule.rule or unchanged or schedule.starts_at >= now:
        return schedule
    if schedule.starts_at < now - A_WHILE:
        raise Invalid("startsAt lies behind; what has been is put right by correcting uptime.")
    return begins_now


def _let_go(
    session: Session,
    maintenance: Maintenance,
    *,
    follows: MaintenancePlan | None,
    now: datetime,
) -> None:
    """Forget what was told and changed of windows that have not begun and are planned no more.

    Those that the following plan has at the same time, covering the same, go on under it.
    """
    rows = session.scalars(
        sa.select(ChangedWindow).where(
            ChangedWindow.maintenance_id == maintenance.id, ChangedWindow.started_at > now
        )
    ).all()
    for row in rows:
        old = session.get_one(MaintenancePlan, row.plan_id)
        if follows is not None and _has(follows, row, old):
            row.plan_id = follows.id
            continue
        if row.announced_at is not None and not row.is_cancelled:
            gone = Occurrence(
                maintenance=maintenance,
                plan=old,
                planned_for=row.planned_for,
                started_at=row.started_at,
                ended_at=row.ended_at,
                changed=row,
            )
            say(session, MaintenanceCancelled(**told_of(gone)), now=now)
        session.delete(row)
    session.flush()


def _has(plan: MaintenancePlan, row: ChangedWindow, old: MaintenancePlan) -> bool:
    """Whether a plan has a window at the same time that covers the same."""
    if plan.scope != old.scope or plan.duration_minutes != old.duration_minutes:
        return False
    return is_planned(plan, row.planned_for)


def _active(session: Session, maintenance: Maintenance, *, now: datetime) -> list[Occurrence]:
    of_it = Maintenance.id == maintenance.id
    found = occurrences(session, of_it, since=now, until=now + A_MOMENT)
    return [each for each in found if each.status_at(now) == "active"]


def _known_instances(session: Session, project: ProjectRef, ids: Iterable[str]) -> list[str]:
    named = _named(ids, "instanceIds")
    known = {instance.id for instance in instances_of_project(session, project.id)}
    strange = [one for one in named if one not in known]
    if strange:
        raise Invalid(f"instanceIds has {strange[0][:40]!r}, which is no instance of the project.")
    return named


def _named(values: Iterable[str], what: str) -> list[str]:
    """Names without blanks around them, each once, in order."""
    named = list(dict.fromkeys(value.strip() for value in values if value.strip()))
    if len(named) > MOST_NAMED or any(len(each) > LONGEST_TAG for each in named):
        raise Invalid(f"{what} takes up to {MOST_NAMED} of at most {LONGEST_TAG} characters each.")
    return named


def _said(wanted: Wanted) -> dict[str, Any]:
    """What is said of a maintenance beside when it is. Raises `Invalid`."""
    name = wanted.name.strip()
    if not name or not 0 <= wanted.announce_minutes <= LONGEST_ANNOUNCE_MINUTES:
        raise Invalid("A maintenance needs a name, and is announced at most a week before.")
    return {
        "name": name,
        "description": wanted.description.strip(),
        "announce_minutes": wanted.announce_minutes,
    }


def _facts(maintenance: Maintenance, plan: MaintenancePlan) -> dict[str, object]:
    return facts_of(maintenance, FACTS) | facts_of(plan, PLAN_FACTS)


def _names(maintenance: Maintenance) -> MaintenanceNames:
    return {
        "organization_id": maintenance.organization_id,
        "project_id": maintenance.project_id,
        "maintenance_id": maintenance.id,
        "name": maintenance.name,
    }
