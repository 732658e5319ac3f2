"""Redis comes back key for key, into a server that runs, and a broken snapshot is named."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from mainstay_server.areas.backups.providers import redis as engine
from mainstay_server.areas.backups.schemas import (
    DumpFailed,
    EngineFailed,
    RestoreFailed,
    Versions,
    compare,
)
from mainstay_server.kernel.problems import Conflict, Invalid
from redis import Redis
from tests.areas.backups.worlds import back_up, drill, restore, shared_folder, with_flipped_bit
from tests.servers.redis import RedisServer, running_redis

pytestmark = pytest.mark.slow
PASSWORD = "a-password-that-nobody-may-see"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis() as running:
        yield running


@pytest.fixture
def client(server: RedisServer) -> Iterator[Redis]:
    """Empty, then one of each kind, with and without an end, in two databases."""
    with Redis(port=server.port) as there:
        there.flushall()
        for number in range(3000):
            there.set(f"text {number}", f"value {number}", ex=1000 if number % 3 == 0 else None)
        there.rpush("list", *range(500))
        there.sadd("set", *range(700))
        there.zadd("ranks", {f"member {i}": i / 7 for i in range(300)})
        there.hset("hash", mapping={f"field {i}": i for i in range(600)})
        there.xadd("stream", {"a": 1})
        there.xgroup_create("stream", "readers")
        there.pfadd("counted", *range(1000))
        there.set(b"\xff\x00 bytes", b"\x00" * 3000)
        there.function_load("#!lua name=lib\nredis.register_function('f', function() return 1 end)")
        with Redis(port=server.port, db=7) as other:
            other.set("elsewhere", 1)
        yield there
        there.function_flush()


@pytest.fixture
def config(server: RedisServer) -> dict[str, Any]:
    return engine.checked({"url": server.url})


def everything(port: int) -> dict[tuple[int, bytes], tuple[Any, Any]]:
    """Each key as Redis itself writes it down, or without order where it has none; and its end."""
    found = {}
    for number in (0, 7):
        with Redis(port=port, db=number) as there:
            for key in there.scan_iter(count=1000):
                kind = there.type(key)
                content: Any = there.dump(key)
                if kind in {b"set", b"hash"}:  # kept in another order by another process
                    content = there.smembers(key) if kind == b"set" else there.hgetall(key)
                found[number, key] = (content, there.execute_command("PEXPIRETIME", key))
    return found


def test_a_flushed_server_comes_back_key_for_key(
    client: Redis, config: dict[str, Any], server: RedisServer
) -> None:
    before = everything(server.port)
    with shared_folder() as folder:
        taken = back_up(engine, config, folder)
        client.flushall()
        client.function_flush()
        restore(engine, config, taken, folder)
        after = engine.fingerprints(config, folder=folder)

    assert everything(server.port) == before
    assert len(before) == 3008
    assert client.fcall("f", 0) == 1
    assert [each.name for each in taken.fingerprints] == ["(content)", "db0", "db7"]
    assert compare(taken.fingerprints, after) == []


def test_writers_during_the_dump_cause_no_false_alarm(
    client: Redis, config: dict[str, Any], server: RedisServer
) -> None:
    enough = threading.Event()

    def write() -> None:
        with Redis(port=server.port) as there:
            number = 0
            while not enough.is_set():
                number += 1
                there.set(f"new {number}", number, px=50 + number % 50)
                there.incr("counter")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with shared_folder() as folder:
            for _ in range(3):
                taken = back_up(engine, config, folder)
                assert drill(engine, taken, folder) == []
    finally:
        enough.set()
        writer.join()


def test_a_broken_snapshot_is_named(client: Redis, config: dict[str, Any]) -> None:
    with shared_folder() as folder:
        taken = back_up(engine, config, folder)
        whole = taken.dump
        broken = [with_flipped_bit(whole, b"value 1234"), whole[:-1], whole[: len(whole) // 2], b""]
        for dump in broken:
            taken.dump = dump
            with pytest.raises(RestoreFailed, match="cannot be loaded"):
                drill(engine, taken, folder)


def test_a_target_that_holds_functions_alone_is_refused_and_emptied(
    client: Redis, config: dict[str, Any]
) -> None:
    client.flushall()
    client.function_load("#!lua name=mine\nredis.register_function('one', function() return 1 end)")
    versions = engine.find_versions(config)

    with pytest.raises(Conflict, match="it has functions") as refused:
        engine.check_restore(config, versions)
    assert refused.value.code == "target-not-empty"
    engine.empty(config)

    engine.check_restore(config, versions)


def test_a_target_that_holds_a_key_or_is_older_is_refused(
    client: Redis, config: dict[str, Any]
) -> None:
    with shared_folder() as folder:
        taken = back_up(engine, config, folder)
        with pytest.raises(Conflict, match=r"there are keys in db0") as full:
            restore(engine, config, taken, folder)
    with pytest.raises(Conflict, match=r"into version 99\.1\.0 or later") as older:
        engine.check_restore(config, Versions(server="99.1.0", tools="99.1.0"))

    assert (full.value.code, older.value.code) == ("target-not-empty", "target-older")


def test_a_user_who_may_hardly_anything_suffices(
    client: Redis, config: dict[str, Any], server: RedisServer
) -> None:
    client.acl_setuser(
        "keeper", enabled=True, passwords=[f"+{PASSWORD}"], commands=["+sync", "+info"]
    )
    url = f"redis://keeper:{PASSWORD}@127.0.0.1:{server.port}"
    with shared_folder() as folder:
        taken = back_up(engine, engine.checked({"url": url}), folder)
        assert drill(engine, taken, folder) == []
        wrong = engine.checked({"url": url.replace(PASSWORD, PASSWORD + "x")})
        with pytest.raises(DumpFailed) as failure:
            back_up(engine, wrong, folder)

    assert "WRONGPASS" in str(failure.value) or "invalid username" in str(failure.value)
    assert PASSWORD not in str(failure.value)
    assert PASSWORD not in engine.shown(wrong)


def test_a_server_that_is_away_is_an_honest_failure(tmp_path: Path) -> None:
    gone = engine.checked({"url": "redis://127.0.0.1:1"})
    with pytest.raises(DumpFailed, match="gave no snapshot"):
        back_up(engine, gone, tmp_path)
    with pytest.raises(EngineFailed, match=r"127\.0\.0\.1:1 says"):
        engine.check_restore(gone, Versions(server="7.0", tools="7.0"))


@pytest.mark.parametrize("url", ["", "http://h", "redis://", "redis://h:port", "redis://:p@:1"])
def test_an_address_that_makes_no_sense_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="must be redis://"):
        engine.checked({"url": url})


def test_no_scratch_server_stays(client: Redis, config: dict[str, Any]) -> None:
    with shared_folder() as folder:
        taken = back_up(engine, config, folder)
        others = set(psutil.Process().children())
        with engine.scratch(taken.versions, folder=folder) as scratch:
            (mine,) = set(psutil.Process().children()) - others
            assert Path(scratch["scratch"]).stat().st_mode & 0o077 == 0
        assert not mine.is_running()


@pytest.mark.parametrize("answer", [b"$-1\r\n", b"$EOF:abc\r\n", b"+hello\r\n", b"$1e9\r\n"])
def test_whoever_answers_may_not_send_without_an_end(tmp_path: Path, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, (tmp_path / "rdb").open("wb") as file:
        strange = threading.Thread(target=send_much, args=(listening, answer))
        strange.start()
        port = listening.getsockname()[1]
        with pytest.raises(DumpFailed):
            engine._receive_snapshot(engine.checked({"url": f"redis://127.0.0.1:{port}"}), file)
        strange.join()
    assert (tmp_path / "rdb").stat().st_size == 0


def send_much(listening: socket.socket, answer: bytes) -> None:
    connection, _ = listening.accept()
    with connection, suppress(OSError):
        connection.sendall(answer + bytes(8 << 20))
