"""A clock that was set back: what waits goes on as long as planned, and no longer for it."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.kernel.clock import CLOCKS_DIFFER, LEASED, WAITS
from mainstay_server.kernel.database import Base, is_sqlite

from .declared import Job
from .models import JobState

NOT_AT_ALL = timedelta(0)


class Pace:
    """Whether the wall clock was set back since somebody last asked, by one that only goes on."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        # Nobody knows what the clock said before this process began: look once.
        self._is_doubted = True
        self._pace = self._now()

    def was_set_back(self) -> bool:
        """Whether it is doubted; it stays so until it is `trusted`."""
        pace = self._now()
        self._is_doubted = self._is_doubted or self._pace - pace > CLOCKS_DIFFER.total_seconds()
        self._pace = pace
        return self._is_doubted

    def trust(self) -> None:
        """What it had put off is brought back."""
        self._is_doubted = False

    def _now(self) -> float:
        return self._clock().timestamp() - time.monotonic()


def bring_back(session: Session, jobs: Mapping[str, Job], *, now: datetime) -> timedelta:
    """Move what waits back by as much as the clock was; returns by how much, zero when it was not.

    Every job notes when it began, so the latest of them is about what the clock said before. Of
    several processes one moves, and the next finds those notes corrected: nothing is moved twice.
    A wait ends as long after it began as was planned; one that was over ends now. A lease moves
    with the work that it is for, so that nobody takes over what somebody is doing. A job whose
    changes are not committed yet goes by the clock before: it is undone, and has its next turn.

    Steps of less than a minute are borne: clocks of several hosts differ by that.
    """
    states = session.scalars(sa.select(JobState).order_by(JobState.name).with_for_update()).all()
    before = max((each.started_at for each in states if each.started_at), default=now)
    by = before - now
    if by <= CLOCKS_DIFFER:
        return NOT_AT_ALL
    for state in states:
        _bring_back_job(state, jobs.get(state.name), now=now)
    session.flush()
    for column in _marked(WAITS):
        _move(session, column, by, later_than=now)
    for column in _marked(LEASED):
        # A lease that ends before that was over, or is one of the clock of today.
        _move(session, column, by, later_than=before)
    return by


def mend_turns(session: Session, jobs: Mapping[str, Job], *, now: datetime) -> int:
    """Give jobs whose turn lies further away than any can their next one; returns how many.

    One that was running when the clock was set back goes by the clock before when it ends.
    """
    mended = 0
    for state in session.scalars(sa.select(JobState).where(JobState.due_at > now)):
        declared = jobs.get(state.name)
        if declared is not None and state.due_at > declared.next_turn(now) + CLOCKS_DIFFER:
            state.due_at = declared.next_turn(now)
            mended += 1
    return mended


def _bring_back_job(state: JobState, declared: Job | None, *, now: datetime) -> None:
    state.started_at = min(state.started_at, now) if state.started_at else None
    state.finished_at = min(state.finished_at, now) if state.finished_at else None
    if declared is None:
        return
    state.due_at = min(state.due_at, declared.next_turn(now))
    if state.owner and declared.in_transaction:
        state.owner, state.leased_until, state.fence = "", None, state.fence + 1


def _marked(mark: Mapping[str, str]) -> Iterator[sa.Column[Any]]:
    """The columns of all tables that are marked so, in the same order everywhere."""
    for name in sorted(Base.metadata.tables):
        for column in Base.metadata.tables[name].columns:
            if mark.items() <= column.info.items():
                yield column


def _move(session: Session, column: sa.Column[Any], by: timedelta, *, later_than: datetime) -> None:
    earlier: sa.ColumnElement[Any] = column - sa.literal(by, sa.Interval())
    if is_sqlite():
        # As SQLAlchemy writes times there, in microseconds; SQLite's own form has milliseconds.
        seconds = f"-{by.total_seconds():.3f} seconds"
        earlier = sa.type_coerce(
            sa.func.strftime("%Y-%m-%d %H:%M:%f", column, seconds).concat("000"), sa.Text
        )
    table = column.table
    assert isinstance(table, sa.Table)
    session.execute(sa.update(table).where(column > later_than).values({column: earlier}))
