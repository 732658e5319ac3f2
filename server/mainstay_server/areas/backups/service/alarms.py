"""Alarms: which backups should be there by their schedules and are not, whoever is to blame."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import BackupTarget

from . import troubles
from .runs import last_stored
from .schedules import late_at

MOST_TARGETS = 10_000


@dataclass(frozen=True, kw_only=True)
class Punctuality:
    """Whether a target's backups come as they should; `late_at` is None while it is off."""

    last_at: datetime | None
    late_at: datetime | None
    is_late: bool


def punctuality(session: Session, target: BackupTarget, *, now: datetime) -> Punctuality:
    """Computed from the schedule and the last good backup alone: it needs no job to be right."""
    last = last_stored(session, target.id)
    seconds = 0.0
    if last is not None and last.started_at is not None and last.finished_at is not None:
        seconds = max(0.0, (last.finished_at - last.started_at).total_seconds())
    late = late_at(target, last_started=last.started_at if last else None, last_seconds=seconds)
    return Punctuality(
        last_at=last.started_at if last else None,
        late_at=late,
        is_late=late is not None and now > late,
    )


def tell_late(session: Session, *, now: datetime) -> int:
    """Say of each target whose backup is late that it is, once; returns how many were new."""
    targets = session.scalars(
        sa.select(BackupTarget)
        .where(BackupTarget.is_enabled)
        .order_by(BackupTarget.id)
        .limit(MOST_TARGETS)
    ).all()
    told = 0
    for target in targets:
        found = punctuality(session, target, now=now)
        if found.is_late and found.late_at is not None:
            told += troubles.record_late(
                session, target, expected_at=found.late_at, last_at=found.last_at, now=now
            )
    return told
