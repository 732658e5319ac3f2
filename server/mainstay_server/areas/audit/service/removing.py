"""Retention: old rows are removed from the front, and a signed note says what they were."""

from datetime import datetime

import sqlalchemy as sa
from mainstay_cli.audit_verifier.merkle import Tree
from sqlalchemy.orm import Session

from mainstay_server.areas.audit.models import (
    AuditCheckpoint,
    AuditLog,
    AuditRemoval,
    AuditRow,
)
from mainstay_server.contracts.audit import AuditLogTrimmed
from mainstay_server.kernel.clock import rfc3339
from mainstay_server.kernel.events import say

from .appending import locked_log
from .proofs import Subtrees
from .signing import signed_removal

MOST_AT_ONCE = 5000


def remove_old(session: Session, *, before: datetime, now: datetime) -> int:
    """Remove the rows that are older than an instant from every log; returns how many.

    Only what a checkpoint covers goes, at most 5,000 rows of a log at a time, so that writers
    never wait long. What goes stays proven: the note carries the roots of the whole subtrees of all
    rows up to there, from which every later checkpoint can still be computed.
    """
    logs = session.scalars(
        sa.select(AuditLog.organization_id)
        .where(AuditLog.signed_size > AuditLog.removed_size)
        .order_by(AuditLog.organization_id)
    ).all()
    return sum(_remove(session, log, before=before, now=now) for log in logs)


def subtrees_of(session: Session, log: AuditLog) -> Subtrees:
    """The subtrees of a log, with what is left of the rows that were removed."""
    newest = session.scalar(
        sa.select(AuditRemoval)
        .where(AuditRemoval.organization_id == log.organization_id)
        .order_by(AuditRemoval.last.desc())
        .limit(1)
    )
    removed = newest.whole if newest else []
    return Subtrees(session, log.organization_id, removed, newest.last if newest else 0)


def _remove(session: Session, organization_id: str, *, before: datetime, now: datetime) -> int:
    log = locked_log(session, organization_id)
    last = _last_old(session, log, before)
    if last <= log.removed_size:
        return 0
    tree = Tree(last, subtrees_of(session, log).before(last))
    whole = [subtree.hex() for subtree in tree.whole]
    own = AuditRow.organization_id == organization_id
    head = session.scalars(sa.select(AuditRow.hash).where(own, AuditRow.position == last)).one()
    note = signed_removal(
        organization_id, last=last, head=head, root=tree.root(), whole=whole, at=rfc3339(now)
    )
    session.add(
        AuditRemoval(
            organization_id=organization_id, last=last, whole=whole, note=note, removed_at=now
        )
    )
    session.execute(sa.delete(AuditRow).where(own, AuditRow.position <= last))
    session.execute(
        sa.delete(AuditCheckpoint).where(
            AuditCheckpoint.organization_id == organization_id, AuditCheckpoint.size < last
        )
    )
    first, log.removed_size = log.removed_size + 1, last
    session.flush()
    trimmed = AuditLogTrimmed(
        organization_id=organization_id, first=first, last=last, root=tree.root().hex()
    )
    say(session, trimmed, now=now)
    return last - first + 1


def _last_old(session: Session, log: AuditLog, before: datetime) -> int:
    """Up to which row all are older; times may stand a little out of order, so the first counts."""
    kept = session.scalar(
        sa.select(sa.func.min(AuditRow.position)).where(
            AuditRow.organization_id == log.organization_id, AuditRow.at >= before
        )
    )
    old = log.size if kept is None else kept - 1
    return min(old, log.signed_size, log.removed_size + MOST_AT_ONCE)
