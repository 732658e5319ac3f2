"""While the store of limits is away each limit does what it declares, and nobody waits for it."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pytest
from mainstay_server.kernel import limits
from mainstay_server.kernel.limits import (
    Bucket,
    Limiter,
    OnError,
    Rate,
    Verdict,
    bucket_key,
    microseconds,
)
from mainstay_server.kernel.limits.in_memory import MemoryBuckets
from mainstay_server.kernel.limits.in_redis import RedisBuckets
from mainstay_server.kernel.problems import Unavailable
from tests.servers.redis import RedisServer, running_redis
from tests.waiting import PATIENCE_SECONDS, eventually

NOON_US = microseconds(datetime(2026, 11, 21, 12, tzinfo=UTC))
HOUR = 3600


def a_bucket(about: str, *, burst: int = 5, on_error: OnError = OnError.LOCAL) -> Bucket:
    rate = Rate(burst, HOUR, burst)
    return Bucket(bucket_key("test", rate, about), rate, on_error=on_error)


class Switched:
    """Memory that answers as the shared store does, until it is switched off."""

    name = "switched"
    inline = False

    def __init__(self) -> None:
        self.memory = MemoryBuckets()
        self.is_away = False
        self.answers = threading.Event()
        self.answers.set()
        self.asked = 0

    def take(self, buckets: Sequence[Bucket], *, cost: int, now_us: int) -> Verdict:
        self.asked += 1
        self.answers.wait(PATIENCE_SECONDS)
        if self.is_away:
            raise Unavailable("away")
        return self.memory.take(buckets, cost=cost, now_us=now_us)

    def close(self) -> None:
        self.memory.close()


@pytest.fixture
def store() -> Switched:
    return Switched()


@pytest.fixture
def limiter(store: Switched) -> Iterator[Limiter]:
    made = Limiter(store)
    yield made
    made.close()


def test_a_local_limit_goes_on_from_where_the_shared_one_stood(
    limiter: Limiter, store: Switched
) -> None:
    used_up, fresh = a_bucket("ann"), a_bucket("ben")
    assert limiter.take([used_up], cost=5, now_us=NOON_US).admitted
    store.is_away = True

    still_used_up = limiter.take([used_up], now_us=NOON_US)
    untouched = [limiter.take([fresh], now_us=NOON_US) for _ in range(6)]

    assert (still_used_up.admitted, still_used_up.degraded) == (False, True)
    assert still_used_up.retry_after_us == used_up.rate.period_us
    assert [each.admitted for each in untouched] == [True] * 5 + [False]


def test_a_limit_that_denies_lets_nobody_pass_and_charges_nothing(
    limiter: Limiter, store: Switched
) -> None:
    local, strict = a_bucket("ann"), a_bucket("vault", on_error=OnError.DENY)
    store.is_away = True

    denied = limiter.take([local, strict], now_us=NOON_US)

    assert (denied.admitted, denied.denied) == (False, True)
    assert denied.retry_after_us
    assert limiter.take([local], now_us=NOON_US).standings[0].remaining == 4


def test_a_limit_that_allows_lets_everybody_pass(limiter: Limiter, store: Switched) -> None:
    lenient = a_bucket("docs", burst=2, on_error=OnError.ALLOW)
    store.is_away = True

    verdicts = [limiter.take([lenient], now_us=NOON_US) for _ in range(10)]

    assert all(each.admitted and each.degraded for each in verdicts)


def test_a_decision_stays_one_when_each_limit_declares_something_else(
    limiter: Limiter, store: Switched
) -> None:
    tight, lenient = a_bucket("ann", burst=1), a_bucket("docs", on_error=OnError.ALLOW)
    store.is_away = True

    first, second = [limiter.take([lenient, tight], now_us=NOON_US) for _ in range(2)]

    assert first.admitted
    assert (second.admitted, second.violated) == (False, (1,))


def test_what_was_decided_while_degraded_is_counted(limiter: Limiter, store: Switched) -> None:
    limiter.take([a_bucket("ann")], now_us=NOON_US)
    store.is_away = True
    for on_error in OnError:
        limiter.take([a_bucket("ben", on_error=on_error)], now_us=NOON_US)

    stats = limiter.stats()

    assert (stats.store, stats.degraded) == ("switched", True)
    assert (stats.admitted, stats.refused) == (3, 1)
    assert (stats.local, stats.denied, stats.allowed) == (1, 1, 1)


def test_a_store_that_is_away_is_left_alone_and_found_again(
    limiter: Limiter, store: Switched
) -> None:
    store.is_away = True
    for _ in range(1000):
        limiter.take([a_bucket("ann")], now_us=NOON_US)
    asked_while_away = store.asked
    store.is_away = False
    eventually(lambda: not limiter.take([a_bucket("ben")], cost=0, now_us=NOON_US).degraded)

    assert asked_while_away < 20, "not by each of the thousand"
    assert not limiter.stats().degraded


def test_a_store_that_hangs_holds_up_neither_the_event_loop_nor_any_verdict_for_long(
    limiter: Limiter, store: Switched
) -> None:
    store.answers.clear()

    async def ask_while_something_else_runs() -> tuple[int, list[Verdict]]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        asked = [limiter.take_async([a_bucket(f"p{n}")], now_us=NOON_US) for n in range(50)]
        found = await asyncio.gather(*asked)
        ticking.cancel()
        return ticks, found

    ticks, verdicts = asyncio.run(ask_while_something_else_runs())
    store.answers.set()

    assert ticks >= 5, "the loop ran on while the store hung"
    assert all(each.admitted and each.degraded for each in verdicts)


def test_redis_stopped_in_mid_traffic_changes_verdicts_to_the_declared_ones_and_back() -> None:
    with running_redis() as server:
        limits.open_limits(server.url, own_clock=False)
        try:
            asyncio.run(live_through_an_outage(server))
        finally:
            limits.close_limits()


async def live_through_an_outage(server: RedisServer) -> None:
    local = a_bucket("ann", burst=10)
    strict = a_bucket("vault", on_error=OnError.DENY)
    lenient = a_bucket("docs", burst=1, on_error=OnError.ALLOW)
    before = [await limits.take_async([local], now_us=NOON_US) for _ in range(6)]

    server.kill()
    during = [await limits.take_async([local], now_us=NOON_US) for _ in range(6)]
    denied = await limits.take_async([strict], now_us=NOON_US)
    allowed = [await limits.take_async([lenient], now_us=NOON_US) for _ in range(3)]

    server.start()
    while (again := await limits.take_async([strict], now_us=NOON_US)).degraded:  # noqa: ASYNC110 - only another verdict tells
        await asyncio.sleep(0.05)

    assert [each.admitted for each in before] == [True] * 6
    assert not any(each.degraded for each in before)
    assert [each.admitted for each in during] == [True] * 4 + [False] * 2, "ten in all"
    assert (denied.admitted, denied.denied) == (False, True)
    assert all(each.admitted for each in allowed)
    assert again.admitted
    assert not limits.limits_stats().degraded


def test_a_redis_that_was_frozen_is_waited_for_once_and_used_again() -> None:
    with running_redis() as server:
        limiter = Limiter(RedisBuckets(server.url, own_clock=False))
        bucket = a_bucket("ann", burst=1000)
        assert not limiter.take([bucket], now_us=NOON_US).degraded

        os.kill(server.pid, signal.SIGSTOP)
        verdicts = [limiter.take([bucket], now_us=NOON_US) for _ in range(100)]
        os.kill(server.pid, signal.SIGCONT)

        assert all(each.degraded and each.admitted for each in verdicts)
        eventually(lambda: not limiter.take([bucket], now_us=NOON_US).degraded)
        limiter.close()


def test_a_redis_without_the_script_gets_it_again() -> None:
    with running_redis() as server:
        limiter = Limiter(RedisBuckets(server.url, own_clock=False))
        limiter.take([a_bucket("ann")], now_us=NOON_US)
        server.kill()
        server.start()
        eventually(lambda: not limiter.take([a_bucket("ann")], now_us=NOON_US).degraded)
        limiter.close()
