"""The cache over a real Redis: shared by processes, current within a second, never in the way."""

import asyncio
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mainstay
import pytest
import redis
from mainstay.cache import Cache
from tests.app_servers import eventually
from tests.servers.redis import RedisServer, running_redis
from typing_extensions import override

pytestmark = pytest.mark.slow

# Far above what a busy machine takes; only tests about silence need the real one.
PATIENT_SECONDS = 20.0

# What another process does: one command a line, one answer a line.
OTHER_PROCESS = """
import json, sys, time
from mainstay.cache import Cache
cache = Cache(sys.argv[1], timeout_seconds=20)
def make():
    time.sleep(0.3)
    return {"made by": "the other"}
while not cache._shared.is_listening:
    cache.get("are you there")
print("ready", flush=True)
for line in sys.stdin:
    verb, *rest = json.loads(line)
    if verb == "get_or_set":
        told = cache.get_or_set(rest[0], make)
    elif verb == "computed":
        told = cache.statistics().computed
    else:
        told = getattr(cache, verb)(*rest)
    print(json.dumps(told), flush=True)
cache.close()
"""


class Other:
    """Another process with the same cache."""

    def __init__(self, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", OTHER_PROCESS, url],
            cwd=Path(mainstay.__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._said() == "ready"

    def asks(self, *command: object) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return json.loads(self._said())

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(30) == 0
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis() as started:
        yield started


@pytest.fixture
def url(server: RedisServer) -> str:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return server.url


@contextmanager
def a_cache(url: str, **options: Any) -> Iterator[Cache]:
    cache = Cache(url, **{"timeout_seconds": PATIENT_SECONDS, **options})
    cache.get("are you there")
    shared: Any = cache._shared
    eventually(lambda: shared.is_listening)
    try:
        yield cache
    finally:
        cache.close()


@contextmanager
def another(url: str) -> Iterator[Other]:
    other = Other(url)
    try:
        yield other
    finally:
        other.end()


def test_what_one_process_sets_another_finds(url: str) -> None:
    with a_cache(url) as cache, another(url) as other:
        cache.set("it", {"a": [1, 2]})
        found = other.asks("get", "it")
        other.asks("set", "back", 7)

        assert found == {"a": [1, 2]}
        assert cache.get("back") == 7


@pytest.mark.parametrize(
    ("change", "then"),
    [
        (("set", "article:1", "new"), "new"),
        (("delete", "article:1"), None),
        (("delete_pattern", "article:*"), None),
        (("delete_tagged", "articles"), None),
        (("clear",), None),
    ],
    ids=str,
)
def test_the_memory_forgets_within_a_second_what_another_process_changed(
    url: str, change: tuple[str, ...], then: object
) -> None:
    with a_cache(url) as cache, another(url) as other:
        cache.set("article:1", "old", tags=("articles",))
        assert [cache.get("article:1") for _ in range(3)] == ["old"] * 3
        eventually(lambda: _is_in_memory(cache, "article:1"))
        began = time.monotonic()
        other.asks(*change)
        eventually(lambda: cache.get("article:1") == then)
        took = time.monotonic() - began

        assert took < 1
        assert cache.statistics().invalidated >= 1


def test_a_change_by_hand_and_a_flush_are_noticed_too(url: str) -> None:
    with a_cache(url) as cache, redis.Redis.from_url(url) as by_hand:
        for change in (lambda: by_hand.delete("cache:it"), by_hand.flushall):
            cache.set("it", 1)
            eventually(lambda: cache.get("it") == 1 and _is_in_memory(cache, "it"))
            change()
            eventually(lambda: cache.get("it") is None)


def test_of_two_processes_one_makes_the_value(url: str) -> None:
    with a_cache(url) as cache, another(url) as other:
        told: list[Any] = []
        asking = threading.Thread(target=lambda: told.append(other.asks("get_or_set", "it")))
        asking.start()
        with redis.Redis.from_url(url) as by_hand:
            eventually(lambda: by_hand.exists("cache-lock:it"))
        mine = cache.get_or_set("it", lambda: {"made by": "me"})
        asking.join()

        assert mine == told[0] == {"made by": "the other"}
        assert cache.statistics().computed == 0
        assert other.asks("computed") == 1


def test_a_maker_that_died_holds_nobody_up_for_long(url: str) -> None:
    with a_cache(url, wait_seconds=0.3) as cache, redis.Redis.from_url(url) as by_hand:
        by_hand.set("cache-lock:it", "of one that died")

        assert cache.get_or_set("it", lambda: 7) == 7


def test_a_pattern_and_a_tag_delete_in_redis_what_they_name_and_count_it(url: str) -> None:
    with a_cache(url) as cache, redis.Redis.from_url(url) as by_hand:
        by_hand.set("not ours:1", 1)
        for number in range(1_200):
            cache.set(f"many:{number}", number, tags=("all",) if number < 3 else ())
        cache.set("many[0-9]:1", 1)

        assert cache.delete_pattern("many[0-9]:*") == 1
        assert cache.delete_tagged("all") == 3
        assert cache.delete_pattern("many:*") == 1_197
        assert by_hand.keys("cache*") == []
        assert by_hand.exists("not ours:1")


def test_a_tag_does_not_count_what_was_deleted_before(url: str) -> None:
    with a_cache(url) as cache:
        for name in ("kept", "gone"):
            cache.set(name, 1, tags=("some",))
        assert cache.delete("gone")

        assert cache.delete_tagged("some") == 1
        assert cache.delete_tagged("some") == 0


def test_expired_entries_leave_redis_by_themselves(url: str) -> None:
    with a_cache(url) as cache, redis.Redis.from_url(url) as by_hand:
        cache.set("it", 1, 0.05)
        eventually(lambda: by_hand.exists("cache:it") == 0)

        assert cache.get("it") is None


def test_what_somebody_else_put_into_redis_is_never_run(url: str, tmp_path: Path) -> None:
    class Mischief:
        @override
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "done"),)

    evil = pickle.dumps(Mischief())
    with a_cache(url, secret="ours") as cache, redis.Redis.from_url(url) as by_hand:
        until = f"|{time.time():.3f}|{time.time() + 60:.3f}||".encode()
        for number, content in enumerate([evil, b"1" + until + evil, b"1" + until + b"p" + evil]):
            by_hand.set(f"cache:{number}", content)
            assert cache.get(str(number), "nothing") == "nothing"
            assert cache.get_or_set(str(number), lambda: 7) == 7

    assert not (tmp_path / "done").exists()


