"""Drills as people see them: asked for one by one, after each backup, or once a week."""

from contextlib import suppress
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import (
    STORED,
    Backup,
    BackupDrill,
    BackupTarget,
    Drills,
    DrillStatus,
)
from mainstay_server.contracts.backups import BackupDrillAsked
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.problems import Conflict

from .runs import last_stored, readable_copies

WEEK = timedelta(days=7)
MOST_PLANNED = 500


def ask(
    session: Session,
    backup: Backup,
    *,
    destination_id: str | None = None,
    asked_by: str = "",
    now: datetime,
) -> BackupDrill:
    """Have a backup tried as soon as a worker is free; one drill at a time runs.

    Without a destination it is read from the one whose copy has no known fault. A drill that
    waits already for the same copy is the one that is wanted. Of those that nobody asked for, one
    waits for each target, for its newest backup.

    Raises:
        Conflict: there is no copy of it to read.
    """
    copies = readable_copies(session, backup)
    if destination_id is not None:
        copies = [each for each in copies if each.destination.id == destination_id]
    if backup.status not in STORED or not copies:
        raise Conflict("There is no copy of this backup to try; choose another backup.")
    target = session.get_one(BackupTarget, backup.target_id, with_for_update=True)
    waiting = sa.select(BackupDrill).where(
        BackupDrill.target_id == target.id, BackupDrill.status == DrillStatus.QUEUED
    )
    for drill in session.scalars(waiting):
        if drill.backup_id == backup.id and drill.destination_id in (None, destination_id):
            return drill
        if not (asked_by or drill.asked_by):
            drill.backup_id, drill.destination_id = backup.id, destination_id
            return drill
    drill = BackupDrill(
        id=new_id(),
        organization_id=backup.organization_id,
        project_id=backup.project_id,
        instance_id=backup.instance_id,
        target_id=target.id,
        backup_id=backup.id,
        destination_id=destination_id,
        status=DrillStatus.QUEUED,
        asked_by=asked_by,
        queued_at=now,
        differences=[],
    )
    session.add(drill)
    session.flush()
    if asked_by:
        _say_asked(session, drill, target, now=now)
    return drill


def ask_after(session: Session, backup_id: str, *, now: datetime) -> BackupDrill | None:
    """Have a new backup tried when its target says so; None when it does not, or it was already."""
    backup = session.get(Backup, backup_id)
    if backup is None:
        return None
    target = session.get_one(BackupTarget, backup.target_id)
    was_tried = sa.select(BackupDrill.id).where(BackupDrill.backup_id == backup_id).limit(1)
    if target.drills != Drills.AFTER_EACH or session.scalar(was_tried) is not None:
        return None
    with suppress(Conflict):
        return ask(session, backup, now=now)
    return None


def plan_weekly(session: Session, *, now: datetime) -> int:
    """Have the newest backup tried of each target that says weekly and waits for it since a week.

    Returns how many; at most 500 at once, the others at the next turn.
    """
    recent = sa.select(BackupDrill.target_id).where(BackupDrill.queued_at > now - WEEK)
    due = (
        sa.select(BackupTarget.id)
        .where(
            BackupTarget.drills == Drills.WEEKLY,
            BackupTarget.is_enabled,
            BackupTarget.id.not_in(recent),
        )
        .order_by(BackupTarget.id)
        .limit(MOST_PLANNED)
    )
    planned = 0
    for target_id in session.scalars(due).all():
        backup = last_stored(session, target_id)
        if backup is not None:
            with suppress(Conflict):
                ask(session, backup, now=now)
                planned += 1
    return planned


def _say_asked(
    session: Session, drill: BackupDrill, target: BackupTarget, *, now: datetime
) -> None:
    event = BackupDrillAsked(
        organization_id=drill.organization_id,
        project_id=drill.project_id,
        instance_id=drill.instance_id,
        drill_id=drill.id,
        backup_id=drill.backup_id,
        name=target.name,
        changes=changes_between({}, {"status": drill.status}),
    )
    say(session, event, now=now)
