"""Parts: what an app's own health document says of each of its dependencies, with its history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks.models import HealthCheck, HealthPart, HealthPartSpell
from mainstay_server.areas.health_checks.schemas.orders import Part
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.watching import State

MOST_PARTS = 50
MOST_SPELLS_READ = 2_000
KEPT = timedelta(days=90)
MOST_FORGOTTEN_AT_ONCE = 5_000
UNSEEN = "the health document tells no more of it"


@dataclass(frozen=True, kw_only=True)
class PartSpell:
    """A state of a part from its start up to its end, cut to a range."""

    state: State
    started_at: datetime
    ended_at: datetime
    reason: str


def record_parts(
    session: Session, check: HealthCheck, told: Sequence[Part], *, at: datetime
) -> None:
    """Note what a result told of the parts of a check, at most 50, each change as a new spell.

    Parts that it told nothing of are unknown from then on: a document that is away says neither
    that its parts are well nor that they are not.
    """
    known = {part.name: part for part in list_parts(session, check.id)}
    named = {part.name: part for part in told[:MOST_PARTS]}
    for name, part in named.items():
        row = known.get(name)
        if row is None and len(known) < MOST_PARTS:
            known[name] = _begin(session, check, part, at=at)
        elif row is not None:
            row.response_ms = part.response_ms
            _move(session, row, part.state, at=at, reason=part.reason)
    for name, row in known.items():
        if name not in named:
            row.response_ms = None
            _move(session, row, State.UNKNOWN, at=at, reason=UNSEEN)


def list_parts(session: Session, check_id: str) -> Sequence[HealthPart]:
    """The parts of a check, by name."""
    return session.scalars(
        sa.select(HealthPart)
        .where(HealthPart.health_check_id == check_id)
        .order_by(HealthPart.name)
        .limit(MOST_PARTS)
    ).all()


def spells_of_parts(
    session: Session, parts: Sequence[HealthPart], *, since: datetime, until: datetime
) -> dict[str, list[PartSpell]]:
    """The spells of each part within a range, oldest first, cut to it; at most 2,000 in all."""
    found: dict[str, list[PartSpell]] = {part.id: [] for part in parts}
    rows = session.scalars(
        sa.select(HealthPartSpell)
        .where(
            HealthPartSpell.part_id.in_(found),
            HealthPartSpell.started_at < until,
            sa.or_(HealthPartSpell.ended_at.is_(None), HealthPartSpell.ended_at > since),
        )
        .order_by(HealthPartSpell.started_at.desc(), HealthPartSpell.id.desc())
        .limit(MOST_SPELLS_READ)
    )
    for row in rows:
        found[row.part_id].append(
            PartSpell(
                state=State(row.state),
                started_at=max(row.started_at, since),
                ended_at=min(row.ended_at or until, until),
                reason=row.reason,
            )
        )
    return {id_: list(reversed(spells)) for id_, spells in found.items()}


def forget_old_spells(session: Session, *, now: datetime) -> int:
    """Delete spells of parts that ended more than 90 days ago; returns how many."""
    old = (
        sa.select(HealthPartSpell.id)
        .where(HealthPartSpell.ended_at < now - KEPT)
        .limit(MOST_FORGOTTEN_AT_ONCE)
    )
    gone = session.execute(
        sa.delete(HealthPartSpell)
        .where(HealthPartSpell.id.in_(old))
        .returning(HealthPartSpell.id)
        .execution_options(synchronize_session=False)
    )
    return len(gone.all())


def _begin(session: Session, check: HealthCheck, told: Part, *, at: datetime) -> HealthPart:
    part = HealthPart(
        id=new_id(),
        health_check_id=check.id,
        name=told.name,
        state=told.state,
        state_since=at,
        reason=told.reason,
        response_ms=told.response_ms,
    )
    session.add(part)
    session.flush()
    _open(session, part, at=at)
    return part


def _move(session: Session, part: HealthPart, state: State, *, at: datetime, reason: str) -> None:
    """Close the spell that lasts and open the next, if the state is another."""
    if part.state == state:
        part.reason = reason
        return
    at = max(at, part.state_since)
    session.execute(
        sa.update(HealthPartSpell)
        .where(HealthPartSpell.part_id == part.id, HealthPartSpell.ended_at.is_(None))
        .values(ended_at=at)
    )
    part.state, part.state_since, part.reason = state, at, reason
    _open(session, part, at=at)


def _open(session: Session, part: HealthPart, *, at: datetime) -> None:
    session.add(
        HealthPartSpell(
            id=new_id(), part_id=part.id, state=part.state, started_at=at, reason=part.reason
        )
    )
    session.flush()