def test_redis_may_die_in_mid_traffic_and_come_back() -> None:
    with running_redis() as server, a_cache(server.url) as cache:
        errors: list[BaseException] = []
        stop = threading.Event()

        def traffic(name: str) -> None:
            number = 0
            while not stop.is_set():
                number += 1
                try:
                    cache.set(f"{name}:{number % 50}", number)
                    cache.get(f"{name}:{(number + 7) % 50}")
                    cache.get_or_set(f"both:{number % 50}", lambda: 1)
                    cache.delete(f"{name}:{number % 13}")
                except BaseException as error:  # noqa: BLE001 - that there is none is the test
                    errors.append(error)

        async def asked() -> None:
            while not stop.is_set():
                await cache.aget_or_set("async", _seven)
                await asyncio.sleep(0.001)

        threads = [threading.Thread(target=traffic, args=(name,)) for name in "ab"]
        threads.append(threading.Thread(target=lambda: asyncio.run(asked())))
        for thread in threads:
            thread.start()
        try:
            eventually(lambda: cache.statistics().computed > 20)
            server.kill()
            eventually(lambda: cache.check() == "warn")
            cache.set("while away", 1)
            while_away = cache.get("while away")
            server.start()
            eventually(lambda: cache.check() == "pass")
        finally:
            stop.set()
            for thread in threads:
                thread.join()

        assert errors == []
        assert while_away == 1
        cache.set("it", 2)
        with redis.Redis.from_url(server.url) as by_hand:
            assert by_hand.exists("cache:it")


def test_an_old_value_does_not_come_back_with_redis(url: str, server: RedisServer) -> None:
    """Redis may have been alive all the time, only not for us."""
    with a_cache(url) as cache:
        for name in ("overwritten", "deleted", "of:pattern", "tagged"):
            cache.set(name, "old", tags=("some",) if name == "tagged" else ())
        shared: Any = cache._shared
        shared._is_up = False

        cache.set("overwritten", "new")
        cache.delete("deleted")
        cache.delete_pattern("of:*")
        cache.delete_tagged("some")
        while_away = cache.get("overwritten")
        eventually(lambda: cache.check() == "pass")

        assert while_away == "new"
        names = ("overwritten", "deleted", "of:pattern", "tagged")
        assert "old" not in [cache.get(name) for name in names]


def test_a_redis_that_never_was_costs_nothing_but_itself() -> None:
    cache = Cache("redis://127.0.0.1:1/0", timeout_seconds=0.1)

    assert cache.get_or_set("it", lambda: 7) == 7
    assert cache.get("it") == 7
    assert cache.delete_pattern("*") == 1
    assert cache.check() == "warn"
    cache.close()
    cache.set("after", 1)
    assert cache.get("after") == 1


def test_a_redis_that_is_silent_is_waited_for_once(server: RedisServer) -> None:
    with running_redis() as silent:
        cache = Cache(silent.url, timeout_seconds=0.2)
        cache.set("it", 1)
        os.kill(silent.pid, 19)
        try:
            began = time.monotonic()
            for number in range(50):
                cache.set(f"it:{number}", number)
                cache.get(f"it:{number}")
            took = time.monotonic() - began
        finally:
            os.kill(silent.pid, 18)
        cache.close()

    # A hundred time-outs would be twenty seconds.
    assert took < 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_connections_of_its_own(url: str) -> None:
    asked = (
        "import os, sys\n"
        "from mainstay.cache import Cache\n"
        "cache = Cache(sys.argv[1], timeout_seconds=20)\n"
        "cache.set('it', 'parent')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    assert cache.get('it') == 'parent'\n"
        "    cache.set('it', 'child')\n"
        "    cache.close()\n"
        "    os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "while cache.get('it') != 'child': pass\n"
        "cache.close()\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", asked, url],
        cwd=Path(mainstay.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")


def _is_in_memory(cache: Cache, key: str) -> bool:
    return cache._memory.find(key, now=time.time()) is not None


async def _seven() -> int:
    await asyncio.sleep(0.001)
    return 7
