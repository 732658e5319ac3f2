"""Troubles: what is wrong with a target's backups, said when it begins, and when all of it is over.

A target can have several at once: a run failed, a copy is damaged, a drill found a difference, a
backup is late or too small. Each is remembered with the time since when; it recovered when none
is left.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import LONGEST_REASON, BackupTarget
from mainstay_server.contracts.backups import (
    BackupFailed,
    BackupLate,
    BackupRecovered,
    BackupTooSmall,
    Trouble,
)
from mainstay_server.kernel.clock import rfc3339
from mainstay_server.kernel.events import say

LATE = "late"
TOO_SMALL = "too_small"


def record_failed(
    session: Session,
    target: BackupTarget,
    *,
    what: Trouble,
    backup_id: str,
    reason: str,
    now: datetime,
) -> None:
    """Say that a backup cannot be relied on; `what` of it failed is a trouble until `settle`."""
    _remember(session, target, what, now=now)
    event = BackupFailed(
        **told(target), backup_id=backup_id, what=what, reason=reason[:LONGEST_REASON]
    )
    say(session, event, now=now)


def record_late(
    session: Session,
    target: BackupTarget,
    *,
    expected_at: datetime,
    last_at: datetime | None,
    now: datetime,
) -> bool:
    """Say that a backup should be there and is not, once; whether it was not said before."""
    if not _remember(session, target, LATE, now=now):
        return False
    say(session, BackupLate(**told(target), expected_at=expected_at, last_at=last_at), now=now)
    return True


def record_too_small(
    session: Session,
    target: BackupTarget,
    *,
    backup_id: str,
    plain_bytes: int,
    usual_bytes: int,
    now: datetime,
) -> None:
    """Say that a backup is much smaller than those before it."""
    _remember(session, target, TOO_SMALL, now=now)
    event = BackupTooSmall(
        **told(target), backup_id=backup_id, plain_bytes=plain_bytes, usual_bytes=usual_bytes
    )
    say(session, event, now=now)


def settle(session: Session, target: BackupTarget, *whats: str, reason: str, now: datetime) -> None:
    """Take some troubles for over, and say that it recovered when they were the last ones."""
    session.refresh(target, ["troubles"], with_for_update=True)
    left = {what: since for what, since in target.troubles.items() if what not in whats}
    if left == target.troubles:
        return
    since = min(datetime.fromisoformat(each) for each in target.troubles.values())
    target.troubles = left
    session.flush()
    if not left:
        say(session, BackupRecovered(**told(target), since=since, reason=reason), now=now)


def forget(session: Session, target: BackupTarget, *, reason: str, now: datetime) -> None:
    """Nobody expects backups any more, so nothing is wrong with them."""
    settle(session, target, *target.troubles, reason=reason, now=now)


def has_trouble(session: Session, target_id: str) -> bool:
    """Whether anything that was said to be wrong with a target's backups still is."""
    target = session.get(BackupTarget, target_id)
    return target is not None and bool(target.troubles)


def told(target: BackupTarget) -> dict[str, str]:
    """What every event about a target's backups carries."""
    return {
        "organization_id": target.organization_id,
        "project_id": target.project_id,
        "instance_id": target.instance_id,
        "target_id": target.id,
        "name": target.name,
        "engine": target.engine,
    }


def _remember(session: Session, target: BackupTarget, what: str, *, now: datetime) -> bool:
    """Note since when it is so; whether that is new."""
    session.refresh(target, ["troubles"], with_for_update=True)
    if what in target.troubles:
        return False
    target.troubles = {**target.troubles, what: rfc3339(now)}
    session.flush()
    return True
