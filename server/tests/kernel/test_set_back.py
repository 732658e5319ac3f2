"""A clock that was set back: no wait grows by it, and nothing is done twice for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import (
    Delivery,
    Event,
    OutboxDelivery,
    Refused,
    RetryLater,
    install_reactions,
    run_waiting,
    say,
    sends,
)
from mainstay_server.kernel.events.deliveries import claim_for_sending
from mainstay_server.kernel.jobs import (
    Job,
    JobRunner,
    JobState,
    LeaseLost,
    install_jobs,
    job,
    run_due,
)
from mainstay_server.kernel.jobs.runner import _claim, _finish
from mainstay_server.kernel.jobs.set_back import Pace, bring_back, mend_turns
from sqlalchemy.orm import Session
from tests.waiting import eventually

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


class GongRang(Event, frozen=True, kw_only=True):
    bell: str


@dataclass
class Clock:
    """The wall clock of one host; turned by hand."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    install_reactions(())
    install_jobs(())


@job(every=10 * SECOND)
def tick(session: Session, *, now: datetime) -> None:
    """What notes, as every job does, what the clock said."""


JOBS: dict[str, Job] = {tick.name: tick}


def the_clock_says(now: datetime) -> timedelta:
    """By how much a worker brings back what waits when its clock says so from now on."""
    with transaction() as session:
        return bring_back(session, JOBS, now=now)


def only_delivery() -> OutboxDelivery:
    with reading() as session:
        return session.scalars(sa.select(OutboxDelivery)).one()


def a_job_began(now: datetime) -> None:
    """At that moment by the clock, so that a later look finds what it said."""
    install_jobs([tick])
    with transaction() as session:
        session.execute(sa.delete(JobState))
    run_due(now=now - 10 * SECOND)
    assert run_due(now=now) == [tick.name]


def test_a_retry_waits_no_longer_than_the_receiver_asked_for(database: None) -> None:
    tries: list[str] = []

    @sends(GongRang)
    def ring_twice(event: GongRang, *, delivery: Delivery) -> None:
        tries.append(delivery.id)
        if len(tries) == 1:
            raise RetryLater("busy", after_seconds=1800)

    install_reactions([ring_twice])
    with transaction() as session:
        say(session, GongRang(bell="noon"), now=NOON)
    run_waiting(now=NOON)
    a_job_began(NOON + 10 * MINUTE)

    eleven = NOON - HOUR
    assert the_clock_says(eleven + 10 * MINUTE) == HOUR
    assert only_delivery().due_at == eleven + 30 * MINUTE

    assert run_waiting(now=eleven + 30 * MINUTE - SECOND) == 0
    assert run_waiting(now=eleven + 30 * MINUTE) == 1
    assert run_waiting(now=NOON + HOUR) == 0
    assert len(tries) == 2
    assert len(set(tries)) == 1, "one idempotency key"


def test_what_was_said_before_is_handed_over_at_once(database: None) -> None:
    heard: list[str] = []

    @sends(GongRang)
    def hear(event: GongRang, *, delivery: Delivery) -> None:
        heard.append(event.bell)

    install_reactions([hear])
    a_job_began(NOON)
    with transaction() as session:
        say(session, GongRang(bell="noon"), now=NOON - 40 * MINUTE)

    the_clock_says(NOON - HOUR)

    assert run_waiting(now=NOON - HOUR) == 1
    assert heard == ["noon"]


def test_it_is_brought_back_once_however_many_workers_look(database: None) -> None:
    @sends(GongRang)
    def never(event: GongRang, *, delivery: Delivery) -> None:
        raise RetryLater("busy", after_seconds=3 * 3600)

    install_reactions([never])
    with transaction() as session:
        say(session, GongRang(bell="noon"), now=NOON)
    run_waiting(now=NOON)
    a_job_began(NOON)

    assert the_clock_says(NOON - HOUR) == HOUR
    assert the_clock_says(NOON - HOUR) == timedelta(0)
    assert the_clock_says(NOON - HOUR + SECOND) == timedelta(0)
    assert only_delivery().due_at == NOON + 2 * HOUR


def test_clocks_of_several_hosts_that_differ_a_little_move_nothing(database: None) -> None:
    a_job_began(NOON)

    assert the_clock_says(NOON - 59 * SECOND) == timedelta(0)
    assert the_clock_says(NOON + HOUR) == timedelta(0)


def test_what_is_being_sent_stays_with_who_sends_it_until_its_lease_is_over(database: None) -> None:
    @sends(GongRang)
    def hear(event: GongRang, *, delivery: Delivery) -> None:
        raise Refused("never run")

    install_reactions([hear])
    a_job_began(NOON)
    with transaction() as session:
        say(session, GongRang(bell="noon"), now=NOON)
        held = claim_for_sending(session, now=NOON, lease=MINUTE, limit=8)
    assert len(held) == 1

    the_clock_says(NOON - HOUR)

    def claimed(now: datetime) -> int:
        with transaction() as session:
            return len(claim_for_sending(session, now=now, lease=MINUTE, limit=8))

    assert claimed(NOON - HOUR + 59 * SECOND) == 0
    assert claimed(NOON - HOUR + 61 * SECOND) == 1


def test_what_a_job_has_not_committed_when_the_clock_turns_is_undone(database: None) -> None:
    a_job_began(NOON)
    with transaction() as session:
        claim = _claim(session, tick, now=NOON + SECOND, lease=MINUTE)
    assert claim is not None

    the_clock_says(NOON - HOUR)

    with pytest.raises(LeaseLost), transaction() as session:
        _finish(session, claim, now=NOON + SECOND)
    assert run_due(now=NOON - HOUR + 10 * SECOND) == [tick.name]


def test_a_job_that_ended_by_the_clock_before_gets_its_next_turn(database: None) -> None:
    a_job_began(NOON)
    now = NOON - HOUR
    with transaction() as session:
        assert mend_turns(session, JOBS, now=now) == 1
        assert mend_turns(session, JOBS, now=now) == 0

    assert run_due(now=now + 9 * SECOND) == []
    assert run_due(now=now + 10 * SECOND) == [tick.name]


def test_a_pace_is_doubted_from_a_step_back_until_what_waits_was_brought_back() -> None:
    clock = Clock()
    pace = Pace(clock)
    assert pace.was_set_back(), "nobody knows what was before the start"
    pace.trust()

    clock.now += 3 * HOUR
    assert not pace.was_set_back()
    clock.now -= 2 * SECOND
    assert not pace.was_set_back()
    clock.now -= HOUR
    assert pace.was_set_back()
    assert pace.was_set_back()
    pace.trust()
    assert not pace.was_set_back()


def test_a_worker_goes_on_when_its_clock_is_set_back(database: None) -> None:
    ran: list[datetime] = []
    clock = Clock()

    @job(every=10 * SECOND)
    def note(session: Session, *, now: datetime) -> None:
        ran.append(now)

    install_jobs([note])
    runner = JobRunner(lease=MINUTE, clock=clock)
    runner.start()
    try:
        clock.now = NOON + 10 * SECOND
        assert eventually(lambda: ran == [NOON + 10 * SECOND])
        clock.now = NOON - HOUR
        assert eventually(lambda: _due_at() == NOON - HOUR + 10 * SECOND)
        clock.now = NOON - HOUR + 10 * SECOND
        assert eventually(lambda: ran[1:] == [NOON - HOUR + 10 * SECOND])
    finally:
        runner.stop()


def _due_at() -> datetime:
    with reading() as session:
        return session.scalars(sa.select(JobState.due_at)).one()
