"""Reading the past: spells cut to a range, with the time of which nobody could know."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.kernel.subjects import Watched

from .models import RecordedSpell, Watchable
from .states import KNOWN, State

MOST_SPELLS = 10_000


@dataclass(frozen=True, kw_only=True)
class Spell:
    """A state from its start up to its end; `ongoing` when the end is only that of the range."""

    state: State
    started_at: datetime
    ended_at: datetime
    reason: str = ""
    ongoing: bool = False


def read_spells(
    session: Session,
    subjects: Sequence[Watchable | Watched],
    *,
    since: datetime,
    until: datetime,
    now: datetime,
) -> dict[str, list[Spell]]:
    """The spells of each subject within a range, oldest first, cut to it; at most 10,000 in all.

    A spell that lasts is cut where its latest result stops speaking for the subject, if that is
    long ago: until our own outage is written down, it must not count as time we watched.
    """
    until = min(until, now)
    known = {subject.id: subject for subject in subjects}
    spells: dict[str, list[Spell]] = {subject.id: [] for subject in subjects}
    rows = session.scalars(
        sa.select(RecordedSpell)
        .where(
            RecordedSpell.subject_id.in_(known),
            RecordedSpell.started_at < until,
            sa.or_(RecordedSpell.ended_at.is_(None), RecordedSpell.ended_at > since),
        )
        .order_by(RecordedSpell.started_at, RecordedSpell.id)
        .limit(MOST_SPELLS)
    )
    for row in rows:
        end = row.ended_at or _end_of_knowledge(known[row.subject_id], now)
        for state, start, stop in (
            (State(row.state), row.started_at, end),
            (State.UNKNOWN, end, until if row.ended_at is None else end),
        ):
            start, stop = max(start, since), min(stop, until)  # noqa: PLW2901 - cut to the range
            if start < stop:
                spells[row.subject_id].append(
                    Spell(
                        state=state,
                        started_at=start,
                        ended_at=stop,
                        reason=row.reason if state == row.state else "",
                        ongoing=row.ended_at is None and stop == until,
                    )
                )
    return spells


def is_silent(subject: Watchable | Watched, now: datetime) -> bool:
    """Whether the next word of a subject is so overdue that we, not it, were away."""
    return subject.state in KNOWN and subject.silent_at is not None and now > subject.silent_at


def _end_of_knowledge(subject: Watchable | Watched, now: datetime) -> datetime:
    return (subject.watched_until or now) if is_silent(subject, now) else now
