"""Claims: who makes which backup, so that each is made once and none stays running.

A claim is a lease with a fence. Whoever makes a backup renews it every second with how far it is;
one that was taken over learns so from its own next word, and leaves no trace.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from mainstay_server.areas.backups.models import (
    Backup,
    BackupKind,
    BackupRestore,
    BackupStatus,
    BackupTarget,
    RestoreStatus,
)
from mainstay_server.kernel import leases
from mainstay_server.kernel.copies.running import Progress
from mainstay_server.kernel.database import rows_changed

from . import runs, troubles

QUICK_RETRIES = (timedelta(minutes=1), timedelta(minutes=5))
BROKEN_OFF = "The process that made it was ended, and whatever it had written is swept up."
MOST_AT_ONCE = 100


class TakenOver(Exception):
    """Somebody else took the run for dead; nothing that this one says counts any more."""


@dataclass(frozen=True)
class Claim:
    """The right to make one backup."""

    backup_id: str
    target_id: str
    fence: int


def claim_next(session: Session, *, now: datetime, lease: timedelta) -> Claim | None:
    """Take the backup that has waited longest, of a target that is neither read nor filled now."""
    running = aliased(Backup)
    is_filled = (
        sa.select(BackupRestore.id)
        .where(
            BackupRestore.target_id == Backup.target_id,
            BackupRestore.status == RestoreStatus.RUNNING,
        )
        .exists()
    )
    is_busy = (
        sa.select(running.id)
        .where(running.target_id == Backup.target_id, running.status == BackupStatus.RUNNING)
        .exists()
    )
    # The target's row is the gate, and is locked before its backups by everybody: of two workers
    # the second finds the first one's run.
    found = session.execute(
        sa.select(Backup, BackupTarget)
        .join(BackupTarget, BackupTarget.id == Backup.target_id)
        .where(Backup.status == BackupStatus.QUEUED, Backup.due_at <= now, ~is_busy, ~is_filled)
        .order_by(Backup.due_at, Backup.id)
        .limit(1)
        .with_for_update(of=BackupTarget, skip_locked=True)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if found is None:
        return None
    waiting, target = found
    session.refresh(waiting, with_for_update=True)
    if waiting.status != BackupStatus.QUEUED:
        return None
    if session.scalar(sa.select(is_busy.where(running.target_id == target.id))):
        return None
    target.fence += 1
    waiting.status, waiting.fence = BackupStatus.RUNNING, target.fence
    waiting.owner, waiting.leased_until = str(leases.this_process()), now + lease
    waiting.started_at, waiting.progress_at, waiting.is_swept = now, now, False
    session.flush()
    return Claim(waiting.id, target.id, target.fence)


def does_one_wait(session: Session, *, now: datetime) -> bool:
    """Whether there is a backup whose turn it is, perhaps of a target that is busy."""
    waiting = sa.select(Backup.id).where(Backup.status == BackupStatus.QUEUED, Backup.due_at <= now)
    return session.scalar(waiting.limit(1)) is not None


def renew(
    session: Session,
    claim: Claim,
    *,
    step: str,
    progress: Progress | None,
    now: datetime,
    lease: timedelta,
) -> bool:
    """Say that it goes on, and how far it is; whether somebody wants it no longer.

    Raises:
        TakenOver: it is somebody else's by now.
    """
    values: dict[str, object] = {"leased_until": now + lease, "progress_at": now, "step": step}
    if progress is not None:
        values |= {
            "plain_bytes": progress.plain_bytes,
            "sealed_bytes": progress.sealed_bytes,
            "bytes_per_second": progress.bytes_per_second,
            "seconds_left": progress.seconds_left,
        }
    found = session.execute(
        sa.update(Backup)
        .where(*_still_ours(claim))
        .values(**values)
        .returning(Backup.cancel_asked_at)
    ).one_or_none()
    if found is None:
        raise TakenOver(claim.backup_id)
    return found[0] is not None


def held(session: Session, claim: Claim) -> Backup:
    """The row of a run that is still ours, to be finished in this transaction; or `TakenOver`."""
    found = session.scalars(
        sa.select(Backup).where(*_still_ours(claim)).with_for_update()
    ).one_or_none()
    if found is None:
        raise TakenOver(claim.backup_id)
    return found


def give_back(session: Session, claim: Claim, *, now: datetime) -> None:
    """Let it wait again, as if nobody had begun: this process is about to end."""
    changed = rows_changed(
        session,
        sa.update(Backup)
        .where(*_still_ours(claim))
        .values(
            status=BackupStatus.QUEUED,
            due_at=now,
            owner="",
            leased_until=None,
            started_at=None,
            step="",
            plain_bytes=0,
            sealed_bytes=0,
            seconds_left=None,
        ),
    )
    if not changed:
        raise TakenOver(claim.backup_id)


def fail(
    session: Session, backup: Backup, reason: str, *, may_retry: bool, now: datetime
) -> Backup | None:
    """Write down that a run failed, and why; returns the quick retry that is planned, if any.

    Others are told when no retry comes, for one that may work in a minute is no reason to wake
    anybody.
    """
    end(backup, BackupStatus.FAILED, reason, now=now)
    session.flush()
    target = session.get_one(BackupTarget, backup.target_id)
    retry = None
    if may_retry and backup.attempt <= len(QUICK_RETRIES) and target.is_enabled:
        retry = runs.enqueue(
            session,
            target,
            BackupKind(backup.kind),
            attempt=backup.attempt + 1,
            asked_by=backup.asked_by,
            due_at=now + QUICK_RETRIES[backup.attempt - 1],
            now=now,
        )
    if retry is None:
        troubles.record_failed(
            session, target, what="run", backup_id=backup.id, reason=reason, now=now
        )
    return retry


def end(backup: Backup, status: BackupStatus, reason: str, *, now: datetime) -> None:
    """Set what every end has in common."""
    backup.status, backup.finished_at, backup.reason = status, now, reason[:500]
    backup.owner, backup.leased_until, backup.seconds_left, backup.step = "", None, None, ""


def fail_broken(session: Session, *, now: datetime) -> Sequence[Backup]:
    """End what dead processes were making: their leases ran out, or they are certainly gone."""
    running = Backup.status == BackupStatus.RUNNING
    dead = leases.dead_owners(session, Backup.owner, running)
    broken = session.scalars(
        sa.select(Backup)
        .where(running, sa.or_(Backup.leased_until < now, Backup.owner.in_(dead)))
        .order_by(Backup.id)
        .limit(MOST_AT_ONCE)
        .with_for_update(skip_locked=True)
    ).all()
    for backup in broken:
        if backup.cancel_asked_at is not None:
            end(backup, BackupStatus.CANCELLED, "It was cancelled.", now=now)
        else:
            again = backup.kind != BackupKind.BEFORE_RESTORE
            fail(session, backup, BROKEN_OFF, may_retry=again, now=now)
    session.flush()
    return broken


def _still_ours(claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        Backup.id == claim.backup_id,
        Backup.fence == claim.fence,
        Backup.status == BackupStatus.RUNNING,
    )
