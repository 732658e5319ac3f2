"""Speak any protocol over TCP or UDP: the address check, the deadline, the limits, the timings."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mainstay_server.kernel.outbound.errors import OutboundError
from mainstay_server.kernel.outbound.fetching import Timings
from mainstay_server.kernel.outbound.gate import Gate, gate
from mainstay_server.kernel.outbound.network import (
    READ_BYTES,
    connect,
    cut_off,
    resolve,
    tls_failure,
)
from mainstay_server.kernel.outbound.timing import Stopwatch, stopwatch

MOST_LINE_BYTES = 8_192
MOST_PACKET_BYTES = 65_535


def timings_of(watch: Stopwatch) -> Timings:
    """The steps so far; what came after the connection stood counts as first byte."""
    now = time.monotonic()
    return Timings(
        queued=0.0,
        resolve=(watch.resolved - watch.started) * 1000,
        connect=(watch.connected - watch.resolved) * 1000,
        tls=(watch.secured - watch.connected) * 1000,
        first_byte=(now - watch.secured) * 1000,
        transfer=0.0,
        total=(now - watch.started) * 1000,
    )


@dataclass(kw_only=True)
class Wire:
    """One connection to the address that was checked; what is read from it is bounded.

    `host` is the name that was asked for, `address` where it leads. Everything it does raises
    `OutboundError` for what the other side does.
    """

    host: str
    port: int
    address: str
    reader: asyncio.StreamReader = field(repr=False)
    writer: asyncio.StreamWriter = field(repr=False)
    watch: Stopwatch = field(repr=False)

    async def send(self, data: bytes) -> None:
        """Write it all."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except OSError as error:
            raise cut_off(error) from None

    async def read_some(self, most_bytes: int = READ_BYTES) -> bytes:
        """What comes next, at most so much; empty at the end."""
        try:
            return await self.reader.read(most_bytes)
        except OSError as error:
            raise cut_off(error) from None

    async def read_exactly(self, count: int) -> bytes:
        """So many bytes; fewer is a protocol error."""
        try:
            return await self.reader.readexactly(count)
        except asyncio.IncompleteReadError:
            raise _hung_up(self.host) from None
        except OSError as error:
            raise cut_off(error) from None

    async def read_line(self, most_bytes: int = MOST_LINE_BYTES) -> bytes:
        """One line without its end; one that is longer than allowed is a protocol error."""
        try:
            line = await self.reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            raise _hung_up(self.host) from None
        except asyncio.LimitOverrunError:
            line = b""
        except OSError as error:
            raise cut_off(error) from None
        if not line or len(line) > most_bytes:
            raise OutboundError(
                "protocol", f"{self.host} sends a line without an end; look at what listens there."
            )
        return line.rstrip(b"\r\n")

    async def secure(self, context: ssl.SSLContext, *, server_name: str) -> None:
        """Begin TLS on a connection that has spoken in the clear until now (STARTTLS)."""
        self.watch.doing = "setting up TLS"
        began = time.monotonic()
        # What came in the clear behind the go-ahead would be read as if TLS had protected it.
        if self.reader._buffer:  # type: ignore[attr-defined]  # noqa: SLF001 - nothing public tells
            raise OutboundError(
                "protocol", f"{self.host} sent more before TLS began; look for someone in between."
            )
        try:
            await self.writer.start_tls(context, server_hostname=server_name)
        except BaseException as error:
            failure = tls_failure(error, server_name)
            if failure is None:
                raise
            raise failure from error
        self.watch.secured += time.monotonic() - began
        self.watch.doing = "talking over TLS"

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The TLS session, None in the clear."""
        found: ssl.SSLObject | None = self.writer.get_extra_info("ssl_object")
        return found

    def timings(self) -> Timings:
        """Until now; what came after the connection stood counts as first byte."""
        return timings_of(self.watch)


@asynccontextmanager
async def dial(
    host: str,
    port: int,
    *,
    timeout_seconds: float,
    tls: ssl.SSLContext | None = None,
    server_name: str = "",
    trusted: bool = False,
) -> AsyncIterator[Wire]:
    """Connect to a host, with TLS from the first byte when `tls` is given, and hold it.

    The whole block is over after `timeout_seconds`, and before that waits at most as long for one
    of our own connections. The address is checked as that of any call, and is the one connected
    to: a name that changes its mind gains nothing. `trusted` says that the machine's own settings
    name the host and no tenant does. Raises `OutboundError`, also for the time-out.
    """
    async with timed(host, timeout_seconds) as (way, watch):
        connection = await _connected(way, host, port, trusted=trusted)
        try:
            reader, writer = await asyncio.open_connection(
                sock=connection,
                ssl=tls,
                server_hostname=(server_name or host) if tls else None,
                limit=READ_BYTES,
            )
        except BaseException as error:
            connection.close()
            failure = tls_failure(error, server_name or host)
            if failure is None:
                raise
            raise failure from error
        watch.secured = time.monotonic()
        watch.doing = "waiting for an answer"
        wire = Wire(
            host=host,
            port=port,
            address=watch.remote_address,
            reader=reader,
            writer=writer,
            watch=watch,
        )
        try:
            yield wire
        finally:
            # Not waiting for a polite end: it may never come, and everything was read.
            writer.transport.abort()


@dataclass(frozen=True, kw_only=True)
class Datagrams:
    """A UDP socket that is bound to the one address that was checked."""

    host: str
    address: str
    ours: socket.socket = field(repr=False)
    watch: Stopwatch = field(repr=False)

    def timings(self) -> Timings:
        """Until now."""
        return timings_of(self.watch)

    async def send(self, packet: bytes) -> None:
        """Send one packet."""
        try:
            await asyncio.get_running_loop().sock_sendall(self.ours, packet)
        except OSError as error:
            raise _unreachable(self.host, error) from None

    async def receive(self) -> bytes:
        """The next packet from that address."""
        try:
            return await asyncio.get_running_loop().sock_recv(self.ours, MOST_PACKET_BYTES)
        except OSError as error:
            raise _unreachable(self.host, error) from None


@asynccontextmanager
async def dial_udp(
    host: str, port: int, *, timeout_seconds: float, trusted: bool = False
) -> AsyncIterator[Datagrams]:
    """What `dial` is, for UDP: "connected", so that no other address can answer.

    `trusted` says that the machine's own settings name the host and no tenant does, as they do its
    name servers.
    """
    async with timed(host, timeout_seconds) as (way, watch):
        found = await resolve(
            host,
            port,
            resolver=way.resolver,
            allow_private=way.allow_private or trusted,
        )
        family, address = found[0]
        watch.resolved = watch.connected = watch.secured = time.monotonic()
        watch.remote_address = str(address[0])
        watch.doing = "waiting for an answer"
        with socket.socket(family, socket.SOCK_DGRAM) as ours:
            ours.settimeout(0)  # as asyncio wants it
            try:
                ours.connect(address)
            except OSError as error:
                raise _unreachable(host, error) from None
            yield Datagrams(host=host, address=str(address[0]), ours=ours, watch=watch)


@dataclass(frozen=True, kw_only=True)
class Dialed:
    """A connected, non-blocking socket."""

    ours: socket.socket = field(repr=False)
    address: str
    watch: Stopwatch = field(repr=False)

    def timings(self) -> Timings:
        """Until now."""
        return timings_of(self.watch)


@asynccontextmanager
async def dial_socket(host: str, port: int, *, timeout_seconds: float) -> AsyncIterator[Dialed]:
    """What `dial` is, for a library that takes a connected socket; it is closed at the end."""
    async with timed(host, timeout_seconds) as (way, watch):
        connection = await _connected(way, host, port)
        try:
            yield Dialed(ours=connection, address=watch.remote_address, watch=watch)
        finally:
            connection.close()


@dataclass(frozen=True, kw_only=True)
class Reached:
    """The addresses of a host that may be reached, and how long it takes."""

    addresses: list[str]
    watch: Stopwatch = field(repr=False)

    def timings(self) -> Timings:
        """Until now; connecting counts as first byte, for a library tells no more."""
        return timings_of(self.watch)


@asynccontextmanager
async def reaching(host: str, *, timeout_seconds: float) -> AsyncIterator[Reached]:
    """What `dial` is, for a library that connects by itself: the addresses that may be reached.

    Give it these, never the name: it would look the name up anew.
    """
    async with timed(host, timeout_seconds) as (way, watch):
        found = await resolve(host, 0, resolver=way.resolver, allow_private=way.allow_private)
        watch.doing = "talking to it"
        watch.resolved = watch.connected = watch.secured = time.monotonic()
        yield Reached(addresses=[str(address[0]) for _, address in found], watch=watch)


def tls_context(*protocols: str, verify: bool = True) -> ssl.SSLContext:
    """The context that trusts what the operator trusts, or one that takes any certificate.

    With `protocols` it asks for one of them (ALPN), such as h2.
    """
    if protocols:
        return gate().tls_speaking(*protocols, verify=verify)
    return gate().tls(verify=verify)


def authorities_file() -> str:
    """The path of the authorities that are trusted, for a library that reads them itself."""
    return gate().authorities_file()


@asynccontextmanager
async def timed(host: str, timeout_seconds: float) -> AsyncIterator[tuple[Gate, Stopwatch]]:
    """Hold one of our own connections to the host, for at most so long."""
    way = gate()
    async with way.slots.one_for(host, wait_seconds=timeout_seconds):
        watch = Stopwatch()
        token = stopwatch.set(watch)
        try:
            async with asyncio.timeout(timeout_seconds):
                yield way, watch
        except TimeoutError:
            raise OutboundError(
                "timeout",
                f"{host} took more than {timeout_seconds:g} s (while {watch.doing}); "
                "check its load, or raise the time-out.",
            ) from None
        finally:
            stopwatch.reset(token)


async def _connected(way: Gate, host: str, port: int, *, trusted: bool = False) -> socket.socket:
    return await connect(
        host,
        port,
        resolver=way.resolver,
        allow_private=way.allow_private or trusted,
        timeout_seconds=None,
    )


def _hung_up(host: str) -> OutboundError:
    return OutboundError("protocol", f"{host} hung up before its answer was complete.")


def _unreachable(host: str, error: OSError) -> OutboundError:
    return OutboundError(
        "connect", f"{host} is not reachable ({(error.strerror or str(error)).lower()})."
    )
