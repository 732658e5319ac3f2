"""The job runner: claims what is due, keeps the lease alive, fences off what was taken over."""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from mainstay_server.kernel import leases
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import (
    insert,
    is_sqlite,
    reading,
    rows_changed,
    transaction,
)
from mainstay_server.kernel.problems import Problem

from .declared import Job, Task
from .models import JobState
from .set_back import Pace, bring_back, mend_turns

log = logging.getLogger(__name__)

PARALLEL = 4
MOST_LONG = 2
IDLE_SECONDS = 0.5
RENEWALS_PER_LEASE = 3
LONGEST_ERROR = 500
MEND_SECONDS = 30.0

_jobs: dict[str, Job] = {}


class LeaseLost(Exception):
    """Another worker took the job over; what this one did in the job's transaction is undone."""


@dataclass(frozen=True)
class _Claim:
    job: Job
    fence: int


def install_jobs(jobs: Iterable[Job]) -> None:
    """Make the jobs known to this process. Their names must differ."""
    _jobs.clear()
    for declared in jobs:
        if declared.name in _jobs:
            raise ValueError(f"two jobs are called {declared.name}")
        _jobs[declared.name] = declared


class JobRunner:
    """A thread that starts what is due, at most four jobs at once; `start`, then `stop`.

    Two of them at most are long ones: the others are done in time, whatever those take.
    """

    def __init__(self, *, lease: timedelta, clock: Callable[[], datetime] = utc_now) -> None:
        self._lease = lease
        self._clock = clock
        self._pace = Pace(clock)
        self._mend_at = -math.inf
        self._stop = threading.Event()
        self._places = threading.Semaphore(PARALLEL)
        self._long_places = threading.Semaphore(MOST_LONG)
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)

    def start(self) -> None:
        """Write down jobs that are new, free those of dead processes of this host, then begin."""
        with transaction() as session:
            register(session, now=self._clock())
            release_dead_owners(session)
            hasten(session, now=self._clock())
        self._thread.start()

    def stop(self, *, timeout_seconds: float = 10) -> None:
        """Let running jobs finish, start no other."""
        self._stop.set()
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        with ThreadPoolExecutor(PARALLEL, thread_name_prefix="job") as pool:
            while not self._stop.is_set():
                try:
                    self._mind_the_clock()
                    claim = self._claim_next()
                except Exception:
                    log.exception("the jobs could not be read; trying again")
                    claim = None
                if claim is None:
                    self._stop.wait(IDLE_SECONDS)
                    continue
                pool.submit(self._run_claim, claim)

    def _mind_the_clock(self) -> None:
        """Where the clock was set back, bring back what waits; and now and then turns of jobs."""
        if self._pace.was_set_back():
            with transaction() as session:
                by = bring_back(session, _jobs, now=self._clock())
            self._pace.trust()
            if by:
                log.warning(
                    "the clock was set back by %.0f s; what waits goes on", by.total_seconds()
                )
        if time.monotonic() >= self._mend_at:
            with transaction() as session:
                mend_turns(session, _jobs, now=self._clock())
            self._mend_at = time.monotonic() + MEND_SECONDS

    def _run_claim(self, claim: _Claim) -> None:
        try:
            _run_claim(claim, self._lease, now=self._clock())
        finally:
            if claim.job.is_long:
                self._long_places.release()
            self._places.release()

    def _claim_next(self) -> _Claim | None:
        now = self._clock()
        may_be_long = self._long_places.acquire(blocking=False)
        claim = None
        try:
            claim = self._claim_one(now, may_be_long=may_be_long)
        finally:
            if may_be_long and not (claim and claim.job.is_long):
                self._long_places.release()
        return claim

    def _claim_one(self, now: datetime, *, may_be_long: bool) -> _Claim | None:
        with reading() as session:
            if _first_due(session, now, may_be_long=may_be_long) is None:
                return None
        if not self._places.acquire(timeout=IDLE_SECONDS):
            return None
        try:
            with transaction() as session:
                claim = _claim_due(session, now=now, lease=self._lease, may_be_long=may_be_long)
        except BaseException:  # it may be the commit that fails, after something was claimed
            self._places.release()
            raise
        if claim is None:
            self._places.release()
        return claim


def register(session: Session, *, now: datetime) -> None:
    """Give every installed job its row; a new job is due at its first turn from now."""
    for declared in _jobs.values():
        session.execute(
            insert(JobState)
            .values(
                name=declared.name,
                due_at=declared.next_turn(now),
                owner="",
                fence=0,
                last_error="",
                runs=0,
                failures_in_row=0,
            )
            .on_conflict_do_nothing()
        )


def hasten(session: Session, *, now: datetime) -> None:
    """Make due now what is to be done at a start."""
    names = [declared.name for declared in _jobs.values() if declared.at_start]
    session.execute(
        sa.update(JobState)
        .where(JobState.name.in_(names), JobState.due_at > now)
        .values(due_at=now)
    )


def release_dead_owners(session: Session) -> None:
    """Free the jobs that killed processes of this host were running."""
    dead = leases.dead_owners(session, JobState.owner)
    session.execute(
        sa.update(JobState).where(JobState.owner.in_(dead)).values(owner="", leased_until=None)
    )


def run_due(*, now: datetime, lease: timedelta = timedelta(minutes=1)) -> list[str]:
    """Run everything that is due, in this thread; returns the names. For tests and scripts."""
    ran: list[str] = []
    while True:
        with transaction() as session:
            register(session, now=now)
            claim = _claim_due(session, now=now, lease=lease)
        if claim is None:
            return ran
        _run_claim(claim, lease, now=now)
        ran.append(claim.job.name)


