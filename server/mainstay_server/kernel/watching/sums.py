"""How long states lasted over a long range, of many at once: added up where the spells lie."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.kernel.database import is_sqlite
from mainstay_server.kernel.subjects import Watched

from .models import RecordedSpell, Watchable
from .spells import cut
from .states import State
from .uptime import NONE, Uptime

SECONDS_PER_DAY = 86_400


def sum_spells(
    session: Session,
    subjects: Sequence[Watchable | Watched],
    *,
    since: datetime,
    until: datetime,
    now: datetime,
) -> dict[str, Uptime]:
    """The uptime of each subject within a range, by two statements for all.

    It is that of `uptime_of` over `read_spells`, true to a millisecond for each spell (SQLite knows
    no less), without reading a row for every change there was. Maintenance is not left out: of
    subjects that had any in the range, spells have to be read.
    """
    until = min(until, now)
    known = {subject.id: subject for subject in subjects}
    lasted = {subject_id: dict.fromkeys(State, NONE) for subject_id in known}
    for subject_id, state, seconds in session.execute(_ended(list(known), since, until)):
        lasted[subject_id][State(state)] += timedelta(seconds=float(seconds))
    for row in session.execute(_lasting(list(known), until)):
        for spell in cut(row, known[row.subject_id], since=since, until=until, now=now):
            lasted[row.subject_id][spell.state] += spell.ended_at - spell.started_at
    return {subject_id: Uptime(lasted=states) for subject_id, states in lasted.items()}


def _ended(ids: list[str], since: datetime, until: datetime) -> sa.Select[str, State, float]:
    """The seconds of each state of each subject in spells that are over, cut to the range."""
    start, end = RecordedSpell.started_at, RecordedSpell.ended_at
    first = sa.case((start < since, sa.literal(since, start.type)), else_=start)
    last = sa.case((end > until, sa.literal(until, end.type)), else_=end)
    days = sa.func.julianday(last) - sa.func.julianday(first)
    seconds = days * SECONDS_PER_DAY if is_sqlite() else sa.extract("epoch", last - first)
    told: sa.ColumnElement[float] = sa.func.sum(seconds)
    return (
        sa.select(RecordedSpell.subject_id, RecordedSpell.state, told)
        .where(RecordedSpell.subject_id.in_(ids), start < until, end > since)
        .group_by(RecordedSpell.subject_id, RecordedSpell.state)
    )


def _lasting(
    ids: list[str], until: datetime
) -> sa.Select[str, State, datetime, datetime | None, str]:
    return sa.select(
        RecordedSpell.subject_id,
        RecordedSpell.state,
        RecordedSpell.started_at,
        RecordedSpell.ended_at,
        RecordedSpell.reason,
    ).where(
        RecordedSpell.subject_id.in_(ids),
        RecordedSpell.ended_at.is_(None),
        RecordedSpell.started_at < until,
    )
