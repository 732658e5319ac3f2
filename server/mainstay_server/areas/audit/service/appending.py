"""Appending: audited events become rows, chained, and leaves of the tree, in one transaction."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from mainstay_cli.audit_verifier.merkle import Tree, leaf_hash
from sqlalchemy.orm import Session

from mainstay_server.areas.audit.models import AuditLog, AuditRow, AuditSubtree, unlogged
from mainstay_server.areas.audit.settings import AuditSettings
from mainstay_server.kernel.database import insert, new_id
from mainstay_server.kernel.events import Heard
from mainstay_server.kernel.settings import of
from mainstay_server.tenancy.models import Instance, Project

from .checkpoints import sign_checkpoint
from .rows import Names, columns_of, text_of

HEIGHTS_KEPT = 8  # of subtrees of 256, 65,536 … rows the root is kept


def append(session: Session, heard: Sequence[Heard], *, now: datetime) -> int:
    """Write events of one organization at the end of its log; returns how many rows it has.

    The end of the log is one row that stays locked until the commit, so whatever number of
    processes append, each row is chained to the one before it, and positions have no gap.
    """
    organization_id = heard[0].event.organization_id
    if not organization_id:
        return 0  # before the first start made one, there is nobody whose log it could be
    log = locked_log(session, organization_id)
    names = _names(session, heard)
    tree, head = tree_of(log), log.head
    rows: list[dict[str, Any]] = []
    subtrees: list[dict[str, Any]] = []
    for each in heard:
        text = text_of(each, position=tree.size + 1, previous=head, row_id=new_id(), names=names)
        leaf = leaf_hash(text)
        head = leaf.hex()
        rows.append(columns_of(text, head))
        subtrees += _kept(organization_id, tree.append(leaf), size=tree.size)
    session.execute(sa.insert(AuditRow), rows)
    if subtrees:
        session.execute(sa.insert(AuditSubtree), subtrees)
    log.size, log.head, log.whole = tree.size, head, [subtree.hex() for subtree in tree.whole]
    session.flush()
    if log.size - log.signed_size >= of(AuditSettings).audit_checkpoint_rows:
        sign_checkpoint(session, log, now=now)
    return log.size


def locked_log(session: Session, organization_id: str) -> AuditLog:
    """The end of a log, made if there is none, held until the transaction ends."""
    log = _log(session, organization_id)
    if log is None:
        made = insert(AuditLog).values(**unlogged(organization_id)).on_conflict_do_nothing()
        session.execute(made)
        log = _log(session, organization_id)
    assert log is not None, "it was made, by us or by somebody else at the same moment"
    return log


def _log(session: Session, organization_id: str) -> AuditLog | None:
    return session.get(AuditLog, organization_id, with_for_update=True, populate_existing=True)


def tree_of(log: AuditLog) -> Tree:
    """The tree over all rows of a log."""
    return Tree(log.size, [bytes.fromhex(text) for text in log.whole])


def _kept(organization_id: str, whole: Sequence[bytes], *, size: int) -> list[dict[str, Any]]:
    """The subtrees to keep of those that became whole by a leaf; their index is their height."""
    return [
        {
            "organization_id": organization_id,
            "height": height,
            "place": (size >> height) - 1,
            "hash": whole[height].hex(),
        }
        for height in range(HEIGHTS_KEPT, len(whole), HEIGHTS_KEPT)
    ]


def _names(session: Session, heard: Sequence[Heard]) -> Names:
    """What the projects and instances of some events are called, those just removed included."""
    events = [each.event for each in heard]
    removed = {event.target.id: event.target.name for event in events}
    projects = {event.project_id for event in events} - {""}
    instances = {event.instance_id for event in events} - {""}
    slugs = sa.select(Project.id, Project.slug).where(Project.id.in_(projects))
    environments = sa.select(Instance.id, Instance.environment).where(Instance.id.in_(instances))
    return Names(
        projects=removed | _pairs(session, slugs, asked=projects),
        environments=removed | _pairs(session, environments, asked=instances),
    )


def _pairs(
    session: Session, statement: sa.Select[str, str], *, asked: Collection[str]
) -> dict[str, str]:
    return {row[0]: row[1] for row in session.execute(statement)} if asked else {}
