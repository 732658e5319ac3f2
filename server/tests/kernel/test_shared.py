"""The same promises in memory and through a real Redis."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from mainstay_server.kernel import shared
from mainstay_server.kernel.problems import Unavailable
from mainstay_server.kernel.shared.in_memory import MemoryShared
from mainstay_server.kernel.shared.in_redis import RedisShared
from tests.servers.redis import RedisServer, running_redis
from tests.waiting import PATIENCE_SECONDS, eventually

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis() as running:
        yield running


@pytest.fixture(params=["memory", "redis"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    kind: str = request.param
    url = "memory://" if kind == "memory" else request.getfixturevalue("server").url
    shared.open_shared(url)
    yield kind
    shared.close_shared()


@pytest.mark.usefixtures("backend")
def test_a_value_is_kept_until_it_is_deleted_or_its_time_is_over() -> None:
    shared.put("v:kept", b"\x00one", expires_after=MINUTE)
    shared.put("v:brief", b"two", expires_after=MINUTE)
    assert (shared.get("v:kept"), shared.get("v:brief")) == (b"\x00one", b"two")

    shared.put("v:brief", b"two", expires_after=timedelta(milliseconds=50))
    eventually(lambda: shared.get("v:brief") is None, every_seconds=0.01)
    assert (shared.delete("v:kept"), shared.delete("v:kept")) == (True, False)
    assert shared.get("v:kept") is None


@pytest.mark.usefixtures("backend")
def test_concurrent_increments_never_see_the_same_number() -> None:
    seen: list[int] = []

    def count() -> None:
        seen.extend([shared.increment("c:many", expires_after=MINUTE) for _ in range(100)])

    threads = [threading.Thread(target=count) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(seen) == list(range(1, 501))
    assert shared.increment("c:many", -500, expires_after=MINUTE) == 0
    assert shared.get("c:many") == b"0"


@pytest.mark.usefixtures("backend")
def test_later_increments_do_not_prolong_a_counter() -> None:
    brief = timedelta(milliseconds=300)
    shared.increment("c:brief", expires_after=brief)
    # If each prolonged it, it would not end while one comes every ten milliseconds.
    eventually(
        lambda: shared.increment("c:brief", expires_after=brief) == 1,
        within_seconds=20,
        every_seconds=0.01,
    )


@pytest.mark.usefixtures("backend")
def test_what_is_no_number_cannot_be_counted() -> None:
    shared.put("v:word", b"word", expires_after=MINUTE)
    with pytest.raises(ValueError, match=r"count|int"):
        shared.increment("v:word", expires_after=MINUTE)


@pytest.mark.usefixtures("backend")
def test_everybody_who_listens_is_told_in_order() -> None:
    one: list[bytes] = []
    two: list[bytes] = []
    shared.subscribe("news", one.append)
    leave = shared.subscribe("news", two.append)
    shared.subscribe("other", one.append)

    for index in range(100):
        assert shared.publish("news", b"%d" % index)
    eventually(lambda: len(one) == len(two) == 100)
    leave()
    shared.publish("news", b"last")
    eventually(lambda: len(one) == 101)

    assert one == [*(b"%d" % index for index in range(100)), b"last"]
    assert len(two) == 100


@pytest.mark.usefixtures("backend")
def test_a_listener_that_fails_does_not_deafen_the_others() -> None:
    heard: list[bytes] = []

    def broken(payload: bytes) -> None:
        raise RuntimeError("a bug")

    shared.subscribe("bugs", broken)
    shared.subscribe("bugs", heard.append)
    shared.publish("bugs", b"1")
    shared.publish("bugs", b"2")
    eventually(lambda: heard == [b"1", b"2"])


def test_a_slow_listener_loses_the_oldest_and_holds_nobody_up() -> None:
    memory = MemoryShared()
    go = threading.Event()
    heard: list[bytes] = []

    def slow(payload: bytes) -> None:
        go.wait(PATIENCE_SECONDS)
        heard.append(payload)

    memory.subscribe("flood", slow)
    for index in range(3000):
        memory.publish("flood", b"%d" % index)
    go.set()
    eventually(lambda: bool(heard) and heard[-1] == b"2999")
    memory.close()
    assert len(heard) <= 1001


@pytest.mark.usefixtures("backend")
def test_what_is_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="blob"):
        shared.put("big", bytes(2_000_000), expires_after=MINUTE)
    with pytest.raises(ValueError, match="characters"):
        shared.get("k" * 513)


def test_memory_is_bounded_and_dead_keys_leave_first() -> None:
    memory = MemoryShared(max_keys=100)
    memory.put("alive", b"", MINUTE)
    for index in range(1000):
        memory.put(f"dead:{index}", b"", timedelta(0))
    assert len(memory) <= 3
    assert memory.get("alive") == b""
    for index in range(1000):
        memory.put(f"living:{index}", b"", MINUTE)
    assert len(memory) == 100
    memory.close()


def test_a_lost_redis_is_refused_politely_and_found_again() -> None:
    with running_redis() as server:
        client = RedisShared(server.url)
        heard: list[bytes] = []
        client.subscribe("news", heard.append)
        client.publish("news", b"before")
        eventually(lambda: heard == [b"before"])
        assert client.healthy()

        server.kill()

        assert client.publish("news", b"lost") is False
        assert not client.healthy()
        with pytest.raises(Unavailable, match="MAINSTAY_SHARED_URL"):
            client.get("key")

        server.start()

        eventually(client.healthy)
        client.publish("news", b"after")
        eventually(lambda: heard[-1] == b"after")
        assert heard == [b"before", b"", b"after"]
        client.close()


def test_a_redis_that_is_not_there_yet_does_not_hinder_the_start() -> None:
    with running_redis() as server:
        server.kill()
        client = RedisShared(server.url)
        heard: list[bytes] = []
        client.subscribe("news", heard.append)  # returns although nobody answers
        server.start()
        eventually(client.healthy)
        client.publish("news", b"hello")
        eventually(lambda: b"hello" in heard)
        client.close()


def test_an_unknown_url_does_not_open() -> None:
    with pytest.raises(ValueError, match="MAINSTAY_SHARED_URL"):
        shared.open_shared("memcached://x")
