"""The pulse of the watch, and those who feel it: health, metrics, the watchdog, the heartbeat."""

import asyncio
import logging
import time
from collections.abc import Iterator

import pytest
from mainstay_server.areas.health_checks.service import beating, vitals, watchdog
from mainstay_server.areas.health_checks.service.pulse import Pulse, pulse
from mainstay_server.areas.health_checks.service.watchdog import Watchdog
from mainstay_server.areas.health_checks.settings import HealthCheckSettings
from mainstay_server.kernel import outbound
from mainstay_server.kernel.settings import override_settings
from pydantic import SecretStr
from tests.servers.http import Answer, HttpReceiver, running_http
from tests.waiting import eventually


@pytest.fixture
def peer() -> Iterator[HttpReceiver]:
    outbound.open_outbound(allow_private=True)
    with running_http() as receiver:
        yield receiver
    outbound.close_outbound()


@pytest.fixture
def ours() -> Iterator[Pulse]:
    """The pulse of this process, which watches nothing before and after."""
    pulse.rest()
    yield pulse
    pulse.rest()
    override_settings(HealthCheckSettings())


def settings(peer: HttpReceiver) -> HealthCheckSettings:
    return HealthCheckSettings(
        health_checks_heartbeat_url=SecretStr(f"{peer.url}/ping/very-secret"),
        health_checks_heartbeat_seconds=1,
    )


async def beat_until(options: HealthCheckSettings, of: Pulse, enough: float) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(beating.beat(options, of, stop))
    await asyncio.sleep(enough)
    stop.set()
    await running


def test_a_process_that_watches_nothing_has_no_pulse(ours: Pulse) -> None:
    assert ours.read() is None
    assert vitals.read_scheduler() is None


def test_lag_is_the_worst_hundredth_or_a_silence_that_is_longer() -> None:
    own = Pulse()
    own.beat(recorded=3)
    for number in range(200):
        own.began(late_seconds=0.01 if number else 5.0)

    calm = own.read()
    for _ in range(10):
        own.began(late_seconds=4.0)
    late = own.read()

    assert calm is not None
    assert late is not None
    assert calm.lag_seconds < 1
    assert late.lag_seconds == 4.0
    assert (calm.begun, late.begun, late.recorded) == (200, 210, 3)


def test_a_watch_that_lags_makes_the_server_not_ready(ours: Pulse) -> None:
    override_settings(HealthCheckSettings(health_checks_most_lag_seconds=10))
    ours.beat()
    states = []
    figures = set()
    for late in (0.1, 5.0, 20.0):
        ours.began(late_seconds=late)
        found = vitals.read_scheduler()
        assert found is not None
        states.append(found.status)
        figures = {figure.name for figure in found.figures}

    assert states == ["healthy", "degraded", "unhealthy"]
    assert figures >= {"mainstay_scheduler_lag_seconds", "mainstay_scheduler_stalls"}


def test_somebody_else_is_pinged_while_the_watch_keeps_up(peer: HttpReceiver) -> None:
    own = Pulse()
    own.beat()

    asyncio.run(beat_until(settings(peer), own, 0.5))

    assert [request.path for request in peer.requests] == ["/ping/very-secret"]


def test_a_watch_that_stands_still_pings_nobody(peer: HttpReceiver) -> None:
    own = Pulse()
    own.beat()
    own.began(late_seconds=600)

    asyncio.run(beat_until(settings(peer), own, 0.3))

    assert peer.requests == []


def test_a_heartbeat_that_fails_is_told_without_its_address(
    peer: HttpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    own = Pulse()
    own.beat()
    peer.answer(Answer(status=500))

    asyncio.run(beat_until(settings(peer), own, 0.5))
    peer.stop()
    asyncio.run(beat_until(settings(peer), own, 0.5))

    assert "answered with 500" in caplog.text
    assert "did not arrive: connect" in caplog.text
    assert "very-secret" not in caplog.text


def test_a_loop_that_is_held_is_written_down_once_with_the_place(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watchdog, "STALLED_SECONDS", 0.2)
    monkeypatch.setattr(watchdog, "LOOK_EVERY_SECONDS", 0.05)
    own = Pulse()
    own.beat()

    def hold_the_loop() -> None:
        deadline = time.monotonic() + 90
        while not own_stalls(own) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)

    with caplog.at_level(logging.ERROR), Watchdog(own):
        hold_the_loop()
        own.beat()

    assert own_stalls(own) == 1
    assert "hold_the_loop" in caplog.text


def test_after_a_stall_the_watchdog_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "STALLED_SECONDS", 0.2)
    monkeypatch.setattr(watchdog, "LOOK_EVERY_SECONDS", 0.02)
    own = Pulse()
    own.beat()

    with Watchdog(own):
        eventually(lambda: own_stalls(own) == 1)
        calm = time.monotonic() + 0.15
        while time.monotonic() < calm:
            own.beat()
            time.sleep(0.01)
        eventually(lambda: own_stalls(own) >= 2)  # a busy machine may hold it once more


def own_stalls(own: Pulse) -> int:
    found = own.read()
    assert found is not None
    return found.stalls
