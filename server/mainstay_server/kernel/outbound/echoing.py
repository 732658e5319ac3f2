"""Ping: ICMP echo by an unprivileged socket, a raw one, or the system's own program."""

import asyncio
import os
import re
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field

from mainstay_server.kernel.outbound.dialing import timed
from mainstay_server.kernel.outbound.errors import OutboundError
from mainstay_server.kernel.outbound.network import resolve

SECONDS_BETWEEN = 0.2
REQUEST = {socket.AF_INET: 8, socket.AF_INET6: 128}
REPLY = {socket.AF_INET: 0, socket.AF_INET6: 129}
PROTOCOL = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}
MOST_PACKET_BYTES = 2_048
MOST_OUTPUT_BYTES = 64 * 1024
IP_VERSION_4 = 4
PROGRAM = "ping"
SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_TIME = re.compile(r"time[=<]([0-9.]+) ?ms")


@dataclass(frozen=True, kw_only=True)
class Echoes:
    """What came back of some packets: how long each took, in milliseconds."""

    address: str
    sent: int
    times_ms: list[float] = field(default_factory=list)
    resolve_ms: float = 0.0


async def ping(host: str, *, count: int, timeout_seconds: float) -> Echoes:
    """Send some packets, a fifth of a second apart, and wait for those that come back.

    Raises `OutboundError`: `own_limit` when this machine may not send ICMP at all, of kind timeout
    when none came back.
    """
    async with timed(host, timeout_seconds + SECONDS_BETWEEN) as (way, watch):
        found = await resolve(host, 0, resolver=way.resolver, allow_private=way.allow_private)
        family, address = found[0]
        watch.resolved = time.monotonic()
        watch.doing = "waiting for an echo"
        left = timeout_seconds - (watch.resolved - watch.started)
        ours = _open(family)
        if ours is None:
            times = await _by_program(str(address[0]), count=count, timeout_seconds=left)
        else:
            with ours:
                ours.settimeout(0)  # as asyncio wants it
                times = await _by_socket(ours, family, address, count=count, seconds=left)
    if not times:
        raise OutboundError("timeout", f"{host} sent no echo in time; check its firewall.")
    return Echoes(
        address=str(address[0]),
        sent=count,
        times_ms=times,
        resolve_ms=(watch.resolved - watch.started) * 1000,
    )


def _open(family: socket.AddressFamily) -> socket.socket | None:
    """A socket for ICMP: Linux lets groups have one without rights (ping_group_range)."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        with suppress(OSError):
            return socket.socket(family, kind, PROTOCOL[family])
    return None


async def _by_socket(
    ours: socket.socket,
    family: socket.AddressFamily,
    address: tuple[object, ...],
    *,
    count: int,
    seconds: float,
) -> list[float]:
    try:
        ours.connect(address)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise OutboundError("connect", f"It is not reachable ({why}).") from None
    # A raw socket hears the echoes of everybody: ours hold what nobody else knows.
    mark, sent, times = os.urandom(16), dict[int, float](), dict[int, float]()
    hearing = asyncio.create_task(_hear(ours, family, mark, count, (sent, times)))
    until = time.monotonic() + seconds
    try:
        for number in range(count):
            sent[number] = time.monotonic()
            await _send(ours, _packet(family, number, mark))
            pause = min(SECONDS_BETWEEN, until - time.monotonic())
            await asyncio.wait({hearing}, timeout=max(pause, 0.0))
        await asyncio.wait({hearing}, timeout=max(until - time.monotonic(), 0.0))
    finally:
        hearing.cancel()
    return [times[number] for number in sorted(times)]


async def _send(ours: socket.socket, packet: bytes) -> None:
    try:
        await asyncio.get_running_loop().sock_sendall(ours, packet)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise OutboundError("connect", f"It is not reachable ({why}).") from None


async def _hear(
    ours: socket.socket,
    family: socket.AddressFamily,
    mark: bytes,
    count: int,
    seen: tuple[dict[int, float], dict[int, float]],
) -> None:
    sent, times = seen
    while len(times) < count:
        try:
            packet = await asyncio.get_running_loop().sock_recv(ours, MOST_PACKET_BYTES)
        except OSError:
            return
        if family == socket.AF_INET and packet[:1] and packet[0] >> 4 == IP_VERSION_4:
            packet = packet[(packet[0] & 0x0F) * 4 :]  # a raw socket shows the IP header too
        if len(packet) >= 8 + len(mark) and packet[0] == REPLY[family] and packet[8:24] == mark:
            number = int.from_bytes(packet[6:8], "big")
            if number in sent and number not in times:
                times[number] = (time.monotonic() - sent[number]) * 1000


def _packet(family: socket.AddressFamily, number: int, mark: bytes) -> bytes:
    """An echo request of RFC 792 or RFC 4443; the checksum of the latter is the system's."""
    code, identity = REQUEST[family], os.getpid() & 0xFFFF
    bare = struct.pack("!BBHHH", code, 0, 0, identity, number) + mark
    if family == socket.AF_INET6:
        return bare
    return struct.pack("!BBHHH", code, 0, _checksum(bare), identity, number) + mark


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)


async def _by_program(address: str, *, count: int, timeout_seconds: float) -> list[float]:
    """Let the system's ping do it, which may have the right that we lack."""
    try:
        running = await asyncio.create_subprocess_exec(
            *(PROGRAM, "-n", "-c", str(count), "-i", str(SECONDS_BETWEEN)),
            *("-W", str(max(int(timeout_seconds), 1)), address),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PATH": SEARCH_PATH, "LC_ALL": "C"},
        )
    except OSError:
        raise _may_not() from None
    assert running.stdout is not None, "it was started with a pipe"
    try:
        async with asyncio.timeout(timeout_seconds):
            said = (await running.stdout.read(MOST_OUTPUT_BYTES)).decode("ascii", "replace")
            code = await running.wait()
    except TimeoutError:
        return []
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    times = [float(found) for found in _TIME.findall(said)]
    if not times and code > 1:  # 1: nothing came back; 2: it could not even ask
        raise _may_not()
    return times


def _may_not() -> OutboundError:
    return OutboundError(
        "blocked",
        "This machine may not send ICMP: allow this group in net.ipv4.ping_group_range, or install"
        " ping",
        own_limit=True,
    )
