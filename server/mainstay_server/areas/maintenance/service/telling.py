"""Saying when a window nears, begins and ends; each once, also when we were away meanwhile."""

from datetime import datetime, timedelta
from typing import TypedDict

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.maintenance.models import ChangedWindow, Maintenance, MaintenancePlan
from mainstay_server.contracts.maintenance import (
    MaintenanceAnnounced,
    MaintenanceBegan,
    MaintenanceEnded,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import say

from .schedules import first_start
from .windows import A_MOMENT, LONGEST, Occurrence, occurrences, schedule_of

MOST_AT_ONCE = 500


class Told(TypedDict):
    """What every event about a window carries."""

    organization_id: str
    project_id: str
    maintenance_id: str
    window_id: str
    name: str
    description: str
    started_at: datetime
    ended_at: datetime
    instance_ids: list[str]
    tags: list[str]
    subject_ids: list[str]


def tell_due(session: Session, *, now: datetime) -> int:
    """Say what is due of every maintenance; returns of how many something was looked at.

    What is due is found by `next_due_at`, so that it costs the same however much is planned.
    """
    due = session.scalars(
        sa.select(Maintenance)
        .where(Maintenance.next_due_at <= now)
        .order_by(Maintenance.next_due_at)
        .limit(MOST_AT_ONCE)
        .with_for_update()
    ).all()
    for maintenance in due:
        tell(session, maintenance, now=now)
    return len(due)


def tell(session: Session, maintenance: Maintenance, *, now: datetime) -> None:
    """Say what is due of one maintenance, and note when the next thing will be.

    A window that nobody was there to begin, since Mainstay was away for all of it, is passed over:
    it held nothing back. One whose announcement was missed is announced late, until it begins.
    """
    lead = timedelta(minutes=maintenance.announce_minutes)
    until = now + lead + A_MOMENT
    of_it = Maintenance.id == maintenance.id
    since = min(now - LONGEST, _first_open(session, maintenance) or now)
    found = occurrences(session, of_it, since=since, until=until)
    due_at = [_tell_one(session, each, now=now) for each in found]
    due_at.append(_next_planned(session, maintenance, lead=lead, now=now))
    maintenance.next_due_at = min((at for at in due_at if at is not None), default=None)
    session.flush()


def told_of(occurrence: Occurrence) -> Told:
    """The fields of an event about a window."""
    maintenance, plan = occurrence.maintenance, occurrence.plan
    return {
        "organization_id": maintenance.organization_id,
        "project_id": maintenance.project_id,
        "maintenance_id": maintenance.id,
        "window_id": occurrence.id,
        "name": maintenance.name,
        "description": maintenance.description,
        "started_at": occurrence.started_at,
        "ended_at": occurrence.ended_at,
        "instance_ids": list(plan.instance_ids),
        "tags": list(plan.tags),
        "subject_ids": list(plan.subject_ids),
    }


def row_of(session: Session, occurrence: Occurrence) -> ChangedWindow:
    """The row of a window, made if it has none: from then on it stands on its own."""
    if occurrence.changed is not None:
        return occurrence.changed
    row = ChangedWindow(
        id=new_id(),
        maintenance_id=occurrence.maintenance.id,
        plan_id=occurrence.plan.id,
        planned_for=occurrence.planned_for,
        started_at=occurrence.started_at,
        ended_at=occurrence.ended_at,
        is_cancelled=False,
    )
    session.add(row)
    return row


def _tell_one(session: Session, occurrence: Occurrence, *, now: datetime) -> datetime | None:
    """Say what is due of one window; returns when the next thing is."""
    row = occurrence.changed
    if now < occurrence.started_at:
        if occurrence.maintenance.announce_minutes and (row is None or row.announced_at is None):
            row_of(session, occurrence).announced_at = now
            say(session, MaintenanceAnnounced(**told_of(occurrence)), now=now)
        return occurrence.started_at
    if now < occurrence.ended_at:
        if row is None or row.began_told_at is None:
            row_of(session, occurrence).began_told_at = now
            say(session, MaintenanceBegan(**told_of(occurrence)), now=now)
        return occurrence.ended_at
    if row is not None and row.began_told_at is not None and row.ended_told_at is None:
        row.ended_told_at = now
        say(session, MaintenanceEnded(**told_of(occurrence)), now=now)
    return None


def _next_planned(
    session: Session, maintenance: Maintenance, *, lead: timedelta, now: datetime
) -> datetime | None:
    """When the announcement, or else the start, of the next window beyond the lead is due."""
    rows = session.scalars(
        sa.select(ChangedWindow.started_at).where(
            ChangedWindow.maintenance_id == maintenance.id,
            ~ChangedWindow.is_cancelled,
            ChangedWindow.started_at > now + lead,
        )
    )
    starts = [start - lead for start in rows]
    plan = current_plan(session, maintenance)
    if plan.valid_until is None:
        start = first_start(schedule_of(plan), since=now + lead + A_MOMENT)
        starts += [start - lead] if start else []
    return min(starts, default=None)


def _first_open(session: Session, maintenance: Maintenance) -> datetime | None:
    """The start of the first window that was said to have begun, and not to have ended."""
    return session.scalar(
        sa.select(ChangedWindow.started_at)
        .where(
            ChangedWindow.maintenance_id == maintenance.id,
            ChangedWindow.began_told_at.is_not(None),
            ChangedWindow.ended_told_at.is_(None),
        )
        .order_by(ChangedWindow.started_at)
        .limit(1)
    )


def current_plan(session: Session, maintenance: Maintenance) -> MaintenancePlan:
    """The newest plan of a maintenance."""
    return session.scalars(
        sa.select(MaintenancePlan)
        .where(MaintenancePlan.maintenance_id == maintenance.id)
        .order_by(MaintenancePlan.id.desc())
        .limit(1)
    ).one()
