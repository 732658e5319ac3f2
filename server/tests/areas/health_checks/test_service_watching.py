"""The watch over real sockets: seen in time, said once, delayed by nobody, claimed by one."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import groupby

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
from tests.areas.health_checks.worlds import SETTINGS, a_check, claims, note_claims, watch_until
from tests.servers.http import Answer, HttpReceiver, running_http
from tests.waiting import PATIENCE_SECONDS

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
    """A check whose first turn is now; no second one comes, nor is it slow, unless asked for."""
    calm = {"interval_seconds": 3600, "timeout_seconds": 60, "degraded_after_ms": 60_000}
    with transaction() as session:
        return a_check(session, url, number=number, now=utc_now(), **{**calm, **options}).id


def next_turn_of(check_id: str) -> datetime:
    with reading() as session:
        return session.get_one(HealthCheck, check_id).next_at


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
    turn_after_the_stop = next_turn_of(check_id)
    asyncio.run(watch_until(lambda: state_of(check_id) == "unhealthy"))
    app.start()
    started_at = utc_now()
    turn_after_the_start = next_turn_of(check_id)
    asyncio.run(watch_until(lambda: state_of(check_id) == "healthy"))

    down, up = health_said()
    assert isinstance(down, HealthCheckWentDown)
    assert isinstance(up, HealthCheckRecovered)
    assert down.reason == "connection refused"
    assert up.troubled_since == down.since
    # The next turn is at most an interval away, and it is the one that sees it.
    assert turn_after_the_stop - stopped_at <= timedelta(seconds=5)
    assert turn_after_the_start - started_at <= timedelta(seconds=5)
    states = [state for state, _ in groupby(str(row["state"]) for row in results())]
    assert states == ["healthy", "unhealthy", "healthy"]
    assert stopped_at < down.since


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
    assert re.fullmatch(r"answered in [0-9.]+ s, slower than 0\.2 s", said.reason)


def test_turns_come_at_the_interval_however_long_answers_take(app: HttpReceiver) -> None:
    app.answer_at("/health", Answer(delay_seconds=0.7))
    note_claims()
    watched(f"{app.url}/health", interval_seconds=2)

    asyncio.run(watch_until(lambda: len(app.requests) >= 5))

    turns = [turn for _, turn in claims()]
    starts = [request.at for request in app.requests]
    # The first turn comes at once. From then on they are whole intervals apart, to the millisecond.
    assert len(turns) >= 5
    assert {(turn - turns[1]) % timedelta(seconds=2) for turn in turns[1:]} == {timedelta(0)}
    assert turns == sorted(set(turns))
    assert all(start >= turn for turn, start in zip(turns, starts, strict=False))


def test_a_turn_is_claimed_before_its_moment_so_that_no_tick_has_to_come_in_time(
    app: HttpReceiver,
) -> None:
    now = utc_now()
    check_id = watched(app.url)
    with transaction() as session:
        session.get_one(HealthCheck, check_id).next_at = now + timedelta(seconds=1)

    async def tick_once_and_no_more() -> None:
        # Its clock stands still, so the request comes a second after the tick, by the loop alone.
        watch = Watch(SETTINGS, clock=lambda: now)
        await watch.tick()
        await asyncio.to_thread(app.wait_for, 1)
        await watch._end()

    asyncio.run(tick_once_and_no_more())

    (request,) = app.requests
    assert request.at >= now + timedelta(seconds=0.9)


def test_fifty_targets_that_hang_delay_none_of_fifty_that_do_not() -> None:
    with (
        running_http(host="127.0.0.2") as hanging,
        running_http(host="127.0.0.3") as fine,
    ):
        for number in range(50):
            hanging.answer_at(f"/{number}", Answer(hang=True))
            watched(f"{hanging.url}/{number}", number=number + 1, timeout_seconds=120)
            watched(f"{fine.url}/{number}", number=number + 51)

        asyncio.run(watch_until(lambda: len(fine.requests) >= 50))

        # None of those that hang was given up meanwhile: nobody waited for their end.
        asked = Counter(str(row["state"]) for row in results())
        assert set(asked) <= {"healthy"}


def test_of_two_watches_each_turn_is_asked_by_one(app: HttpReceiver) -> None:
    note_claims()
    for number in range(1, 6):
        watched(f"{app.url}/{number}", number=number, interval_seconds=2)

    asyncio.run(watch_until(lambda: len(app.requests) >= 22, watches=2))

    claimed = Counter(claims())
    asked = Counter(request.path for request in app.requests)
    assert set(claimed.values()) == {1}
    assert len(asked) == 5
    # What was claimed and not yet asked when the watches ended is at most one turn of each.
    assert len(claimed) - 5 <= asked.total() <= len(claimed)


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


def test_forty_that_hang_delay_nothing_else_of_the_same_host(app: HttpReceiver) -> None:
    for number in range(40):
        app.answer_at(f"/{number}", Answer(hang=True))
        watched(f"{app.url}/{number}", number=number + 1, timeout_seconds=120)
        watched(f"{app.url}/fine/{number}", number=number + 51)

    def all_fine_were_asked() -> bool:
        paths = {request.path for request in app.requests}
        return all(f"/fine/{number}" in paths for number in range(40))

    asyncio.run(watch_until(all_fine_were_asked))

    assert {str(row["state"]) for row in results()} <= {"healthy"}


def test_a_clock_that_jumps_back_an_hour_delays_no_turn_by_an_hour(app: HttpReceiver) -> None:
    ahead = [timedelta(hours=1)]
    with transaction() as session:
        check_id = a_check(session, app.url, now=utc_now() + ahead[0], interval_seconds=5).id

    async def until(happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await asyncio.to_thread(happened):  # noqa: ASYNC110 - asked of a database
                await asyncio.sleep(0.05)

    async def watch_over_the_jump() -> None:
        stop = asyncio.Event()
        watch = Watch(SETTINGS, clock=lambda: utc_now() + ahead[0])
        running = asyncio.create_task(watch.run(stop))
        await until(lambda: state_of(check_id) == "healthy")
        ahead[0] = timedelta(0)
        asked = len(app.requests)
        await until(lambda: len(app.requests) > asked + 1)
        stop.set()
        await running

    asyncio.run(watch_over_the_jump())

    assert health_said() == []
    assert state_of(check_id) == "healthy"
    assert next_turn_of(check_id) < utc_now() + timedelta(minutes=1)
