"""Runs as people see them: ask for one, cancel it, keep it, and what became of all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import (
    STORED,
    THERE,
    UNDER_WAY,
    Backup,
    BackupCopy,
    BackupDestination,
    BackupKind,
    BackupStatus,
    BackupTarget,
)
from mainstay_server.contracts.backups import BackupAsked, BackupCancelled, BackupKept
from mainstay_server.kernel.database import insert, new_id
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.pagination import Page, decode_cursor, page_of
from mainstay_server.kernel.problems import Conflict, NotFound

HUNDRED = 100.0


@dataclass(frozen=True, kw_only=True)
class RunProgress:
    """How far a run is; `percent` and `seconds_left` by the size of the last one, if there is."""

    status: BackupStatus
    plain_bytes: int
    sealed_bytes: int
    bytes_per_second: float
    expected_bytes: int | None
    percent: float | None
    seconds_left: float | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class CopySeen:
    """One copy and where it lies."""

    copy: BackupCopy
    destination: BackupDestination


def ask(
    session: Session,
    target: BackupTarget,
    kind: BackupKind = BackupKind.MANUAL,
    *,
    asked_by: str = "",
    now: datetime,
) -> Backup:
    """Want a backup as soon as a worker is free; one at a time runs of a target.

    One that waits already is the one that is wanted, so asking twice makes one backup: returns
    that. `asked_by` is the person's id; what nobody asked for is no administrative action.
    """
    made = enqueue(session, target, kind, asked_by=asked_by, due_at=now, now=now)
    if made is None:
        present = session.scalars(
            sa.select(Backup).where(
                Backup.target_id == target.id, Backup.status == BackupStatus.QUEUED
            )
        ).one_or_none()
        if present is not None:
            # It need not wait for a schedule's or a retry's turn, and is what this one is for.
            present.due_at, present.kind = min(present.due_at, now), kind
            return present
        # A worker began it between the two statements, so another may wait now.
        made = enqueue(session, target, kind, asked_by=asked_by, due_at=now, now=now)
        assert made is not None, "of a target one at most waits, and that one runs"
    if asked_by:
        changes = changes_between({}, {"status": BackupStatus.QUEUED, "kind": kind})
        say(session, BackupAsked(**ids_of(made, target), changes=changes), now=now)
    return made


def cancel(session: Session, backup: Backup, *, now: datetime) -> Backup:
    """Want a backup no longer: one that waits ends now, one that runs within a second or so.

    Raises `Conflict` when it has ended.
    """
    session.refresh(backup, with_for_update=True)
    if backup.status not in UNDER_WAY:
        raise Conflict(f"The backup has ended already ({backup.status}); nothing is cancelled.")
    if backup.cancel_asked_at is not None:
        return backup
    before = {"status": backup.status}
    backup.cancel_asked_at = now
    if backup.status == BackupStatus.QUEUED:
        backup.status = BackupStatus.CANCELLED
        backup.finished_at = now
        backup.reason = "It was cancelled before it began."
    session.flush()
    target = session.get_one(BackupTarget, backup.target_id)
    changes = changes_between(before, {"status": BackupStatus.CANCELLED})
    say(session, BackupCancelled(**ids_of(backup, target), changes=changes), now=now)
    return backup


def keep(session: Session, backup: Backup, *, is_kept: bool, now: datetime) -> Backup:
    """Keep a backup whatever retention says, or leave it to retention again."""
    if is_kept and (backup.status not in STORED or backup.removed_at is not None):
        raise Conflict("There is no copy of this backup that could be kept.")
    if backup.is_kept != is_kept:
        changes = changes_between({"kept": backup.is_kept}, {"kept": is_kept})
        backup.is_kept = is_kept
        session.flush()
        target = session.get_one(BackupTarget, backup.target_id)
        say(session, BackupKept(**ids_of(backup, target), changes=changes), now=now)
    return backup


def history(
    session: Session,
    *,
    instance_id: str = "",
    target_id: str = "",
    stored_only: bool = False,
    limit: int,
    cursor: str = "",
) -> Page[Backup]:
    """Backups of an instance or of one target, newest first; `stored_only` lists what can be read.

    Raises `Invalid` for a strange cursor.
    """
    found = sa.select(Backup)
    if instance_id:
        found = found.where(Backup.instance_id == instance_id)
    if target_id:
        found = found.where(Backup.target_id == target_id)
    if stored_only:
        found = found.where(Backup.status.in_(STORED), Backup.removed_at.is_(None))
    position = decode_cursor(cursor, parts=1)
    if position is not None:
        found = found.where(Backup.id < str(position[0]))
    # Ids are UUIDv7, so their order is that of asking.
    rows = session.scalars(found.order_by(Backup.id.desc()).limit(limit + 1)).all()
    return page_of(rows, limit=limit, key=lambda backup: (backup.id,))


def progress(session: Session, backup: Backup, *, now: datetime) -> RunProgress:
    """How far a run is now, and what is known of how long it still takes."""
    expected = usual_bytes(session, backup.target_id)
    began, ended = backup.started_at, backup.finished_at or now
    left = backup.seconds_left
    if left is not None and backup.progress_at is not None:
        left = max(0.0, left - (now - backup.progress_at).total_seconds())
    return RunProgress(
        status=BackupStatus(backup.status),
        plain_bytes=backup.plain_bytes,
        sealed_bytes=backup.sealed_bytes,
        bytes_per_second=backup.bytes_per_second,
        expected_bytes=expected,
        percent=min(HUNDRED, HUNDRED * backup.plain_bytes / expected) if expected else None,
        seconds_left=left if backup.status == BackupStatus.RUNNING else None,
        seconds=(ended - began).total_seconds() if began else 0.0,
    )


def copies_of(session: Session, backup_ids: Sequence[str]) -> Mapping[str, list[CopySeen]]:
    """The copies of some backups with their destinations, by backup."""
    found: dict[str, list[CopySeen]] = {each: [] for each in backup_ids}
    rows = session.execute(
        sa.select(BackupCopy, BackupDestination)
        .join(BackupDestination, BackupDestination.id == BackupCopy.destination_id)
        .where(BackupCopy.backup_id.in_(backup_ids))
        .order_by(BackupDestination.name)
    )
    for copy, destination in rows:
        found[copy.backup_id].append(CopySeen(copy=copy, destination=destination))
    return found


def readable_copies(session: Session, backup: Backup) -> Sequence[CopySeen]:
    """The copies that can be read, those without a known fault first."""
    there = [
        each for each in copies_of(session, [backup.id])[backup.id] if each.copy.status in THERE
    ]
    return sorted(there, key=lambda each: bool(each.copy.fault))


def last_stored(session: Session, target_id: str) -> Backup | None:
    """The newest backup of a target that is stored, whether or not its copies are still there."""
    return session.scalars(
        sa.select(Backup)
        .where(Backup.target_id == target_id, Backup.status.in_(STORED))
        .order_by(Backup.started_at.desc())
        .limit(1)
    ).one_or_none()


def usual_bytes(session: Session, target_id: str) -> int | None:
    """How large the target's last dump was, None where there was none."""
    last = last_stored(session, target_id)
    return last.plain_bytes if last else None


