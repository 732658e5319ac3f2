"""Corrections: a person says what a past range really was, and why; what stood there is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.problems import Invalid

from .models import RecordedSpell, SpellCorrection, Watchable
from .months import refreeze
from .states import State

CORRECTABLE = (State.HEALTHY, State.DEGRADED, State.UNHEALTHY, State.UNKNOWN)
LONGEST_RANGE = timedelta(days=366)
MOST_REPLACED = 2_000
MOST_LISTED = 1_000


@dataclass(frozen=True, kw_only=True)
class Correction:
    """What somebody says of a past range: its state, and the reason for saying so."""

    state: State
    since: datetime
    until: datetime
    reason: str
    by: str


def correct(
    session: Session, subject: Watchable, said: Correction, *, now: datetime
) -> SpellCorrection:
    """Put one spell in the place of all that a past range held; frozen months are added up anew.

    Whoever calls it has locked the subject. How it is now stays, and nobody is told of trouble or
    recovery in the past. What stood in the range is kept with the correction.

    Raises:
        Invalid: the range does not lie in what is kept of the subject's past.
    """
    rows = _rows_within(session, subject, said, now=now)
    before = [_as_kept(row, said) for row in rows]
    for row in rows:
        _cut_out(session, subject, row, said)
    made = {"subject_id": subject.id, "instance_id": subject.instance_id, "state": said.state}
    session.add(
        RecordedSpell(
            id=new_id(),
            **made,
            started_at=said.since,
            ended_at=said.until,
            reason=said.reason,
        )
    )
    correction = SpellCorrection(
        id=new_id(),
        **made,
        started_at=said.since,
        ended_at=said.until,
        reason=said.reason,
        before=before,
        made_by=said.by,
        made_at=now,
    )
    session.add(correction)
    session.flush()
    refreeze(session, subject, since=said.since, until=said.until, now=now)
    return correction


def list_corrections(session: Session, subject_id: str) -> Sequence[SpellCorrection]:
    """The corrections of a subject, newest first; at most 1,000."""
    return session.scalars(
        sa.select(SpellCorrection)
        .where(SpellCorrection.subject_id == subject_id)
        .order_by(SpellCorrection.made_at.desc(), SpellCorrection.id.desc())
        .limit(MOST_LISTED)
    ).all()


def _rows_within(
    session: Session, subject: Watchable, said: Correction, *, now: datetime
) -> Sequence[RecordedSpell]:
    if not said.since < said.until <= now or said.until - said.since > LONGEST_RANGE:
        raise Invalid("A correction is of the past: from before to, by at most 366 days.")
    if said.state not in CORRECTABLE:
        raise Invalid(f"The state is one of {', '.join(CORRECTABLE)}.")
    rows = session.scalars(
        sa.select(RecordedSpell)
        .where(
            RecordedSpell.subject_id == subject.id,
            RecordedSpell.started_at < said.until,
            sa.or_(RecordedSpell.ended_at.is_(None), RecordedSpell.ended_at > said.since),
        )
        .order_by(RecordedSpell.started_at, RecordedSpell.id)
        .limit(MOST_REPLACED + 1)
    ).all()
    if len(rows) > MOST_REPLACED:
        raise Invalid(f"That range holds more than {MOST_REPLACED} changes; correct less at once.")
    # A spell of no length, such as of two changes at one moment, says nothing of when it begins.
    if not rows or min(row.started_at for row in rows) > said.since:
        raise Invalid("Nothing is kept of when that range begins; let it begin later.")
    return rows


def _cut_out(session: Session, subject: Watchable, row: RecordedSpell, said: Correction) -> None:
    """Leave of a spell what lies outside of the range; one that is open stays the open one."""
    starts_before = row.started_at < said.since
    ends_after = row.ended_at is None or row.ended_at > said.until
    if starts_before and ends_after:
        session.add(_copy(row, started_at=row.started_at, ended_at=said.since))
    if ends_after:
        row.started_at = said.until
        if row.ended_at is None:
            subject.state_since = said.until
    elif starts_before:
        row.ended_at = said.since
    else:
        session.delete(row)


def _copy(row: RecordedSpell, *, started_at: datetime, ended_at: datetime) -> RecordedSpell:
    return RecordedSpell(
        id=new_id(),
        subject_id=row.subject_id,
        instance_id=row.instance_id,
        state=row.state,
        started_at=started_at,
        ended_at=ended_at,
        reason=row.reason,
    )


def _as_kept(row: RecordedSpell, said: Correction) -> dict[str, str]:
    ended = said.until if row.ended_at is None else min(row.ended_at, said.until)
    return {
        "state": str(row.state),
        "startedAt": max(row.started_at, said.since).isoformat(),
        "endedAt": ended.isoformat(),
        "reason": row.reason,
    }
