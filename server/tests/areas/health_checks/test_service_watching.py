"""The watch over real sockets: seen in time, said once, delayed by nobody, claimed by one."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise

import pytest
from mainstay_server.areas.health_checks.columns import HEALTH_RESULTS
from mainstay_server.areas.health_checks.models import HealthCheck, HealthState
from mainstay_server.areas.health_checks.service.watching import Watch
from mainstay_server.contracts.health_checks import (
    HealthChanged,
    HealthCheckDegraded,
    HealthCheckRecovered,
    HealthCheckWentDown,
)
from mainstay_server.kernel import columns, outbound
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import said_events
from tests.areas.health_checks.worlds import SETTINGS, a_check, watch_until
from tests.servers.http import Answer, HttpReceiver, running_http

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("stores")]


@pytest.fixture
def stores(database: None, column_store: Callable[..., None]) -> Iterator[None]:
    column_store(HEALTH_RESULTS)
    outbound.open_outbound(allow_private=True)
    yield
    outbound.close_outbound()


@pytest.fixture
def app() -> Iterator[HttpReceiver]:
    with running_http() as receiver:
        yield receiver


def watched(url: str, *, number: int = 1, **options: int) -> str:
    with transaction() as session:
        return a_check(session, url, number=number, now=utc_now(), **options).id


def state_of(check_id: str) -> str:
    with reading() as session:
        return session.get_one(HealthCheck, check_id).state


def health_said() -> list[HealthChanged]:
    with reading() as session:
        return [event for _, event in said_events(session) if isinstance(event, HealthChanged)]


def results() -> list[dict[str, object]]:
    return columns.query("SELECT * FROM health_results ORDER BY at")


def test_a_stopped_app_is_seen_and_said_within_one_interval_and_its_return_too(
    app: HttpReceiver,
) -> None:
    check_id = watched(f"{app.url}/health", interval_seconds=5)
    asyncio.run(watch_until(lambda: state_of(check_id) == "healthy"))

    app.stop()
    stopped_at = utc_now()
    asyncio.run(watch_until(lambda: state_of(check_id) == "unhealthy"))
    seen_at = utc_now()
    app.start()
    asyncio.run(watch_until(lambda: state_of(check_id) == "healthy"))

    down, up = health_said()
    assert isinstance(down, HealthCheckWentDown)
    assert isinstance(up, HealthCheckRecovered)
    assert down.reason == "connection refused"
    assert stopped_at < down.since <= stopped_at + timedelta(seconds=5)
    assert seen_at - stopped_at < timedelta(seconds=5 + 1)  # one interval, and the second try
    assert up.troubled_since == down.since


def test_one_lost_answer_is_no_outage(app: HttpReceiver) -> None:
    app.answer(Answer(close=True))
    check_id = watched(f"{app.url}/health")

    asyncio.run(watch_until(lambda: bool(results())))

    assert state_of(check_id) == "healthy"
    assert health_said() == []
    assert results()[0]["tries"] == 2


def test_a_slow_app_is_degraded_and_said_so(app: HttpReceiver) -> None:
    app.answer_at("/health", Answer(delay_seconds=0.4))
    check_id = watched(f"{app.url}/health", degraded_after_ms=200)

    asyncio.run(watch_until(lambda: state_of(check_id) == "degraded"))

    (said,) = health_said()
    assert isinstance(said, HealthCheckDegraded)
    assert said.reason == "answered in 0.4 s, slower than 0.2 s"


@pytest.mark.slow
def test_turns_come_at_the_interval_however_long_answers_take(app: HttpReceiver) -> None:
    app.answer_at("/health", Answer(delay_seconds=0.7))
    watched(f"{app.url}/health", interval_seconds=2)

    asyncio.run(watch_until(lambda: len(app.requests) >= 5))

    starts = [request.at for request in app.requests][1:]  # the first turn comes at once
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(starts)]
    assert all(1.9 < gap < 2.1 for gap in gaps), gaps


@pytest.mark.slow
def test_fifty_targets_that_hang_delay_none_of_fifty_that_do_not() -> None:
    with (
        running_http(host="127.0.0.2") as hanging,
        running_http(host="127.0.0.3") as fine,
    ):
        for number in range(50):
            hanging.answer_at(f"/{number}", Answer(hang=True))
            watched(f"{hanging.url}/{number}", number=number + 1, timeout_seconds=5)
            watched(f"{fine.url}/{number}", number=number + 51)
        began = utc_now()

        asyncio.run(watch_until(lambda: len(fine.requests) >= 50))

        assert max(request.at for request in fine.requests) - began < timedelta(seconds=2)


@pytest.mark.slow
def test_of_two_watches_each_turn_is_asked_by_one(app: HttpReceiver) -> None:
    for number in range(1, 6):
        watched(f"{app.url}/{number}", number=number, interval_seconds=2)

    asyncio.run(watch_until(lambda: len(app.requests) >= 22, watches=2))

    for path in {request.path for request in app.requests}:
        starts = [request.at for request in app.requests if request.path == path][2:]
        assert all(b - a > timedelta(seconds=1.5) for a, b in pairwise(starts))
    assert len(Counter(request.path for request in app.requests)) == 5


def test_what_a_killed_process_was_asking_is_asked_by_another(app: HttpReceiver) -> None:
    check_id = watched(f"{app.url}/health")
    with transaction() as session:
        check = session.get_one(HealthCheck, check_id)
        check.owner, check.fence = "this-host-is-gone/1/1", 1
        check.claimed_until = utc_now() + timedelta(seconds=1)

    asyncio.run(watch_until(lambda: state_of(check_id) == HealthState.HEALTHY))

    assert len(app.requests) == 1


def test_a_result_survives_a_column_store_that_is_away(app: HttpReceiver) -> None:
    check_id = watched(f"{app.url}/health", interval_seconds=5)
    columns.close_columns()

    asyncio.run(watch_until(lambda: state_of(check_id) == "healthy"))

    assert state_of(check_id) == "healthy"


def test_a_watch_that_ends_leaves_no_claim_behind(app: HttpReceiver) -> None:
    app.answer_at("/health", Answer(hang=True))
    check_id = watched(f"{app.url}/health")

    asyncio.run(watch_until(lambda: len(app.requests) == 1))

    with reading() as session:
        check = session.get_one(HealthCheck, check_id)
        assert (check.owner, check.claimed_until, check.state) == ("", None, "unknown")


def test_when_everything_falls_at_once_each_is_said_once(app: HttpReceiver) -> None:
    app.stop()
    ids = {watched(f"{app.url}/{number}", number=number) for number in range(1, 151)}

    asyncio.run(watch_until(lambda: len(health_said()) >= 150))

    said = health_said()
    assert {event.health_check_id for event in said} == ids
    assert len(said) == 150
    assert {row["health_check_id"] for row in results()} == ids


def test_nothing_due_takes_no_transaction() -> None:
    async def one_tick() -> None:
        await Watch(SETTINGS, clock=utc_now).tick()

    asyncio.run(one_tick())

    assert health_said() == []
