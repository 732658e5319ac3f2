"""Which windows there are: worked out from plans, and from what differs from them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.maintenance.models import (
    ChangedWindow,
    Maintenance,
    MaintenancePlan,
)
from mainstay_server.contracts.maintenance import MOST_WINDOWS, MaintenanceWindow, Scope, Window
from mainstay_server.tenancy.models import Instance

from .schedules import Schedule, starts_between

LONGEST_MINUTES = 31 * 24 * 60
LONGEST = timedelta(minutes=LONGEST_MINUTES)
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
A_MOMENT = timedelta(microseconds=1)
STAMP = "%Y%m%dT%H%M%S"


@dataclass(frozen=True, kw_only=True)
class Occurrence:
    """One window of a maintenance; `changed` is its row, None while it is as planned."""

    maintenance: Maintenance
    plan: MaintenancePlan
    planned_for: datetime
    started_at: datetime
    ended_at: datetime
    changed: ChangedWindow | None = None

    @property
    def id(self) -> str:
        """What names it for good: its maintenance, and the start that it was planned for."""
        return window_id(self.maintenance.id, self.planned_for)

    @property
    def scope(self) -> Scope:
        """What it covers."""
        return self.plan.scope

    def status_at(self, now: datetime) -> Literal["upcoming", "active", "ended"]:
        """How it stands."""
        if now < self.started_at:
            return "upcoming"
        return "active" if now < self.ended_at else "ended"


def window_id(maintenance_id: str, planned_for: datetime) -> str:
    """The id of a window: that of its maintenance, and its planned start in UTC."""
    return f"{maintenance_id}-{planned_for:{STAMP}}Z"


def windows_over(
    session: Session,
    instance_id: str,
    tags: Sequence[str],
    subject_id: str,
    *,
    since: datetime,
    until: datetime,
) -> Sequence[Window]:
    """The answer to the port of this name."""
    of_project = sa.select(Instance.project_id).where(Instance.id == instance_id).scalar_subquery()
    until = max(until, since + A_MOMENT)
    found = occurrences(session, Maintenance.project_id == of_project, since=since, until=until)
    return merged(
        Window(started_at=each.started_at, ended_at=each.ended_at, name=each.maintenance.name)
        for each in found
        if each.scope.covers(instance_id, tags, subject_id)
    )


def list_windows(
    session: Session, project_id: str, *, since: datetime, until: datetime, now: datetime
) -> Sequence[MaintenanceWindow]:
    """The answer to the port of this name."""
    found = occurrences(session, Maintenance.project_id == project_id, since=since, until=until)
    return [as_told(each, now=now) for each in found[:MOST_WINDOWS]]


def as_told(occurrence: Occurrence, *, now: datetime) -> MaintenanceWindow:
    """A window as others see it."""
    return MaintenanceWindow(
        id=occurrence.id,
        maintenance_id=occurrence.maintenance.id,
        name=occurrence.maintenance.name,
        description=occurrence.maintenance.description,
        status=occurrence.status_at(now),
        started_at=occurrence.started_at,
        ended_at=occurrence.ended_at,
        scope=occurrence.scope,
    )


def occurrences(
    session: Session, which: sa.ColumnElement[bool], *, since: datetime, until: datetime
) -> list[Occurrence]:
    """The windows of some maintenance that overlap a range, by their start, none cancelled.

    A window begins by the plan that is in force at its planned start. One that has a row goes by
    the row, also when its plan ended meanwhile.
    """
    changed = _changed(session, which, since=since, until=until)
    plans = session.execute(
        sa.select(Maintenance, MaintenancePlan)
        .join(MaintenancePlan, MaintenancePlan.maintenance_id == Maintenance.id)
        .where(which, _may_reach(changed, since=since, until=until))
        .order_by(MaintenancePlan.id)
    ).all()
    taken = {(row.maintenance_id, row.planned_for) for row in changed}
    by_plan = {plan.id: (maintenance, plan) for maintenance, plan in plans}
    found = [
        as_changed(*by_plan[row.plan_id], row)
        for row in changed
        if not row.is_cancelled and row.started_at < until and row.ended_at > since
    ]
    for maintenance, plan in plans:
        found.extend(
            as_planned(maintenance, plan, start)
            for start in _starts(plan, since=since, until=until)
            if (maintenance.id, start) not in taken
        )
    return sorted(found, key=lambda each: (each.started_at, each.id))


def merged(windows: Iterable[Window]) -> list[Window]:
    """Windows in order and disjoint: those that overlap or touch become one."""
    result: list[Window] = []
    for window in sorted(windows, key=lambda each: each.started_at):
        last = result[-1] if result else None
        if last is None or last.ended_at < window.started_at:
            result.append(window)
            continue
        names = last.name.split(", ")
        result[-1] = Window(
            started_at=last.started_at,
            ended_at=max(last.ended_at, window.ended_at),
            name=last.name if window.name in names else f"{last.name}, {window.name}",
        )
    return result


def schedule_of(plan: MaintenancePlan) -> Schedule:
    """When the windows of a plan begin."""
    return Schedule(
        rule=plan.schedule,
        starts_at=plan.starts_at,
        wall_start=datetime.fromisoformat(plan.wall_start),
        time_zone=plan.time_zone,
    )


def is_planned(plan: MaintenancePlan, start: datetime) -> bool:
    """Whether a plan, while it is in force, has a window that begins at a moment."""
    in_force = plan.valid_from <= start and (plan.valid_until is None or start < plan.valid_until)
    return in_force and start in starts_between(schedule_of(plan), start, start + A_MOMENT)


def as_planned(maintenance: Maintenance, plan: MaintenancePlan, start: datetime) -> Occurrence:
    """The window of a plan that begins at a moment."""
    return Occurrence(
        maintenance=maintenance,
        plan=plan,
        planned_for=start,
        started_at=start,
        ended_at=start + plan.duration,
    )


def as_changed(maintenance: Maintenance, plan: MaintenancePlan, row: ChangedWindow) -> Occurrence:
    """The window that a row tells of."""
    return Occurrence(
        maintenance=maintenance,
        plan=plan,
        planned_for=row.planned_for,
        started_at=row.started_at,
        ended_at=row.ended_at,
        changed=row,
    )


def _starts(plan: MaintenancePlan, *, since: datetime, until: datetime) -> Iterator[datetime]:
    """The starts of the windows of a plan that overlap a range, while it is in force."""
    first = max(since, plan.valid_from + plan.duration) - plan.duration
    last = min(until, plan.valid_until or until)
    found = starts_between(schedule_of(plan), first, last)
    return (start for start in found if start + plan.duration > since)


def _may_reach(
    changed: Sequence[ChangedWindow], *, since: datetime, until: datetime
) -> sa.ColumnElement[bool]:
    """Plans that may have a window in a range, or that a row belongs to; not all there ever were.

    Every deployment may leave a plan of its own behind, so those of long ago are not even read.
    """
    earliest = max(since, _FIRST) - LONGEST
    in_force = sa.and_(
        MaintenancePlan.valid_from < until,
        sa.or_(MaintenancePlan.valid_until.is_(None), MaintenancePlan.valid_until > earliest),
        sa.or_(MaintenancePlan.schedule != "", MaintenancePlan.starts_at > earliest),
    )
    return sa.or_(in_force, MaintenancePlan.id.in_({row.plan_id for row in changed}))


def _changed(
    session: Session, which: sa.ColumnElement[bool], *, since: datetime, until: datetime
) -> Sequence[ChangedWindow]:
    """The rows that lie in a range, and those that stand for what was planned in it."""
    planned_in_it = ChangedWindow.planned_for.between(max(since, _FIRST) - LONGEST, until)
    lies_in_it = sa.and_(ChangedWindow.started_at < until, ChangedWindow.ended_at > since)
    return session.scalars(
        sa.select(ChangedWindow)
        .join(Maintenance, Maintenance.id == ChangedWindow.maintenance_id)
        .where(which, sa.or_(planned_in_it, lies_in_it))
    ).all()
