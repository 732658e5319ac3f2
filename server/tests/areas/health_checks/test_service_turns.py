"""Turns: spread, absolute, and each claimed by one of many, on both databases."""

import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.schemas.orders import ProbeOrder
from mainstay_server.areas.health_checks.service.turns import (
    LEASE,
    claim_due,
    give_back,
    mend_future,
    next_turn,
    release_dead_owners,
    renew,
)
from mainstay_server.kernel.database import (
    Base,
    close_database,
    engine,
    open_database,
    transaction,
)
from sqlalchemy.orm import Session
from tests.areas.health_checks.worlds import MINUTE, NOON, SECOND, a_check
from tests.databases import fresh_sqlite
from tests.servers.postgres import running_postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def either_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    if request.param == "sqlite":
        open_database(fresh_sqlite(tmp_path))
        yield
        close_database()
        return
    with running_postgres() as server:
        open_database(server.url)
        Base.metadata.create_all(engine())
        yield
        close_database()


def claim(session: Session, *, seconds: float = 0, owner: str = "here") -> list[ProbeOrder]:
    now = NOON + seconds * SECOND
    return claim_due(session, until=now, now=now, owner=owner, limit=500)


def test_of_four_that_claim_at_once_each_turn_goes_to_one(either_database: None) -> None:
    with transaction() as session:
        ids = {a_check(session, number=number).id for number in range(60)}
    claimed: list[str] = []
    begin = threading.Barrier(4)

    def compete(owner: str) -> None:
        begin.wait()
        for _ in range(6):
            with transaction() as session:
                orders = claim_due(session, until=NOON, now=NOON, owner=owner, limit=7)
            claimed.extend(order.check_id for order in orders)

    threads = [threading.Thread(target=compete, args=(f"probe-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(claimed) == len(ids)
    assert set(claimed) == ids


def test_turns_are_absolute_and_spread() -> None:
    turns = {next_turn(f"check-{n}", 60, NOON) for n in range(1000)}

    assert len(turns) > 900
    assert all(NOON < turn <= NOON + MINUTE for turn in turns)
    first = next_turn("check-1", 60, NOON)
    assert next_turn("check-1", 60, first) == first + MINUTE
    assert next_turn("check-1", 60, first + timedelta(seconds=59)) == first + MINUTE


def test_what_is_not_renewed_is_taken_over_after_the_lease(session: Session) -> None:
    a_check(session)

    (held,) = claim(session)
    during = claim(session, seconds=LEASE.total_seconds() - 1, owner="other")
    (taken,) = claim(session, seconds=LEASE.total_seconds() + 1, owner="other")

    assert during == []
    assert taken.fence == (held.fence or 0) + 1


def test_what_is_renewed_stays(session: Session) -> None:
    check = a_check(session)
    (held,) = claim(session)

    renew(session, {check.id: held.fence or 0}, now=NOON + 10 * SECOND)

    assert claim(session, seconds=20, owner="other") == []


def test_what_was_taken_over_is_not_renewed_by_the_one_who_lost_it(session: Session) -> None:
    check = a_check(session)
    (held,) = claim(session)
    claim(session, seconds=20, owner="other")

    give_back(session, {check.id: held.fence or 0})

    session.refresh(check)
    assert check.owner == "other"


def test_a_turn_that_is_given_back_is_free_at_once(session: Session) -> None:
    check = a_check(session)
    (held,) = claim(session)

    give_back(session, {check.id: held.fence or 0})

    assert len(claim(session, owner="other")) == 1


def test_a_dead_process_of_this_host_holds_nothing(session: Session) -> None:
    check = a_check(session)
    claim(session, owner=f"{socket.gethostname()}/{2**22 + 1}/1")

    release_dead_owners(session)

    session.refresh(check)
    assert (check.owner, check.claimed_until) == ("", None)


def test_what_rests_has_no_turn(session: Session) -> None:
    check = a_check(session)
    session.get_one(HealthCheck, check.id).paused = True
    session.flush()

    assert claim(session, seconds=3600) == []


def test_a_clock_that_is_set_back_leaves_nobody_resting(session: Session) -> None:
    check = a_check(session)
    check.next_at = check.watched_until = NOON + 60 * MINUTE
    check.last_result_at = NOON + 59 * MINUTE
    session.flush()

    mended = mend_future(session, now=NOON)

    session.refresh(check)
    assert mended == 1
    assert check.next_at == check.last_result_at == NOON
    assert check.watched_until == NOON + MINUTE


def test_turns_of_a_right_clock_are_left_alone(session: Session) -> None:
    check = a_check(session)
    check.next_at, check.last_result_at = NOON + MINUTE, NOON
    session.flush()

    assert mend_future(session, now=NOON - SECOND) == 0


def test_what_a_wrong_clock_claimed_for_tomorrow_is_free(session: Session) -> None:
    check = a_check(session)
    claim(session, seconds=3600)
    check.next_at = NOON
    session.flush()

    assert len(claim(session, seconds=0, owner="other")) == 1
