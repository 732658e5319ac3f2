"""Reading: the rows that somebody asks for, the newest first or onward from a place."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.audit.models import AuditRow
from mainstay_server.areas.audit.schemas import Actor, Row, RowFilter, Target, decode_row
from mainstay_server.kernel.clock import rfc3339
from mainstay_server.kernel.database import reading

MOST_AT_ONCE = 1000
MOST_ACTIONS = 300
LONGEST_DAMAGED = 500


@dataclass(frozen=True, kw_only=True)
class Found:
    """One row with its hash."""

    row: Row
    hash: str
    body: str


def list_rows(
    session: Session,
    organization_id: str,
    wanted: RowFilter,
    *,
    limit: int,
    offset: int = 0,
    before: int = 0,
) -> list[Found]:
    """Rows of a log, the newest first; those before a position, if one is given."""
    matching = _matching(organization_id, wanted)
    if before:
        matching = matching.where(AuditRow.position < before)
    ordered = matching.order_by(AuditRow.position.desc())
    return _found(session.scalars(ordered.limit(limit).offset(offset)).all())


def count_rows(session: Session, organization_id: str, wanted: RowFilter) -> int:
    """How many rows of a log match."""
    matching = _matching(organization_id, wanted).subquery()
    return session.scalar(sa.select(sa.func.count()).select_from(matching)) or 0


def rows_after(
    session: Session, organization_id: str, wanted: RowFilter, *, position: int, limit: int
) -> list[Found]:
    """Rows of a log behind a position, in order."""
    onward = _matching(organization_id, wanted).where(AuditRow.position > position)
    return _found(session.scalars(onward.order_by(AuditRow.position).limit(limit)).all())


def every_row(organization_id: str, wanted: RowFilter, *, up_to: int) -> Iterator[Found]:
    """All matching rows up to a position, in order, a thousand at a time.

    Each thousand is read in a transaction of its own, so that somebody who downloads slowly holds
    none open; rows never change, and what comes meanwhile lies behind `up_to`.
    """
    position = 0
    while True:
        with reading() as session:
            found = rows_after(
                session, organization_id, wanted, position=position, limit=MOST_AT_ONCE
            )
        yield from (each for each in found if each.row.position <= up_to)
        if len(found) < MOST_AT_ONCE or found[-1].row.position >= up_to:
            return
        position = found[-1].row.position


def actions_of(session: Session, organization_id: str) -> Sequence[str]:
    """Every action that a log has, by name, at most 300."""
    return session.scalars(
        sa.select(AuditRow.action)
        .where(AuditRow.organization_id == organization_id)
        .distinct()
        .order_by(AuditRow.action)
        .limit(MOST_ACTIONS)
    ).all()


def _found(rows: Sequence[AuditRow]) -> list[Found]:
    return [Found(row=_decoded(row), hash=row.hash, body=row.body) for row in rows]


def _decoded(kept: AuditRow) -> Row:
    """A row as its text says it; one that somebody damaged is still shown, as far as it is known.

    Verifying is what names it; a page that fails would only hide it.
    """
    try:
        return decode_row(kept.body)
    except ValueError:
        return Row(
            version=0,
            organization_id=kept.organization_id,
            position=kept.position,
            id="",
            at=rfc3339(kept.at),
            actor=Actor(kind="anonymous", id="", name="", email=""),
            address="",
            client="",
            action=kept.action,
            outcome="failure",
            target=Target(kind="", id=kept.target_id, name="This row was damaged"),
            project=None,
            instance=None,
            changes={},
            details={"damaged": kept.body[:LONGEST_DAMAGED]},
            prev_hash="",
        )


def _matching(organization_id: str, wanted: RowFilter) -> sa.Select[AuditRow]:
    statement = sa.select(AuditRow).where(AuditRow.organization_id == organization_id)
    for condition in _conditions(wanted):
        statement = statement.where(condition)
    return statement


def _conditions(wanted: RowFilter) -> Iterator[sa.ColumnElement[bool]]:
    if wanted.project_id:
        yield AuditRow.project_id == wanted.project_id
    if wanted.instance_id:
        yield AuditRow.instance_id.in_((wanted.instance_id, ""))
    if wanted.action:
        # `project` finds all that happened to projects, `project.created` that one thing.
        yield sa.or_(
            AuditRow.action == wanted.action,
            AuditRow.action.startswith(f"{wanted.action}.", autoescape=True),
        )
    if wanted.actor:
        yield sa.or_(
            AuditRow.actor.endswith(f":{wanted.actor}", autoescape=True),
            AuditRow.actor == wanted.actor,
            AuditRow.who.icontains(wanted.actor, autoescape=True),
        )
    if wanted.search:
        yield AuditRow.body.icontains(wanted.search, autoescape=True)
    if wanted.since:
        yield AuditRow.at >= wanted.since
    if wanted.until:
        yield AuditRow.at < wanted.until
