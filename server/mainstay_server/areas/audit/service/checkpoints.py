"""Checkpoints: the tree's root signed, kept, and told to whoever carries it off the machine."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from mainstay_cli.audit_verifier.merkle import Tree
from sqlalchemy.orm import Session

from mainstay_server.areas.audit.models import (
    AuditCheckpoint,
    AuditDestination,
    AuditLog,
    AuditRemoval,
)
from mainstay_server.contracts.audit import AuditCheckpointSigned
from mainstay_server.kernel.database import insert
from mainstay_server.kernel.events import say

from .signing import signed_checkpoint

MOST_SIGNED_AT_ONCE = 1000
MOST_LISTED = 200
LONGEST_ERROR = 500


def sign_checkpoint(session: Session, log: AuditLog, *, now: datetime) -> None:
    """Sign all rows of a log that the caller holds locked, and say so."""
    tree = Tree(log.size, [bytes.fromhex(text) for text in log.whole])
    note = signed_checkpoint(log.organization_id, size=log.size, root=tree.root())
    session.add(
        AuditCheckpoint(
            organization_id=log.organization_id, size=log.size, note=note, signed_at=now
        )
    )
    log.signed_size = log.size
    session.flush()
    signed = AuditCheckpointSigned(
        organization_id=log.organization_id, size=log.size, note=note, signed_at=now
    )
    say(session, signed, now=now)


def sign_all(session: Session, *, now: datetime) -> int:
    """Sign every log that grew since its last checkpoint; returns how many."""
    unsigned = session.scalars(
        sa.select(AuditLog)
        .where(AuditLog.size > AuditLog.signed_size)
        .order_by(AuditLog.organization_id)
        .limit(MOST_SIGNED_AT_ONCE)
        .with_for_update()
    ).all()
    for log in unsigned:
        sign_checkpoint(session, log, now=now)
    return len(unsigned)


def list_checkpoints(
    session: Session, organization_id: str, *, limit: int = MOST_LISTED
) -> Sequence[AuditCheckpoint]:
    """The newest checkpoints of a log, the newest first."""
    return session.scalars(
        sa.select(AuditCheckpoint)
        .where(AuditCheckpoint.organization_id == organization_id)
        .order_by(AuditCheckpoint.size.desc())
        .limit(limit)
    ).all()


def list_removals(session: Session, organization_id: str) -> Sequence[AuditRemoval]:
    """The newest notes of what retention removed, the newest first, at most 200."""
    return session.scalars(
        sa.select(AuditRemoval)
        .where(AuditRemoval.organization_id == organization_id)
        .order_by(AuditRemoval.last.desc())
        .limit(MOST_LISTED)
    ).all()


def list_destinations(session: Session, organization_id: str) -> Sequence[AuditDestination]:
    """Where checkpoints of a log went, by name."""
    return session.scalars(
        sa.select(AuditDestination)
        .where(AuditDestination.organization_id == organization_id)
        .order_by(AuditDestination.name)
    ).all()


def note_reached(
    session: Session, event: AuditCheckpointSigned, destination: str, *, error: str, now: datetime
) -> None:
    """Write down that a checkpoint reached a destination, or why it did not."""
    size = 0 if error else event.size
    made = insert(AuditDestination).values(
        organization_id=event.organization_id,
        name=destination,
        size=size,
        reached_at=None if error else now,
        error=error[:LONGEST_ERROR],
    )
    furthest = sa.case((AuditDestination.size > size, AuditDestination.size), else_=size)
    values: dict[str, object] = {"error": error[:LONGEST_ERROR], "size": furthest}
    if not error:
        values["reached_at"] = now
    session.execute(
        made.on_conflict_do_update(index_elements=["organization_id", "name"], set_=values)
    )
