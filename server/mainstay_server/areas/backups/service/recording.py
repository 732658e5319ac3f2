"""Recording: what came of a run, in one transaction with what is said of it."""

from collections.abc import Sequence
from datetime import datetime
from statistics import median

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import (
    LONGEST_REASON,
    STORED,
    Backup,
    BackupCopy,
    BackupStatus,
    BackupTarget,
    CopyStatus,
)
from mainstay_server.areas.backups.service.manifests import packed
from mainstay_server.contracts.backups import BackupSucceeded
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import say

from . import troubles
from .claims import Claim, end, fail, held
from .destinations import record_checked
from .making import Made

LATEST = 7
HUNDRED = 100


def record_made(session: Session, claim: Claim, made: Made, *, now: datetime) -> Backup:
    """Write down a backup with its copies, and what is right or wrong with it.

    Raises `TakenOver` when it is somebody else's by now.
    """
    backup = held(session, claim)
    target = session.get_one(BackupTarget, backup.target_id)
    usual = _usual_bytes(session, target.id)
    missing = sorted({reason for reason in made.reasons.values() if reason is not None})
    end(
        backup,
        BackupStatus.DEGRADED if missing else BackupStatus.SUCCEEDED,
        " ".join(missing),
        now=now,
    )
    _describe(backup, made)
    for destination_id, reason in made.reasons.items():
        session.add(_copy(backup, destination_id, reason, now=now))
        record_checked(session, destination_id, reason or "", now=now)
    session.flush()
    _say_what_it_is(session, target, backup, missing, usual, now=now)
    return backup


def record_failed(
    session: Session, claim: Claim, reason: str, *, may_retry: bool, now: datetime
) -> Backup:
    """Write down that there is no backup, and why."""
    backup = held(session, claim)
    fail(session, backup, reason, may_retry=may_retry, now=now)
    return backup


def record_cancelled(session: Session, claim: Claim, *, now: datetime) -> Backup:
    """Write down that somebody wanted it no longer; nothing of it is left."""
    backup = held(session, claim)
    end(backup, BackupStatus.CANCELLED, "It was cancelled.", now=now)
    return backup


def _describe(backup: Backup, made: Made) -> None:
    sealed = made.manifest.sealed
    backup.key, backup.sha256 = made.manifest.key, sealed.sealed.sha256
    backup.plain_bytes, backup.sealed_bytes = sealed.plain_bytes, sealed.sealed.size_bytes
    backup.beside = [each.to_json() for each in made.manifest.beside]
    backup.notes, backup.manifest = list(made.notes), packed(made.data)
    # Where a destination failed in the middle, something unfinished may be left.
    backup.is_swept = all(reason is None for reason in made.reasons.values())
    if backup.started_at is not None and backup.finished_at is not None:
        seconds = (backup.finished_at - backup.started_at).total_seconds()
        backup.bytes_per_second = sealed.plain_bytes / seconds if seconds > 0 else 0.0


def _copy(backup: Backup, destination_id: str, reason: str | None, *, now: datetime) -> BackupCopy:
    return BackupCopy(
        id=new_id(),
        backup_id=backup.id,
        destination_id=destination_id,
        status=CopyStatus.STORED if reason is None else CopyStatus.FAILED,
        reason=(reason or "")[:LONGEST_REASON],
        stored_at=now if reason is None else None,
    )


def _say_what_it_is(
    session: Session,
    target: BackupTarget,
    backup: Backup,
    missing: Sequence[str],
    usual: int | None,
    *,
    now: datetime,
) -> None:
    started = backup.started_at or now
    event = BackupSucceeded(
        **troubles.told(target),
        backup_id=backup.id,
        plain_bytes=backup.plain_bytes,
        sealed_bytes=backup.sealed_bytes,
        seconds=round((now - started).total_seconds(), 3),
    )
    say(session, event, now=now)
    over = ["run", troubles.LATE]
    least = (usual or 0) * target.too_small_percent / HUNDRED
    if backup.plain_bytes < least:
        troubles.record_too_small(
            session,
            target,
            backup_id=backup.id,
            plain_bytes=backup.plain_bytes,
            usual_bytes=int(usual or 0),
            now=now,
        )
    else:
        over.append(troubles.TOO_SMALL)
    if missing:
        reason = f"It is not stored everywhere. {' '.join(missing)}"
        troubles.record_failed(
            session, target, what="destination", backup_id=backup.id, reason=reason, now=now
        )
    else:
        over.append("destination")
    troubles.settle(session, target, *over, reason="There is a new backup.", now=now)


def _usual_bytes(session: Session, target_id: str) -> int | None:
    """The median of the last seven; None before the first."""
    sizes = session.scalars(
        sa.select(Backup.plain_bytes)
        .where(Backup.target_id == target_id, Backup.status.in_(STORED))
        .order_by(Backup.started_at.desc())
        .limit(LATEST)
    ).all()
    return int(median(sizes)) if sizes else None
