"""Checking: copies are read again and again, for what lies long is not always what was written."""

import hashlib
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import (
    LONGEST_REASON,
    STORED,
    THERE,
    Backup,
    BackupCopy,
    BackupDestination,
    BackupTarget,
)
from mainstay_server.areas.backups.service.manifests import manifest_key_of, public_key
from mainstay_server.areas.backups.service.verifying import Fault, Verdict, verify
from mainstay_server.areas.backups.settings import BackupSettings
from mainstay_server.kernel.copies.destinations import CopyMissing, reason_of
from mainstay_server.kernel.copies.opened import open_destination
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.settings import of

from . import troubles
from .places import url_of
from .pulses import Clock
from .removal import verified_ids

MOST_AT_ONCE = 100
MOST_KNOWN = 5000
TURN_SECONDS = 600.0
AGAIN_AFTER = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class _Order:
    copy_id: str
    backup_id: str
    manifest_key: str
    destination: BackupDestination
    known: dict[str, str]


def check_due(*, clock: Clock) -> int:
    """Read the copies that are due for it, new ones first, for at most ten minutes; how many."""
    deadline, checked = time.monotonic() + TURN_SECONDS, 0
    with reading() as session:
        due = _due(session, now=clock())
    for copy_id in due:
        if time.monotonic() > deadline:
            break
        checked += check_copy(copy_id, clock=clock) is not None
    return checked


def check_copy(copy_id: str, *, clock: Clock) -> Verdict | None:
    """Read one copy whole from outside, and remember what it is; None when it is gone by now.

    A store that is away is no fault of the copy: it is asked again in an hour.
    """
    with reading() as session:
        order = _order(session, copy_id)
    if order is None:
        return None
    try:
        verdict = _verdict_on(order, url_of(order.destination))
    except Exception as error:  # noqa: BLE001 - whatever it is, the other copies are read
        verdict = Verdict(Fault.UNREADABLE, reason_of(error))
    with transaction() as session:
        record_verdict(session, copy_id, verdict, now=clock())
    return verdict


def _verdict_on(order: _Order, url: str) -> Verdict:
    verdict = verify(
        destination=url,
        manifest_key=order.manifest_key,
        backup_id=order.backup_id,
        trusted=[public_key()],
        known=order.known,
    )
    if verdict.fault is not None or verdict.manifest is None:
        return verdict
    place = open_destination(url)
    for each in verdict.manifest.beside:
        try:
            digest = hashlib.sha256(b"".join(place.stream(each.key))).hexdigest()
        except CopyMissing as error:
            return replace(verdict, fault=Fault.MISSING, text=str(error))
        if digest != each.sealed.sha256:
            text = f"{each.name} beside it is not as it was written."
            return replace(verdict, fault=Fault.CHANGED, text=text)
    return verdict


def record_verdict(session: Session, copy_id: str, verdict: Verdict, *, now: datetime) -> None:
    """Remember what a reading found; a new fault is said, and unverifies what no copy can prove.

    A copy that was opened and compared, with nothing wrong, makes its backup a verified one.
    """
    copy = session.get(BackupCopy, copy_id, with_for_update=True)
    if copy is None or copy.status not in THERE:
        return
    backup = session.get_one(Backup, copy.backup_id)
    target = session.get_one(BackupTarget, backup.target_id)
    if verdict.fault is Fault.UNREADABLE:
        # It is not known what it is: look again soon. A store that stays away fails the next run.
        every = timedelta(days=of(BackupSettings).backup_check_days)
        copy.checked_at, copy.reason = now - every + AGAIN_AFTER, verdict.text[:LONGEST_REASON]
        return
    was, copy.fault = copy.fault, verdict.fault or ""
    copy.checked_at, copy.reason = now, verdict.text[:LONGEST_REASON] if verdict.fault else ""
    if verdict.fault is None and verdict.is_opened:
        backup.verified_at = now
    session.flush()
    if verdict.fault is not None:
        if was != verdict.fault:
            _say_faulty(session, target, backup, copy, verdict, now=now)
        return
    if not has_faulty_newer(session, backup):
        reason = "The newest copies are as they were written."
        troubles.settle(session, target, "verification", reason=reason, now=now)


def _say_faulty(
    session: Session,
    target: BackupTarget,
    backup: Backup,
    copy: BackupCopy,
    verdict: Verdict,
    *,
    now: datetime,
) -> None:
    destination = session.get_one(BackupDestination, copy.destination_id)
    if backup.id not in verified_ids(session, target.id):
        backup.verified_at = None
    made = f"{backup.started_at:%-d %b %Y, %H:%M} UTC" if backup.started_at else "unknown time"
    troubles.record_failed(
        session,
        target,
        what="verification",
        backup_id=backup.id,
        reason=f"The copy of {made} at {destination.name} is damaged. {verdict.text}",
        now=now,
    )


def has_faulty_newer(session: Session, backup: Backup) -> bool:
    """Whether a copy as new as this backup's, or newer, has a fault."""
    found = (
        sa.select(BackupCopy.id)
        .join(Backup, Backup.id == BackupCopy.backup_id)
        .where(
            Backup.target_id == backup.target_id,
            Backup.id >= backup.id,
            BackupCopy.status.in_(THERE),
            BackupCopy.fault != "",
        )
    )
    return session.scalar(found.limit(1)) is not None


def _due(session: Session, *, now: datetime) -> list[str]:
    before = now - timedelta(days=of(BackupSettings).backup_check_days)
    found = (
        sa.select(BackupCopy.id)
        .join(Backup, Backup.id == BackupCopy.backup_id)
        .where(
            BackupCopy.status.in_(THERE),
            Backup.status.in_(STORED),
            sa.or_(BackupCopy.checked_at.is_(None), BackupCopy.checked_at <= before),
        )
        .order_by(BackupCopy.checked_at.is_not(None), BackupCopy.checked_at, BackupCopy.id.desc())
        .limit(MOST_AT_ONCE)
    )
    return list(session.scalars(found))


def _order(session: Session, copy_id: str) -> _Order | None:
    copy = session.get(BackupCopy, copy_id)
    if copy is None or copy.status not in THERE:
        return None
    backup = session.get_one(Backup, copy.backup_id)
    others = sa.select(Backup.sha256, Backup.id).where(
        Backup.target_id == backup.target_id, Backup.sha256 != "", Backup.id != backup.id
    )
    rows = session.execute(others.order_by(Backup.id.desc()).limit(MOST_KNOWN))
    return _Order(
        copy_id=copy_id,
        backup_id=backup.id,
        manifest_key=manifest_key_of(backup.key, backup_id=backup.id),
        destination=session.get_one(BackupDestination, copy.destination_id),
        known={row.sha256: row.id for row in rows},
    )
