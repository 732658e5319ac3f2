"""Due: whose turn has come, and what somebody says of all backups of an instance at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import (
    DEFAULT_INTERVAL_HOURS,
    DEFAULT_KEEP_DAYS,
    STAGING_KEEP_DAYS,
    UNDER_WAY,
    Backup,
    BackupKind,
    BackupSchedule,
    BackupTarget,
)
from mainstay_server.contracts.backups import BackupScheduleChanged
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.subjects import InstanceRef

from .choosing import PRODUCTION, TargetChoice
from .runs import enqueue
from .schedules import LONGEST_INTERVAL_HOURS, Schedule
from .targets import change_target, list_targets, plan_next

MOST_AT_ONCE = 500
MOST_DAYS = 3660


@dataclass(frozen=True, kw_only=True)
class Said:
    """An instance's schedule: of all its targets, and for those that are made later."""

    enabled: bool
    interval_hours: int
    retention_days: int


def queue_due(session: Session, *, now: datetime) -> list[str]:
    """Let the backups wait whose turn has come, and plan the next turns; returns their ids.

    What was missed while nothing ran is done once. A turn that comes while the target's last
    backup still waits or runs is left out.
    """
    targets = list_due(session, now=now)
    queued = []
    for target in targets:
        plan_next(target, now=now)
        if _is_under_way(session, target.id):
            continue
        backup = enqueue(session, target, BackupKind.SCHEDULED, due_at=now, now=now)
        if backup is not None:
            queued.append(backup.id)
    return queued


def list_due(session: Session, *, now: datetime) -> Sequence[BackupTarget]:
    """The targets whose turn has come, the longest overdue first; at most 500."""
    return session.scalars(
        sa.select(BackupTarget)
        .where(BackupTarget.is_enabled, BackupTarget.next_run_at <= now)
        .order_by(BackupTarget.next_run_at, BackupTarget.id)
        .limit(MOST_AT_ONCE)
        .with_for_update(skip_locked=True)
    ).all()


def find_schedule(session: Session, instance: InstanceRef) -> Said:
    """What holds for an instance: what somebody said, or else what holds by default."""
    row = session.get(BackupSchedule, instance.id)
    if row is None:
        days = DEFAULT_KEEP_DAYS if instance.environment == PRODUCTION else STAGING_KEEP_DAYS
        return Said(enabled=True, interval_hours=DEFAULT_INTERVAL_HOURS, retention_days=days)
    return Said(
        enabled=row.enabled, interval_hours=row.interval_hours, retention_days=row.retention_days
    )


def set_schedule(session: Session, instance: InstanceRef, said: Said, *, now: datetime) -> Said:
    """Set the schedule of all targets of an instance, and of those that are made later.

    Targets that go by a cron expression keep it; days and being on or off hold for them, too.
    """
    if not 1 <= said.interval_hours <= LONGEST_INTERVAL_HOURS:
        raise Invalid(
            f"intervalHours must be from 1 to {LONGEST_INTERVAL_HOURS}.",
            errors=[{"field": "intervalHours", "message": "is out of range"}],
        )
    if not 1 <= said.retention_days <= MOST_DAYS:
        raise Invalid(
            f"retentionDays must be from 1 to {MOST_DAYS}.",
            errors=[{"field": "retentionDays", "message": "is out of range"}],
        )
    before = vars(find_schedule(session, instance))
    row = session.get(BackupSchedule, instance.id, with_for_update=True)
    if row is None:
        row = BackupSchedule(instance_id=instance.id)
        session.add(row)
    row.enabled, row.interval_hours = said.enabled, said.interval_hours
    row.retention_days, row.changed_at = said.retention_days, now
    session.flush()
    changes = changes_between(before, vars(said))
    name = f"{instance.project_name} {instance.environment}"
    say(session, BackupScheduleChanged(**instance.ids, name=name, changes=changes), now=now)
    for target in list_targets(session, instance.id):
        choice = TargetChoice(
            is_enabled=said.enabled,
            schedule=None if target.cron else Schedule(interval_hours=said.interval_hours),
            retention={"keep_days": said.retention_days},
        )
        change_target(session, target, choice, now=now)
    return said


def _is_under_way(session: Session, target_id: str) -> bool:
    found = sa.select(Backup.id).where(Backup.target_id == target_id, Backup.status.in_(UNDER_WAY))
    return session.scalar(found.limit(1)) is not None
