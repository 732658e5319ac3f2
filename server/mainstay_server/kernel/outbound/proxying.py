"""A way out for one program of another maker, such as a browser: a proxy that checks addresses.

It listens on loopback, for whoever knows its password, and connects to nothing that a call of ours
could not reach. It passes bytes on; what is said over TLS stays between the two ends.
"""

import asyncio
import base64
import contextlib
import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from mainstay_server.kernel.outbound.errors import OutboundError
from mainstay_server.kernel.outbound.gate import gate
from mainstay_server.kernel.outbound.network import connect

USER = "mainstay"
MOST_HEAD_BYTES = 64 * 1024
MOST_CONNECTIONS = 100
HEAD_SECONDS = 30.0
CONNECT_SECONDS = 15.0
CHUNK_BYTES = 64 * 1024
HOP_BY_HOP = ("proxy-", "connection:", "keep-alive:")
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class Way:
    """Where the proxy is, and what opens it."""

    url: str
    user: str
    password: str


@asynccontextmanager
async def proxied() -> AsyncIterator[Way]:
    """Hold a proxy open for the time of the block; its connections end with it."""
    password = secrets.token_urlsafe(24)
    proxy = _Proxy(password)
    server = await asyncio.start_server(
        proxy.serve, "127.0.0.1", 0, limit=MOST_HEAD_BYTES, backlog=MOST_CONNECTIONS
    )
    try:
        host, port = server.sockets[0].getsockname()[:2]
        yield Way(url=f"http://{host}:{port}", user=USER, password=password)
    finally:
        server.close()
        await proxy.end()


class _Proxy:
    def __init__(self, password: str) -> None:
        pair = base64.b64encode(f"{USER}:{password}".encode()).decode()
        self._opened_by = f"basic {pair}"
        self._open: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on, until either end has enough."""
        task = asyncio.current_task()
        assert task is not None, "servers run their callbacks as tasks"
        if len(self._open) >= MOST_CONNECTIONS:
            writer.transport.abort()
            return
        self._open.add(task)
        try:
            await self._pass_on(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            pass  # either end hung up, or never said what it wants
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def end(self) -> None:
        """Cut every connection."""
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(HEAD_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        asked = _read(head.decode("latin-1"))
        if asked is None:
            await _refuse(writer, "400 Bad Request", "This is a proxy for HTTP.")
            return
        if not hmac.compare_digest(asked.authorization.lower(), self._opened_by.lower()):
            await _refuse(writer, "407 Proxy Authentication Required", "Say who you are.")
            return
        try:
            way = gate()
            connection = await connect(
                asked.host,
                asked.port,
                resolver=way.resolver,
                allow_private=way.allow_private,
                timeout_seconds=CONNECT_SECONDS,
            )
        except OutboundError as error:
            status = "403 Forbidden" if error.kind == "blocked" else "502 Bad Gateway"
            await _refuse(writer, status, error.reason)
            return
        there, out = await asyncio.open_connection(sock=connection)
        try:
            if asked.first:
                out.write(asked.first)
            else:
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            await asyncio.gather(_copy(reader, out), _copy(there, writer))
        finally:
            out.transport.abort()


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """Where to connect, and what goes there first: nothing, or the head of a plain request."""

    host: str
    port: int
    authorization: str
    first: bytes = b""


def _read(head: str) -> _Asked | None:
    lines = head.split("\r\n")
    method, _, rest = lines[0].partition(" ")
    target = rest.partition(" ")[0]
    fields = [line for line in lines[1:] if line]
    authorization = next(
        (f.partition(":")[2].strip() for f in fields if f.lower().startswith("proxy-auth")), ""
    )
    with contextlib.suppress(ValueError):
        if method == "CONNECT":
            parts = urlsplit(f"//{target}")
            if parts.hostname and parts.port:
                return _Asked(host=parts.hostname, port=parts.port, authorization=authorization)
        parts = urlsplit(target)
        if parts.scheme == "http" and parts.hostname:
            path = target.partition("//")[2].partition("/")[2]
            kept = [f for f in fields if not f.lower().startswith(HOP_BY_HOP)]
            first = "\r\n".join([f"{method} /{path} HTTP/1.1", *kept, "Connection: close", "", ""])
            return _Asked(
                host=parts.hostname,
                port=parts.port or DEFAULT_PORTS[parts.scheme],
                authorization=authorization,
                first=first.encode("latin-1"),
            )
    return None


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Pass on what comes until it ends, then tell the other end that no more will come."""
    while chunk := await source.read(CHUNK_BYTES):
        sink.write(chunk)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()


async def _refuse(writer: asyncio.StreamWriter, status: str, why: str) -> None:
    body = why.encode()
    authenticate = "Proxy-Authenticate: Basic realm=mainstay\r\n" if status[:3] == "407" else ""
    writer.write(
        f"HTTP/1.1 {status}\r\n{authenticate}Content-Type: text/plain\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
    )
    writer.write(body)
    await writer.drain()
