"""Reading the past: spells cut to a range, with the time of which nobody could know."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.kernel.subjects import Watched

from .models import RecordedSpell, Watchable
from .states import KNOWN, State

MOST_SPELLS = 100_000
MOST_OF_ONE = 20_000
LEAST_OF_EACH = 200
TOO_MANY = "not told: more changes lie here than are read at once"


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
    """The spells of each subject within a range, oldest first, cut to it.

    Of one that changed too often to read it all (at most 100,000 spells are read, 20,000 of one
    subject, and 200 of each however many there are), the newest are told, and what came before them
    is unknown, so that uptime counts it neither way and coverage says how much that is.

    A spell that lasts is cut where its latest result stops speaking for the subject, if that is
    long ago: until our own outage is written down, it must not count as time we watched.
    """
    until = min(until, now)
    known = {subject.id: subject for subject in subjects}
    most = most_of_each(len(known))
    newest_first: dict[str, list[Spell]] = {subject_id: [] for subject_id in known}
    read = dict.fromkeys(known, 0)
    for row in session.execute(_newest_of_each(list(known), most + 1, since=since, until=until)):
        told = newest_first[row.subject_id]
        read[row.subject_id] += 1
        if read[row.subject_id] > most:
            began = told[-1].started_at if told else until
            if since < began:
                told.append(_unknown(since, began, reason=TOO_MANY))
            continue
        told += cut(row, known[row.subject_id], since=since, until=until, now=now)
    return {subject_id: spells[::-1] for subject_id, spells in newest_first.items()}


def most_of_each(count: int) -> int:
    """How many spells are read of each of so many subjects."""
    return min(max(MOST_SPELLS // max(count, 1), LEAST_OF_EACH), MOST_OF_ONE)


def _newest_of_each(
    ids: list[str], most: int, *, since: datetime, until: datetime
) -> sa.Select[str, State, datetime, datetime | None, str]:
    """The newest spells of each subject that lie in a range, newest first."""
    number = sa.func.row_number().over(
        partition_by=RecordedSpell.subject_id,
        order_by=(RecordedSpell.started_at.desc(), RecordedSpell.id.desc()),
    )
    numbered = (
        sa.select(
            RecordedSpell.subject_id,
            RecordedSpell.state,
            RecordedSpell.started_at,
            RecordedSpell.ended_at,
            RecordedSpell.reason,
            number.label("number"),
        )
        .where(
            RecordedSpell.subject_id.in_(ids),
            RecordedSpell.started_at < until,
            sa.or_(RecordedSpell.ended_at.is_(None), RecordedSpell.ended_at > since),
        )
        .subquery()
    )
    columns = numbered.c
    return (
        sa.select(
            columns.subject_id, columns.state, columns.started_at, columns.ended_at, columns.reason
        )
        .where(columns.number <= most)
        .order_by(columns.subject_id, columns.number)
    )


def cut(
    row: sa.Row[str, State, datetime, datetime | None, str],
    subject: Watchable | Watched,
    *,
    since: datetime,
    until: datetime,
    now: datetime,
) -> list[Spell]:
    """A row as the spells that it means within a range, the later one first.

    That is the spell itself, and, where its subject fell silent, the unknown time after it.
    """
    end = row.ended_at or _end_of_knowledge(subject, now)
    parts = (
        (State.UNKNOWN, end, until if row.ended_at is None else end),
        (State(row.state), row.started_at, end),
    )
    found = []
    for state, start, stop in parts:
        start, stop = max(start, since), min(stop, until)  # noqa: PLW2901 - cut to the range
        if start < stop:
            found.append(
                Spell(
                    state=state,
                    started_at=start,
                    ended_at=stop,
                    reason=row.reason if state == row.state else "",
                    ongoing=row.ended_at is None and stop == until,
                )
            )
    return found


def _unknown(since: datetime, until: datetime, *, reason: str) -> Spell:
    return Spell(state=State.UNKNOWN, started_at=since, ended_at=until, reason=reason)


def is_silent(subject: Watchable | Watched, now: datetime) -> bool:
    """Whether the next word of a subject is so overdue that we, not it, were away."""
    return subject.state in KNOWN and subject.silent_at is not None and now > subject.silent_at


def _end_of_knowledge(subject: Watchable | Watched, now: datetime) -> datetime:
    return (subject.watched_until or now) if is_silent(subject, now) else now
