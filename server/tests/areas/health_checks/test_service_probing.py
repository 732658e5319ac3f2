"""One turn: what a second try is for, and what our own trouble must not be taken for."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from mainstay_server.areas.health_checks.models import HealthState
from mainstay_server.areas.health_checks.schemas.orders import Finished, ProbeOrder
from mainstay_server.areas.health_checks.service.probing import ask_all, ask_once_confirmed
from mainstay_server.areas.health_checks.service.rooms import Rooms
from mainstay_server.kernel import outbound
from mainstay_server.kernel.clock import utc_now
from tests.areas.health_checks.worlds import NOON
from tests.servers.http import Answer, HttpReceiver, running_http


@pytest.fixture
def app() -> Iterator[HttpReceiver]:
    outbound.open_outbound(allow_private=True, max_connections_per_host=1)
    with running_http() as receiver:
        yield receiver
    outbound.close_outbound()


def an_order(
    url: str, *, state: HealthState = HealthState.HEALTHY, timeout_seconds: int = 2
) -> ProbeOrder:
    return ProbeOrder(
        check_id=url,
        instance_id="instance",
        kind="http",
        url=url,
        interval_seconds=60,
        timeout_seconds=timeout_seconds,
        degraded_after_ms=2000,
        state=state,
        at=NOON,
    )


def ask(order: ProbeOrder) -> Finished:
    return asyncio.run(ask_once_confirmed(order, clock=utc_now, confirm_seconds=0.05))


def test_a_failure_is_asked_once_more_and_then_believed(app: HttpReceiver) -> None:
    app.answer_at("/", Answer(status=500))

    found = ask(an_order(f"{app.url}/"))

    assert found.result is not None
    assert (found.result.state, found.tries, len(app.requests)) == ("unhealthy", 2, 2)


def test_an_app_that_is_known_to_be_down_is_asked_once(app: HttpReceiver) -> None:
    app.answer_at("/", Answer(status=500))

    found = ask(an_order(f"{app.url}/", state=HealthState.UNHEALTHY))

    assert (found.tries, len(app.requests)) == (1, 1)


def test_a_try_during_which_we_were_stopped_is_tried_again_and_dates_from_then(
    app: HttpReceiver,
) -> None:
    # As after SIGSTOP: ninety seconds pass on the wall while one request is under way.
    readings = iter([0.0, 90.0, 90.0, 90.1, 90.1])

    def clock() -> datetime:
        return NOON + timedelta(seconds=next(readings))

    found = asyncio.run(ask_once_confirmed(an_order(app.url), clock=clock, confirm_seconds=0))

    assert found.result is not None
    assert (found.result.state, found.tries) == ("healthy", 2)
    assert found.at == NOON + timedelta(seconds=90)


def test_what_hangs_at_a_host_delays_nothing_else_of_that_host(app: HttpReceiver) -> None:
    # One connection per host is all that others may take here, and one place in the room.
    app.answer_at("/hang", Answer(hang=True))
    room = Rooms(per_host=1)

    async def ask_both() -> list[Finished]:
        hanging = asyncio.create_task(
            ask_once_confirmed(
                an_order(f"{app.url}/hang", timeout_seconds=120, state=HealthState.UNHEALTHY),
                clock=utc_now,
                confirm_seconds=0,
                rooms=room,
            )
        )
        await asyncio.to_thread(app.wait_for, 1)
        waiting = await ask_once_confirmed(
            an_order(f"{app.url}/fine", timeout_seconds=60),
            clock=utc_now,
            confirm_seconds=0,
            rooms=room,
        )
        await asyncio.to_thread(app.stop)
        return [await hanging, waiting]

    hanging, waiting = asyncio.run(ask_both())

    assert hanging.result is not None
    assert hanging.result.state == "unhealthy"
    assert waiting.result is not None
    assert waiting.result.state == "healthy"


def test_many_are_asked_at_once_up_to_the_limit_and_answered_in_order() -> None:
    outbound.open_outbound(allow_private=True, max_connections_per_host=50)
    with running_http() as app:
        released = threading.Event()
        for number in range(12):
            app.answer_at(f"/{number}", Answer(held_until=released))
        orders = [an_order(f"{app.url}/{number}", timeout_seconds=120) for number in range(12)]

        async def ask_twelve() -> tuple[list[Finished], int]:
            asking = asyncio.create_task(
                ask_all(orders, clock=utc_now, confirm_seconds=0, at_once=4)
            )
            await asyncio.to_thread(app.wait_for, 4)
            await asyncio.sleep(0.2)  # for a fifth to come, if it may
            at_once = len(app.requests)
            released.set()
            return await asking, at_once

        found, at_once = asyncio.run(ask_twelve())
    outbound.close_outbound()

    assert at_once == 4
    assert [one.order for one in found] == orders
