"""The checks of UDP, ping, time servers and SSH against real ones, and against silence."""

import asyncio
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import asyncssh
import pytest
from mainstay_server.kernel import outbound
from tests.areas.health_checks.worlds import ask
from tests.servers.packets import packets
from tests.servers.processes import free_port
from tests.servers.talking import talking
from tests.waiting import PATIENCE_SECONDS

EPOCH = 2_208_988_800


@pytest.fixture(autouse=True)
def way_out() -> Iterator[None]:
    outbound.open_outbound(allow_private=True)
    yield
    outbound.close_outbound()


def test_a_packet_that_is_answered_is_healthy() -> None:
    with packets(lambda packet: b"pong:" + packet) as port:
        config = {"host": "127.0.0.1", "port": port, "send": "\\x01ping"}
        right = ask("udp", config | {"expect": "pong:\\x01"})
        wrong = ask("udp", config | {"expect": "pang"})

    assert (right.state, right.values["BODY"]) == ("healthy", b"pong:\x01ping")
    assert wrong.reason == "said 'pong: ping', not 'pang'"


def test_a_packet_that_is_not_answered_is_down() -> None:
    with packets(lambda _: None) as port:
        silent = ask("udp", {"host": "127.0.0.1", "port": port, "send": "x"}, timeout_seconds=1)
    closed = ask("udp", {"host": "127.0.0.1", "port": free_port(), "send": "x"})

    assert silent.reason == "no answer within 1 s"
    assert closed.reason == "connection refused"


def test_a_machine_that_is_there_sends_its_echoes() -> None:
    result = ask(
        "icmp",
        {"host": "127.0.0.1", "count": 2},
        conditions=["[LOSS] == 0", "[RESPONSE_TIME] < 5000", "[IP] == 127.0.0.1"],
    )

    assert (result.state, result.reason) == ("healthy", "")
    assert 0 < result.response_ms < 5_000


def test_a_machine_that_is_not_there_is_down() -> None:
    # TEST-NET-3 leads nowhere (RFC 5737).
    result = ask("icmp", {"host": "203.0.113.254", "count": 1}, timeout_seconds=1)

    assert result.state == "unhealthy"
    assert result.reason == "no answer within 1 s" or "unreachable" in result.reason


MAY_NOT = """
import asyncio, os, sys
from mainstay_server.kernel import outbound
from mainstay_server.kernel.outbound import echoing
echoing.SEARCH_PATH = "/nonexistent"
outbound.open_outbound(allow_private=True)
os.setgid(65534); os.setuid(65534)
try:
    asyncio.run(outbound.ping("127.0.0.1", count=1, timeout_seconds=5))
    print("pinged")
except outbound.OutboundError as error:
    print(error.own_limit, error.reason)
"""


def test_a_machine_that_may_not_ping_says_so_and_nothing_of_the_other() -> None:
    first, last = map(int, _read("/proc/sys/net/ipv4/ping_group_range").split())
    said = subprocess.run(
        [sys.executable, "-c", MAY_NOT],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    ).stdout

    if first <= 65534 <= last:
        assert said == "pinged\n"
    else:
        assert said.startswith("True This machine may not send ICMP")


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:  # noqa: PTH123 - not a file of ours
        return file.read()


def a_time(*, ahead_seconds: float = 0.0, stratum: int = 2, leap: int = 0) -> "TimeServer":
    return TimeServer(ahead_seconds, stratum, leap)


class TimeServer:
    """Answers as NTP does, with a clock that may be wrong."""

    def __init__(self, ahead_seconds: float, stratum: int, leap: int) -> None:
        self.ahead_seconds, self.stratum, self.leap = ahead_seconds, stratum, leap

    def __call__(self, packet: bytes) -> bytes:
        now = int((time.time() + self.ahead_seconds + EPOCH) * 2**32)
        head = struct.pack("!BBbb", self.leap << 6 | 0b00_100_100, self.stratum, 6, -20)
        return head + b"\0" * 8 + b"RATE" + b"\0" * 8 + packet[40:48] + struct.pack("!QQ", now, now)


