"""Changing a state: close its spell, open the next, and find out what is to be told."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.kernel.database import new_id

from .models import RecordedSpell, SpellCorrection, SpellMonth, Watchable
from .states import KNOWN, SEVERITY, State
from .telling import Told, stop_telling, tell

# It flaps when it turned twice within ten results, or four times within an hour: worse, better
# and worse again is two. Both are within an hour, so what is heard of rarely never flaps.
LOOK_BACK = timedelta(hours=1)
QUICK_RESULTS, QUICK_TURNS, SLOW_TURNS = 10, 2, 4
MOST_LOOKED_AT = 200


def begin(session: Session, subject: Watchable, *, now: datetime, reason: str = "") -> None:
    """Begin the history of a new subject, of which nothing is known yet."""
    subject.state, subject.state_since, subject.state_reason = State.UNKNOWN, now, reason
    subject.watched_until = now
    session.add(subject)
    session.flush()
    _open_spell(session, subject)


def change_state(
    session: Session,
    subject: Watchable,
    state: State,
    *,
    at: datetime,
    reason: str = "",
    hold_until: datetime | None = None,
) -> Told | None:
    """End the present spell at `at` and begin one of another state.

    Spells never overlap and never run backwards: a change dated before the present spell counts
    from its start. Whoever calls it has locked the subject, and says what comes back. `hold_until`
    is that of `tell`.
    """
    at = max(at, subject.state_since)
    may_flap = at - subject.state_since < LOOK_BACK  # else nothing else is within the hour
    session.execute(
        sa.update(RecordedSpell)
        .where(RecordedSpell.subject_id == subject.id, RecordedSpell.ended_at.is_(None))
        .values(ended_at=at)
    )
    subject.state, subject.state_since, subject.state_reason = state, at, reason
    _open_spell(session, subject)
    if state == State.PAUSED:
        return stop_telling(subject, at=at, reason=reason)
    is_new = state in KNOWN and not subject.flapping_since
    if is_new and may_flap and _flaps(session, subject, at=at):
        subject.flapping_since = at
    return tell(session, subject, now=at, hold_until=hold_until)


def restate(session: Session, subject: Watchable, state: State, *, reason: str = "") -> None:
    """Say better what the present spell is and was from its start, which others are not told."""
    subject.state, subject.state_reason = state, reason
    session.execute(
        sa.update(RecordedSpell)
        .where(RecordedSpell.subject_id == subject.id, RecordedSpell.ended_at.is_(None))
        .values(state=state, reason=reason)
    )


def forget(session: Session, subject: Watchable, *, at: datetime, reason: str) -> Told | None:
    """Delete a subject with its history; what was told of it ends first."""
    told = stop_telling(subject, at=at, reason=reason)
    for kept in (RecordedSpell, SpellMonth, SpellCorrection):
        session.execute(sa.delete(kept).where(kept.subject_id == subject.id))
    session.delete(subject)
    session.flush()
    return told


def turns_of(states: Sequence[State]) -> int:
    """How often a sequence of states turned from getting worse to getting better, or back."""
    ranks = [SEVERITY[state] for state in states if state in SEVERITY]
    steps = [after > before for before, after in pairwise(ranks) if after != before]
    return sum(one != other for one, other in pairwise(steps))


def _flaps(session: Session, subject: Watchable, *, at: datetime) -> bool:
    spells = session.execute(
        sa.select(RecordedSpell.state, RecordedSpell.ended_at)
        .where(
            RecordedSpell.subject_id == subject.id,
            sa.or_(RecordedSpell.ended_at.is_(None), RecordedSpell.ended_at > at - LOOK_BACK),
        )
        .order_by(RecordedSpell.started_at.desc(), RecordedSpell.id.desc())
        .limit(MOST_LOOKED_AT)
    ).all()[::-1]
    quick = at - min(QUICK_RESULTS * subject.rhythm, LOOK_BACK)
    lately = [State(state) for state, ended in spells if ended is None or ended > quick]
    ever = [State(state) for state, _ in spells]
    return turns_of(lately) >= QUICK_TURNS or turns_of(ever) >= SLOW_TURNS


def _open_spell(session: Session, subject: Watchable) -> None:
    session.add(
        RecordedSpell(
            id=new_id(),
            subject_id=subject.id,
            instance_id=subject.instance_id,
            state=subject.state,
            started_at=subject.state_since,
            reason=subject.state_reason,
        )
    )
    session.flush()