def get_backup(session: Session, backup_id: str) -> Backup:
    """The row of a backup that the door has already let in. Raises `NotFound`."""
    found = session.get(Backup, backup_id)
    if found is None:
        raise NotFound("There is no such backup, or it is not yours; list them first.")
    return found


def owner_of(session: Session, backup_id: str) -> str | None:
    """The organization of a backup, for `access.via`."""
    found = session.get(Backup, backup_id)
    return None if found is None else found.organization_id


def ids_of(backup: Backup, target: BackupTarget) -> dict[str, str]:
    """What every audited event about a backup carries."""
    return {
        "organization_id": backup.organization_id,
        "project_id": backup.project_id,
        "instance_id": backup.instance_id,
        "backup_id": backup.id,
        "name": target.name,
    }


def enqueue(  # noqa: PLR0913 - one row, all that is said of it
    session: Session,
    target: BackupTarget,
    kind: BackupKind,
    *,
    attempt: int = 1,
    asked_by: str = "",
    due_at: datetime,
    now: datetime,
) -> Backup | None:
    """Let a backup wait for its turn; None when one waits already.

    Two may ask at the same moment: of a target, one at most waits, and one at most runs.
    """
    backup_id = session.scalar(
        insert(Backup)
        .values(
            id=new_id(),
            organization_id=target.organization_id,
            project_id=target.project_id,
            instance_id=target.instance_id,
            target_id=target.id,
            engine=target.engine,
            kind=kind,
            status=BackupStatus.QUEUED,
            attempt=attempt,
            asked_by=asked_by,
            queued_at=now,
            due_at=due_at,
            beside=[],
            notes=[],
        )
        .on_conflict_do_nothing()
        .returning(Backup.id)
    )
    return None if backup_id is None else session.get_one(Backup, backup_id)
