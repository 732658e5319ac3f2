"""Jobs: on absolute turns, once over all workers, fenced after a takeover."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.jobs import (
    Job,
    JobRunner,
    JobState,
    install_jobs,
    job,
    job_states,
    run_due,
    run_task,
)
from mainstay_server.kernel.jobs.runner import MOST_LONG, PARALLEL, hasten
from sqlalchemy.orm import Session
from tests.waiting import eventually

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def no_jobs_left() -> Iterator[None]:
    yield
    install_jobs(())


def test_a_job_runs_at_its_turns_and_not_between(database: None) -> None:
    runs: list[datetime] = []

    @job(every=5 * MINUTE)
    def tick(session: Session, *, now: datetime) -> None:
        runs.append(now)

    install_jobs([tick])
    for second in range(0, 901, 10):
        run_due(now=NOON + timedelta(seconds=second))

    assert runs == [NOON + 5 * MINUTE, NOON + 10 * MINUTE, NOON + 15 * MINUTE]


def test_a_cron_expression_is_read_in_utc(database: None) -> None:
    @job(cron="0 2 * * *")
    def nightly(session: Session, *, now: datetime) -> None: ...

    assert nightly.next_turn(NOON) == datetime(2026, 3, 2, 2, tzinfo=UTC)


def test_what_was_missed_while_nothing_ran_is_done_once(database: None) -> None:
    runs: list[datetime] = []

    @job(every=MINUTE)
    def tick(session: Session, *, now: datetime) -> None:
        runs.append(now)

    install_jobs([tick])
    run_due(now=NOON)
    run_due(now=NOON + 3 * HOUR)
    run_due(now=NOON + 3 * HOUR)

    assert runs == [NOON + 3 * HOUR]


def test_a_failing_job_leaves_nothing_says_why_and_gets_its_next_turn(database: None) -> None:
    @job(every=MINUTE)
    def fail(session: Session, *, now: datetime) -> None:
        session.execute(sa.update(JobState).values(owner="half done"))
        raise RuntimeError("the cellar is flooded")

    install_jobs([fail])
    run_due(now=NOON)
    run_due(now=NOON + MINUTE)

    with reading() as session:
        (state,) = job_states(session)
    assert state.last_error == "RuntimeError: the cellar is flooded"
    assert (state.owner, state.failures_in_row) == ("", 1)
    assert state.due_at == NOON + 2 * MINUTE


def test_of_many_workers_one_runs_a_turn(database: None) -> None:
    runs: list[datetime] = []

    @job(every=MINUTE, in_transaction=False)
    def tick(*, now: datetime) -> None:
        runs.append(now)

    install_jobs([tick])
    run_due(now=NOON)
    at_once = threading.Barrier(8)

    def work() -> None:
        at_once.wait()
        run_due(now=NOON + MINUTE)

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert runs == [NOON + MINUTE]


def test_a_worker_that_was_taken_over_leaves_no_trace(database: None) -> None:
    @job(every=MINUTE, in_transaction=True)
    def overtaken(session: Session, *, now: datetime) -> None:
        session.add(JobState(name="its trace", due_at=now))
        # Another worker claims the job meanwhile, as it may once this one's lease is over.
        session.execute(
            sa.update(JobState)
            .where(JobState.name.like("%overtaken"))
            .values(fence=JobState.fence + 1)
        )

    install_jobs([overtaken])
    run_due(now=NOON)
    with transaction() as session:
        session.execute(sa.update(JobState).values(due_at=NOON))
    run_due(now=NOON + MINUTE)

    with reading() as session:
        assert session.get(JobState, "its trace") is None


def test_a_task_runs_its_jobs_from_outside_and_reports_each(database: None) -> None:
    runs: list[str] = []

    @job(every=HOUR, task="cleanup")
    def sweep(session: Session, *, now: datetime) -> None:
        runs.append("sweep")

    @job(every=HOUR, task="cleanup")
    def mop(session: Session, *, now: datetime) -> None:
        raise RuntimeError("no water")

    @job(every=HOUR)
    def unrelated(session: Session, *, now: datetime) -> None:
        runs.append("unrelated")

    install_jobs([sweep, mop, unrelated])
    results = run_task("cleanup", now=NOON, lease=MINUTE)

    assert [result["status"] for result in results] == ["done", "failed"]
    assert runs == ["sweep"]


def test_a_job_needs_an_interval_or_a_cron_expression() -> None:
    with pytest.raises(ValueError, match="either"):
        job()


def test_what_mends_a_crash_is_due_at_the_start_of_a_worker(database: None) -> None:
    runs: list[str] = []

    @job(every=HOUR, at_start=True)
    def mend(session: Session, *, now: datetime) -> None:
        runs.append("mend")

    @job(every=HOUR)
    def tick(session: Session, *, now: datetime) -> None:
        runs.append("tick")

    install_jobs([mend, tick])
    run_due(now=NOON)
    with transaction() as session:
        hasten(session, now=NOON + MINUTE)
    run_due(now=NOON + MINUTE)

    assert runs == ["mend"]


def test_short_jobs_find_a_place_however_many_long_ones_are_due(database: None) -> None:
    over, done = threading.Event(), threading.Event()
    begun: list[int] = []

    def a_long_one(number: int) -> Job:
        @job(every=HOUR, at_start=True, in_transaction=False, is_long=True)
        def read_stores(*, now: datetime) -> None:
            begun.append(number)
            over.wait(60)

        return replace(read_stores, name=f"long.{number}")

    @job(every=HOUR, at_start=True)
    def tell(session: Session, *, now: datetime) -> None:
        done.set()

    install_jobs([*(a_long_one(n) for n in range(6)), tell])
    runner = JobRunner(lease=MINUTE)
    runner.start()
    try:
        assert done.wait(60)
        assert len(begun) <= MOST_LONG
        over.set()
        assert eventually(lambda: len(begun) == 6)
    finally:
        over.set()
        runner.stop()


def test_jobs_go_on_after_claims_that_could_not_be_committed(database: None) -> None:
    done = threading.Event()
    failed: list[str] = []

    @job(every=HOUR, at_start=True)
    def tell(session: Session, *, now: datetime) -> None:
        done.set()

    def fail_at_first(_connection: sa.Connection) -> None:
        if threading.current_thread().name == "jobs" and len(failed) < 2 * PARALLEL:
            failed.append("disk full")
            raise RuntimeError("the disk is full")

    install_jobs([tell])
    runner = JobRunner(lease=MINUTE)
    sa.event.listen(sa.Engine, "commit", fail_at_first)
    try:
        runner.start()
        assert done.wait(60)
        assert len(failed) == 2 * PARALLEL
    finally:
        sa.event.remove(sa.Engine, "commit", fail_at_first)
        runner.stop()