@pytest.mark.parametrize(
    ("server", "state", "reason"),
    [
        (a_time(), "healthy", ""),
        (a_time(ahead_seconds=30), "degraded", "ms from our clock, more than 20000 ms"),
        (a_time(leap=3), "unhealthy", "says that it is not in step itself"),
        (a_time(stratum=0), "unhealthy", "says that it is not in step itself (RATE)"),
        (a_time(stratum=16), "unhealthy", "says that it is not in step itself"),
    ],
)
def test_a_time_server_is_judged_by_its_step_and_its_distance(
    server: TimeServer, state: str, reason: str
) -> None:
    with packets(server) as port:
        result = ask("ntp", {"host": "127.0.0.1", "port": port, "maxOffsetMs": 20_000})

    assert result.state == state
    assert reason in result.reason
    assert result.values["STRATUM"] == server.stratum


def test_a_time_server_that_is_silent_or_talks_nonsense_is_down() -> None:
    with packets(lambda _: None) as port:
        silent = ask("ntp", {"host": "127.0.0.1", "port": port}, timeout_seconds=1)
    with packets(lambda packet: packet) as port:
        nonsense = ask("ntp", {"host": "127.0.0.1", "port": port})

    assert silent.reason == "no answer within 1 s"
    assert nonsense.reason == "answers with something that is no time"


@contextmanager
def running_ssh() -> Iterator[int]:
    """A real SSH server, to which nobody may sign in."""
    loop = asyncio.new_event_loop()
    key = asyncssh.generate_private_key("ssh-ed25519")

    async def begin() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen("127.0.0.1", 0, server_host_keys=[key])

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(begin(), loop).result(PATIENCE_SECONDS)
    try:
        yield server.get_port()
    finally:

        async def end() -> None:
            server.close()
            await server.wait_closed()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), loop).result(PATIENCE_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_SECONDS)
        loop.close()


def test_an_ssh_server_that_exchanges_keys_is_healthy() -> None:
    with running_ssh() as port:
        result = ask(
            "ssh",
            {"host": "127.0.0.1", "port": port, "expect": "AsyncSSH"},
            conditions=["[HOST_KEYS] contains ssh-ed25519"],
        )
        other = ask("ssh", {"host": "127.0.0.1", "port": port, "expect": "OpenSSH"})

    assert (result.state, result.reason) == ("healthy", "")
    assert str(result.values["BANNER"]).startswith("SSH-2.0-AsyncSSH")
    assert other.reason.endswith("not 'OpenSSH'")


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (b"SSH-1.5-old\r\n", "speaks 'SSH-1.5-old', which is older than SSH 2"),
        (b"220 mail\r\n", "does not greet as SSH does"),
        (b"SSH-2.0-x\r\n" + struct.pack("!IBB", 2, 0, 1), "hangs up during the key exchange"),
        (b"SSH-2.0-x\r\n" + b"\xff" * 100, "does not speak SSH"),
    ],
)
def test_what_is_no_ssh_is_down(says: bytes, reason: str) -> None:
    with talking([says * (60 if b"220" in says else 1)]) as port:
        result = ask("ssh", {"host": "127.0.0.1", "port": port})

    assert result.state == "unhealthy"
    assert reason in result.reason


def test_an_ssh_server_that_is_silent_or_away_is_down() -> None:
    with talking([b"SSH-2.0-hangs\r\n"]) as port:
        silent = ask("ssh", {"host": "127.0.0.1", "port": port}, timeout_seconds=1)
    away = ask("ssh", {"host": "127.0.0.1", "port": free_port()})

    assert (silent.reason, away.reason) == ("no answer within 1 s", "connection refused")


@pytest.mark.parametrize("kind", ["udp", "icmp", "ntp", "ssh"])
def test_an_inner_address_is_not_asked_where_that_is_closed(kind: str) -> None:
    outbound.close_outbound()
    outbound.open_outbound(allow_private=False)
    more = {"port": 9, "send": "x"} if kind == "udp" else {}

    assert "may not be reached" in ask(kind, {"host": "127.0.0.1", **more}).reason