def run_task(task: Task | None, *, now: datetime, lease: timedelta) -> list[dict[str, object]]:
    """Run every job of a task now (all tasks when None), whether due or not, in this thread.

    A job that a worker is running at this moment is left to it and reported as `running`.
    """
    results: list[dict[str, object]] = []
    for declared in _jobs.values():
        if declared.task is None or task not in (None, declared.task):
            continue
        with transaction() as session:
            register(session, now=now)
            claim = _claim(session, declared, now=now, lease=lease)
        if claim is None:
            results.append({"job": declared.name, "status": "running"})
            continue
        error = _run_claim(claim, lease, now=now)
        results.append({"job": declared.name, "status": "failed" if error else "done"})
    return results


def job_states(session: Session) -> Sequence[JobState]:
    """The state of every job, by name."""
    return session.scalars(sa.select(JobState).order_by(JobState.name)).all()


def last_finished(session: Session, declared: Job) -> datetime | None:
    """When a job last ended, well or not, in whatever worker; None when it never did."""
    return session.scalar(sa.select(JobState.finished_at).where(JobState.name == declared.name))


def _first_due(session: Session, now: datetime, *, may_be_long: bool) -> JobState | None:
    names = [name for name, declared in _jobs.items() if may_be_long or not declared.is_long]
    return session.scalar(
        sa.select(JobState)
        .where(
            JobState.name.in_(names),
            JobState.due_at <= now,
            sa.or_(JobState.leased_until.is_(None), JobState.leased_until < now),
        )
        .order_by(JobState.due_at)
        .limit(1)
    )


def _claim_due(
    session: Session, *, now: datetime, lease: timedelta, may_be_long: bool = True
) -> _Claim | None:
    row = _first_due(session, now, may_be_long=may_be_long)
    if row is None:
        return None
    # Due is asked again in the claiming statement: another worker may have run it in between.
    return _claim(session, _jobs[row.name], now=now, lease=lease, only_if=JobState.due_at <= now)


def _claim(
    session: Session,
    declared: Job,
    *,
    now: datetime,
    lease: timedelta,
    only_if: sa.ColumnElement[bool] | None = None,
) -> _Claim | None:
    """Take the job if nobody holds it: one statement, so that of two workers one gets it."""
    fence = session.scalar(
        sa.update(JobState)
        .where(
            JobState.name == declared.name,
            sa.or_(JobState.leased_until.is_(None), JobState.leased_until < now),
            sa.true() if only_if is None else only_if,
        )
        .values(
            owner=str(leases.this_process()),
            fence=JobState.fence + 1,
            leased_until=now + lease,
            started_at=now,
        )
        .returning(JobState.fence)
    )
    return None if fence is None else _Claim(declared, fence)


def _run_claim(claim: _Claim, lease: timedelta, *, now: datetime | None = None) -> str:
    """Run a claimed job and write down how it went; returns its error, empty when it went well."""
    at = now or utc_now()
    try:
        with _kept_alive(claim, lease):
            if claim.job.in_transaction:
                with transaction() as session:
                    claim.job.function(session, now=at)
                    _finish(session, claim, now=at)
            else:
                claim.job.function(now=at)
                with transaction() as session:
                    _finish(session, claim, now=at)
    except LeaseLost:
        log.warning("job %s was taken over by another worker", claim.job.name)
        return "taken over"
    except Exception as error:  # the runner's one place: a failing job must not stop the others
        log.exception("job %s failed", claim.job.name)
        with transaction() as session:
            _finish(session, claim, now=at, error=f"{type(error).__name__}: {error}")
        return str(error) or type(error).__name__
    return ""


def _finish(session: Session, claim: _Claim, *, now: datetime, error: str = "") -> None:
    """Close the claim, in the job's own transaction; raises `LeaseLost` when it was taken over.

    A failed job waits for its next turn: the schedule is its retry.
    """
    finished = rows_changed(
        session,
        sa.update(JobState)
        .where(JobState.name == claim.job.name, JobState.fence == claim.fence)
        .values(
            owner="",
            leased_until=None,
            due_at=claim.job.next_turn(now),
            finished_at=utc_now(),
            last_error=error[:LONGEST_ERROR],
            runs=JobState.runs + 1,
            failures_in_row=JobState.failures_in_row + 1 if error else 0,
        ),
    )
    if not finished and not error:
        raise LeaseLost(claim.job.name)


@contextmanager
def _kept_alive(claim: _Claim, lease: timedelta) -> Iterator[None]:
    """Renew the lease from a thread of its own while the body runs.

    A job in a transaction on SQLite holds the write lock, which a renewal would wait for; there
    the same lock keeps every other worker from claiming.
    """
    if claim.job.in_transaction and is_sqlite():
        yield
        return
    done = threading.Event()
    thread = threading.Thread(
        target=_renew, args=(claim, lease, done), name=f"lease-{claim.job.name}", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        done.set()


def _renew(claim: _Claim, lease: timedelta, done: threading.Event) -> None:
    while not done.wait(lease.total_seconds() / RENEWALS_PER_LEASE):
        # A renewal that fails is tried again at the next turn; the fence keeps the job single.
        with suppress(SQLAlchemyError, Problem), transaction() as session:
            session.execute(
                sa.update(JobState)
                .where(
                    JobState.name == claim.job.name,
                    JobState.fence == claim.fence,
                    JobState.owner != "",  # finished meanwhile: nothing to hold any more
                )
                .values(leased_until=utc_now() + lease)
            )
