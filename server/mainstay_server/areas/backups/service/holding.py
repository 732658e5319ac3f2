"""Holding: a drill or restore is one worker's while it works, and is taken over once if that died.

A claim raises the row's fence. Whoever renews or ends the row names the fence it was given, so that
a worker that was thought dead changes nothing any more.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import (
    LONGEST_REASON,
    BackupDrill,
    BackupRestore,
    DrillStatus,
    RestoreStatus,
)
from mainstay_server.kernel import leases
from mainstay_server.kernel.copies.streams import repeating
from mainstay_server.kernel.database import reading, rows_changed, transaction
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.settings import ServerSettings, of

QUEUED, RUNNING, FAILED = "queued", "running", "failed"
MOST_CLAIMS = 2
RENEWALS_PER_LEASE = 3
LONGEST_PAUSE_SECONDS = 2.0
Work = type[BackupDrill] | type[BackupRestore]

assert (DrillStatus.QUEUED, DrillStatus.RUNNING, DrillStatus.FAILED) == (QUEUED, RUNNING, FAILED)
assert (RestoreStatus.QUEUED, RestoreStatus.RUNNING) == (QUEUED, RUNNING)


class TakenOver(Exception):
    """Somebody else has the row by now; nothing of it may be changed."""


@dataclass
class Hold:
    """One worker's claim of a row, and how long ago it was made.

    `seen` is what the next renewal writes into the row. `is_lost` tells that it was taken over.
    """

    work: Work
    id: str
    fence: int
    claimed_at: datetime
    seen: dict[str, Any] = field(default_factory=dict)
    is_lost: bool = False

    def __post_init__(self) -> None:
        self._began = monotonic()

    @property
    def now(self) -> datetime:
        """The present moment, by the clock of whoever claimed it."""
        return self.claimed_at + timedelta(seconds=monotonic() - self._began)


def is_there_work(work: Work) -> bool:
    """Whether any row waits or is being worked on; most of the time there is none."""
    with reading() as session:
        open_ones = sa.select(work.id).where(work.status.in_((QUEUED, RUNNING))).limit(1)
        return session.scalar(open_ones) is not None


def claim(
    session: Session, work: Work, *ready: sa.ColumnElement[bool], now: datetime
) -> Hold | None:
    """Take the row that has waited longest, if any is ready: of two workers, one gets it."""
    first = sa.select(work.id).where(work.status == QUEUED, *ready)
    chosen = first.order_by(work.queued_at, work.id).limit(1).scalar_subquery()
    row = session.execute(
        sa.update(work)
        .where(work.id == chosen, work.status == QUEUED)
        .values(
            status=RUNNING,
            owner=str(leases.this_process()),
            fence=work.fence + 1,
            leased_until=now + _lease(),
            started_at=now,
        )
        .returning(work.id, work.fence)
        .execution_options(synchronize_session=False)
    ).first()
    return None if row is None else Hold(work, row[0], row[1], now)


@contextmanager
def kept(hold: Hold) -> Generator[None]:
    """Renew the lease meanwhile, and write down how far it is."""
    pause = min(LONGEST_PAUSE_SECONDS, _lease().total_seconds() / RENEWALS_PER_LEASE)
    with repeating(lambda: _renew(hold), every_seconds=pause):
        yield


def change(session: Session, hold: Hold, *only_if: sa.ColumnElement[bool], **values: Any) -> bool:  # noqa: ANN401 - columns
    """Change the row, if it still is this worker's; whether it was."""
    statement = sa.update(hold.work).where(
        hold.work.id == hold.id,
        hold.work.fence == hold.fence,
        hold.work.status == RUNNING,
        *only_if,
    )
    return bool(rows_changed(session, statement.values(**values)))


def end(session: Session, hold: Hold, values: Mapping[str, Any], *, now: datetime) -> None:
    """Write down how it ended. Raises `TakenOver` when that is no longer this worker's to say."""
    ended = {"owner": "", "leased_until": None, "finished_at": now, "step": "", **values}
    if not change(session, hold, **ended):
        raise TakenOver(hold.id)


def take_back(
    session: Session, work: Work, *, may_again: sa.ColumnElement[bool], reason: str, now: datetime
) -> list[str]:
    """Let rows of workers that died wait again; what may not run again has failed.

    Returns the ids of those that failed, with the reason written down.
    """
    is_running = work.status == RUNNING
    dead = leases.dead_owners(session, work.owner, is_running)
    is_left = sa.and_(is_running, sa.or_(work.leased_until < now, work.owner.in_(dead)))
    again = sa.and_(work.fence < MOST_CLAIMS, may_again)
    freed = {"owner": "", "leased_until": None, "step": ""}
    session.execute(
        sa.update(work)
        .where(is_left, again)
        .values(status=QUEUED, **freed)
        .execution_options(synchronize_session=False)
    )
    ended = {"status": FAILED, "finished_at": now, "reason": reason[:LONGEST_REASON]}
    failed = session.scalars(
        sa.update(work)
        .where(is_left)
        .values(**ended, **freed)
        .returning(work.id)
        .execution_options(synchronize_session=False)
    ).all()
    session.expire_all()
    return list(failed)


def watching(hold: Hold, names: Mapping[str, str]) -> Callable[[object], None]:
    """What notes the progress of a copy in the row: `names` are its attributes, by column."""

    def watch(progress: object) -> None:
        hold.seen.update({name: getattr(progress, attribute) for name, attribute in names.items()})

    return watch


def _renew(hold: Hold) -> None:
    # One that fails is tried again at the next turn; the fence keeps the work single.
    with suppress(SQLAlchemyError, Problem), transaction() as session:
        hold.is_lost = not change(
            session, hold, leased_until=hold.now + _lease(), **dict(hold.seen)
        )


def _lease() -> timedelta:
    return timedelta(seconds=of(ServerSettings).lease_seconds)
