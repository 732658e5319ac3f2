"""Removal: the objects first and the rows after them, so that nothing is left that nobody knows.

What a store keeps under a lock stays there, and that is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import (
    LONGEST_REASON,
    STORED,
    THERE,
    UNDER_WAY,
    Backup,
    BackupCopy,
    BackupDestination,
    BackupDrill,
    BackupRestore,
    BackupTarget,
    CopyStatus,
    DrillStatus,
    RestoreStatus,
)
from mainstay_server.areas.backups.service.manifests import manifest_key_of
from mainstay_server.contracts.backups import BackupRemoved
from mainstay_server.kernel.copies.destinations import Destination, Locked, reason_of
from mainstay_server.kernel.copies.opened import open_destination
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.problems import Conflict

from .places import url_of
from .runs import copies_of, get_backup, ids_of


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one copy: it is gone, or why it is not."""

    destination: str
    is_removed: bool
    reason: str = ""


@dataclass(frozen=True)
class _Order:
    copy_id: str
    destination: BackupDestination
    keys: tuple[str, ...]


def remove_backup(
    backup_id: str, *, even_the_last: bool = False, by_hand: bool = True, now: datetime
) -> list[Outcome]:
    """Remove all copies of a backup; it stays in the history without them.

    It takes as long as the stores take, and opens transactions of its own. Done again, it goes on
    where it was cut off. What could not be removed stays as it was, and is told.

    Raises:
        NotFound: there is no such backup.
        Conflict: it is kept for good, is being read, made, or is the only one known to restore
            and nobody said to remove even that.
    """
    with transaction() as session:
        backup = get_backup(session, backup_id)
        refuse_removal(session, backup, even_the_last=even_the_last)
        orders = _orders(session, backup)
    outcomes = [_carry_out(order, now=now) for order in orders]
    if by_hand and orders:
        with transaction() as session:
            backup = get_backup(session, backup_id)
            target = session.get_one(BackupTarget, backup.target_id)
            places = [each.destination.name for each in orders]
            changes = changes_between({"copies": places}, {})
            say(session, BackupRemoved(**ids_of(backup, target), changes=changes), now=now)
    return outcomes


def refuse_if_left(outcomes: Sequence[Outcome]) -> None:
    """Raise `Conflict` with what a store kept, when somebody wanted all copies gone."""
    left = [each for each in outcomes if not each.is_removed]
    if left:
        told = "; ".join(f"{each.destination}: {each.reason}" for each in left)
        raise Conflict(
            f"Not every copy could be removed. {told}"[:LONGEST_REASON], code="copies-left"
        )


def refuse_removal(session: Session, backup: Backup, *, even_the_last: bool = False) -> None:
    """Refuse to remove what somebody may still need. Raises `Conflict`."""
    if backup.status in UNDER_WAY:
        raise Conflict("The backup is not finished; cancel it first.")
    if backup.is_kept:
        raise Conflict("The backup is kept for good; let it go first.")
    if _is_read(session, backup.id):
        raise Conflict("The backup is being restored or tried; wait until that has ended.")
    if not even_the_last and backup.id == last_verified_id(session, backup.target_id):
        raise Conflict(
            "It is the newest backup that is known to restore; verify a newer one first.",
            code="last-verified",
        )


def last_verified_id(session: Session, target_id: str) -> str | None:
    """The newest backup that was verified and has a copy without a known fault."""
    return session.scalar(
        sa.select(Backup.id)
        .where(
            Backup.target_id == target_id,
            Backup.status.in_(STORED),
            Backup.verified_at.is_not(None),
            Backup.id.in_(_with_sound_copies()),
        )
        .order_by(Backup.finished_at.desc(), Backup.id.desc())
        .limit(1)
    )


def verified_ids(session: Session, target_id: str) -> set[str]:
    """All backups of a target that were verified and have a copy without a known fault."""
    return set(
        session.scalars(
            sa.select(Backup.id).where(
                Backup.target_id == target_id,
                Backup.verified_at.is_not(None),
                Backup.id.in_(_with_sound_copies()),
            )
        )
    )


def _with_sound_copies() -> sa.Select[str]:
    return sa.select(BackupCopy.backup_id).where(
        BackupCopy.status.in_(THERE), BackupCopy.fault == ""
    )


def _is_read(session: Session, backup_id: str) -> bool:
    drills = sa.select(BackupDrill.id).where(
        BackupDrill.backup_id == backup_id, BackupDrill.status == DrillStatus.RUNNING
    )
    restores = sa.select(BackupRestore.id).where(
        BackupRestore.backup_id == backup_id,
        BackupRestore.status.in_((RestoreStatus.QUEUED, RestoreStatus.RUNNING)),
    )
    return any(session.scalar(each.limit(1)) is not None for each in (drills, restores))


def _orders(session: Session, backup: Backup) -> Sequence[_Order]:
    beside = tuple(str(each["key"]) for each in backup.beside)
    # The object goes first: while it is there, so is the manifest that tells what it is.
    keys = (backup.key, *beside, manifest_key_of(backup.key, backup_id=backup.id))
    return [
        _Order(each.copy.id, each.destination, keys)
        for each in copies_of(session, [backup.id])[backup.id]
        if each.copy.status in THERE
    ]


def _carry_out(order: _Order, *, now: datetime) -> Outcome:
    status, reason, until = CopyStatus.REMOVED, "", None
    try:
        place: Destination = open_destination(url_of(order.destination))
        for key in order.keys:
            place.remove(key, now=now)
    except Locked as error:
        status, reason, until = CopyStatus.LOCKED, str(error), error.until
    except Exception as error:  # noqa: BLE001 - the store's fault; the copy stays and it is told
        status, reason = CopyStatus.STORED, reason_of(error)
    with transaction() as session:
        _record(session, order.copy_id, status, reason, until, now=now)
    return Outcome(
        destination=order.destination.name,
        is_removed=status is CopyStatus.REMOVED,
        reason=reason,
    )


def _record(
    session: Session,
    copy_id: str,
    status: CopyStatus,
    reason: str,
    until: datetime | None,
    *,
    now: datetime,
) -> None:
    copy = session.get(BackupCopy, copy_id, with_for_update=True)
    if copy is None:
        return
    copy.status, copy.reason, copy.locked_until = status, reason[:LONGEST_REASON], until
    session.flush()
    left = sa.select(sa.func.count()).where(
        BackupCopy.backup_id == copy.backup_id, BackupCopy.status.in_(THERE)
    )
    if not session.scalar(left):
        backup = session.get_one(Backup, copy.backup_id)
        backup.removed_at, backup.manifest = now, b""
