"""Keeping: what retention does with a target's backups, shown beforehand by the same function."""

import logging
import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import (
    STORED,
    UNDER_WAY,
    Backup,
    BackupTarget,
)
from mainstay_server.areas.backups.service.retention import Decision, Kept, Policy, decide
from mainstay_server.kernel.database import reading, rows_changed
from mainstay_server.kernel.problems import Conflict, NotFound

from .removal import Outcome, remove_backup, verified_ids
from .targets import get_target

log = logging.getLogger(__name__)

MOST_AT_ONCE = 500
MOST_FORGOTTEN_AT_ONCE = 1000
HISTORY_STAYS = timedelta(days=400)
BY_HAND = "kept by hand"


@dataclass(frozen=True)
class Judged:
    """A backup and what retention does with it."""

    backup: Backup
    decision: Decision


def policy_of(target: BackupTarget) -> Policy:
    """How long a target's backups stay; a calendar's days are those of its schedule's time zone."""
    return Policy(
        days=target.keep_days,
        count=target.keep_count,
        daily=target.keep_daily,
        weekly=target.keep_weekly,
        monthly=target.keep_monthly,
        yearly=target.keep_yearly,
        time_zone=target.time_zone,
    )


def preview(
    session: Session, target: BackupTarget, *, policy: Policy | None = None, now: datetime
) -> list[Judged]:
    """What retention would do now with each stored backup, newest first, and why.

    Another `policy` may be tried before it is chosen. The deletion asks this function.
    """
    verified = verified_ids(session, target.id)
    stored = session.scalars(
        sa.select(Backup).where(
            Backup.target_id == target.id,
            Backup.status.in_(STORED),
            Backup.removed_at.is_(None),
            Backup.finished_at.is_not(None),
        )
    ).all()
    by_id = {backup.id: backup for backup in stored}
    kept = [
        Kept(backup.id, backup.finished_at, backup.id in verified)
        for backup in stored
        if backup.finished_at is not None
    ]
    decisions = decide(kept, policy or policy_of(target), now=now)
    return [Judged(by_id[each.id], _with_hand(each, by_id[each.id])) for each in decisions]


def remove_old(*, now: datetime) -> list[tuple[str, list[Outcome]]]:
    """Remove what no rule keeps any more, at most 500 backups a round; transactions of its own.

    Which ones is left to chance: those of a store that is away or keeps everything would else be
    the first at every round, and nobody else's would ever go. Returns the ids of backups with what
    became of their copies. One that is read at the moment stays until the next round.
    """
    with reading() as session:
        targets = session.scalars(sa.select(BackupTarget).order_by(BackupTarget.id)).all()
        going = [
            judged.backup.id
            for target in targets
            for judged in preview(session, target, now=now)
            if not judged.decision.stays
        ]
    chosen = random.sample(going, min(len(going), MOST_AT_ONCE))
    carried_out = ((each, _remove(each, by_hand=False, now=now)) for each in chosen)
    return [(each, outcomes) for each, outcomes in carried_out if outcomes is not None]


def clean_up(target_id: str, *, now: datetime) -> list[Judged]:
    """Remove at once what no rule keeps of one target, at most 500 backups.

    Returns what was decided about each. It takes as long as the stores take, and opens transactions
    of its own. One that is read at the moment stays until the next round. Raises `NotFound`.
    """
    with reading() as session:
        judged = preview(session, get_target(session, target_id), now=now)
        going = [each.backup.id for each in judged if not each.decision.stays]
        session.expunge_all()
    for backup_id in going[:MOST_AT_ONCE]:
        _remove(backup_id, by_hand=True, now=now)
    return judged


def _remove(backup_id: str, *, by_hand: bool, now: datetime) -> list[Outcome] | None:
    try:
        return remove_backup(backup_id, by_hand=by_hand, now=now)
    except (Conflict, NotFound) as refusal:
        log.info("retention leaves backup %s: %s", backup_id, refusal.detail)
        return None


def forget_history(session: Session, *, now: datetime) -> int:
    """Forget runs of more than 400 days ago of which no copy is left; returns how many."""
    old = (
        sa.select(Backup.id)
        .where(
            Backup.queued_at < now - HISTORY_STAYS,
            Backup.status.not_in(UNDER_WAY),
            sa.or_(Backup.status.not_in(STORED), Backup.removed_at.is_not(None)),
        )
        .limit(MOST_FORGOTTEN_AT_ONCE)
    )
    return rows_changed(session, sa.delete(Backup).where(Backup.id.in_(old)))


def _with_hand(decision: Decision, backup: Backup) -> Decision:
    return replace(decision, reasons=(*decision.reasons, BY_HAND)) if backup.is_kept else decision
