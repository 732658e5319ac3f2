"""Connections: who takes too much of the server's time, memory or sockets is let go."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import pytest
import uvicorn
import uvloop
from mainstay_server.app.connections import Crowd
from mainstay_server.app.http_protocol import LimitedProtocol, Patience
from mainstay_server.app.http_server import HttpServer
from mainstay_server.kernel.web import begin_streaming
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

pytestmark = pytest.mark.slow

MIB = 1 << 20
ENOUGH_SECONDS = 60  # only a server that never lets go takes so long
GET = b"GET /well HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Test = Callable[["Running"], Awaitable[None]]


class Running:
    """A server of the real kind with an app that echoes; `/deaf` answers before it has read."""

    def __init__(self, port: int, server: HttpServer) -> None:
        self.port = port
        self.crowd = server.server_state
        self.writers: list[asyncio.StreamWriter] = []

    async def connect(self, first: bytes = b"") -> Streams:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        writer.write(first)
        await writer.drain()
        return reader, writer

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        reader, writer = await self.connect(request)
        answer = await answered(reader)
        writer.close()
        return answer


async def answered(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    async with asyncio.timeout(ENOUGH_SECONDS):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, _, rest = head.strip().partition("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in rest.split("\r\n"))
        body = await reader.readexactly(int(headers["content-length"]))
    return int(first.split()[1]), headers, body


async def closed(reader: asyncio.StreamReader) -> bytes:
    """What came until the server closed the connection."""
    async with asyncio.timeout(ENOUGH_SECONDS):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(ENOUGH_SECONDS):
        while not happened():  # noqa: ASYNC110 - the server has no event to wait for
            await asyncio.sleep(0.02)


async def trickle(writer: asyncio.StreamWriter, piece: bytes) -> None:
    """Send a little again and again, until the connection ends."""
    while True:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.1)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    answer: Response
    if request.url.path == "/deaf":
        answer = PlainTextResponse("no")
    elif request.url.path == "/large":
        answer = Response(bytes(64 * MIB))
    elif request.url.path == "/streamed":
        begin_streaming(scope)
        answer = PlainTextResponse(str(sum([len(piece) async for piece in request.stream()])))
    else:
        try:
            answer = PlainTextResponse(str(len(await request.body())))
        except ClientDisconnect:
            return
    await answer(scope, receive, send)


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def run(test: Test, *, patience: Patience, **limits: Any) -> None:
        monkeypatch.setattr(LimitedProtocol, "patience", patience)
        uvloop.run(_serve(test, limits))

    return run


async def _serve(test: Test, limits: dict[str, Any]) -> None:
    options = {"most": 1000, "proxies": "127.0.0.1", "most_arriving_bytes": 64 * MIB, **limits}
    config = uvicorn.Config(echo, http=LimitedProtocol, ws="none", lifespan="off", log_config=None)
    server = HttpServer(config, Crowd(**options))
    with closing(socket.create_server(("127.0.0.1", 0), backlog=2048)) as listening:
        running = asyncio.create_task(server.serve(sockets=[listening]))
        clients = Running(listening.getsockname()[1], server)
        try:
            await test(clients)
        finally:
            for end in (*clients.writers, *server.server_state.connections):
                end.transport.abort()
            server.should_exit = True
            await running


SHORT = Patience(head=1, head_when_crowded=1, body=1, body_bytes=1000, rest=1, answer=1)
LONG = Patience(head=600, body=600, rest=600, answer=600)


def test_who_connects_and_says_nothing_is_let_go(serving: Callable[..., None]) -> None:
    async def test(server: Running) -> None:
        reader, writer = await server.connect()
        assert await closed(reader) == b""
        writer.close()
        assert server.crowd.figures.ended == {"head": 1}

    serving(test, patience=SHORT)


def test_half_a_head_is_answered_with_408(serving: Callable[..., None]) -> None:
    async def test(server: Running) -> None:
        reader, writer = await server.connect(GET[:-2])
        status, _, body = await answered(reader)
        assert (status, json.loads(body)["code"]) == (408, "request-timeout")
        assert await closed(reader) == b""
        writer.close()

    serving(test, patience=SHORT)


@pytest.mark.parametrize("piece", [b"X-More: 1\r\n", b"\r\n"], ids=["headers", "empty lines"])
def test_a_head_that_never_ends_is_let_go(serving: Callable[..., None], piece: bytes) -> None:
    first = b"" if piece == b"\r\n" else b"GET / HTTP/1.1\r\n"

    async def test(server: Running) -> None:
        reader, writer = await server.connect(first)
        dripping = asyncio.create_task(trickle(writer, piece))
        await closed(reader)
        dripping.cancel()
        writer.close()
        assert server.crowd.figures.ended == {"head": 1}

    serving(test, patience=SHORT)


def test_a_second_head_has_the_same_time_as_the_first(serving: Callable[..., None]) -> None:
    async def test(server: Running) -> None:
        reader, writer = await server.connect(GET)
        assert (await answered(reader))[0] == 200
        writer.write(b"GET / HTTP/1.1\r\nX-More: ")
        dripping = asyncio.create_task(trickle(writer, b"X"))
        await closed(reader)
        dripping.cancel()
        writer.close()
        assert server.crowd.figures.ended == {"head": 1}

    serving(test, patience=SHORT)


def test_a_body_that_does_not_come_is_answered_with_408_as_a_problem(
    serving: Callable[..., None],
) -> None:
    async def test(server: Running) -> None:
        reader, writer = await server.connect(POST % 100 + b"half")
        status, headers, body = await answered(reader)
        assert status == 408
        assert headers["content-type"] == "application/problem+json"
        assert headers["connection"] == "close"
        problem = json.loads(body)
        assert (problem["code"], problem["instance"]) == ("request-timeout", "/echo")
        assert await closed(reader) == b""
        writer.close()
        assert server.crowd.arriving_bytes == 0

    serving(test, patience=SHORT)


def test_a_body_that_keeps_coming_has_all_the_time_that_it_needs(
    serving: Callable[..., None],
) -> None:
    async def test(server: Running) -> None:
        reader, writer = await server.connect(POST % 40_000)
        for _ in range(40):  # four seconds at ten times the least speed
            writer.write(bytes(1000))
            await writer.drain()
            await asyncio.sleep(0.1)
        assert (await answered(reader))[::2] == (200, b"40000")
        writer.close()

    serving(test, patience=SHORT)


def test_what_follows_an_early_answer_ends_soon(serving: Callable[..., None]) -> None:
    async def test(server: Running) -> None:
        reader, writer = await server.connect((POST % 1_000_000).replace(b"echo", b"deaf"))
        assert (await answered(reader))[0] == 200
        dripping = asyncio.create_task(trickle(writer, bytes(100)))
        assert await closed(reader) == b""
        dripping.cancel()
        writer.close()

    serving(test, patience=Patience(head=600, body=600, rest=1))


def test_who_does_not_read_the_answer_is_let_go(serving: Callable[..., None]) -> None:
    async def test(server: Running) -> None:
        _, writer = await server.connect(GET.replace(b"/well", b"/large"))
        await until(lambda: server.crowd.figures.ended == {"answer": 1})
        writer.close()

    serving(test, patience=SHORT)


def test_who_reads_the_answer_too_slowly_is_let_go_though_some_of_it_moves(
    serving: Callable[..., None],
) -> None:
    async def test(server: Running) -> None:
        reader, writer = await server.connect(GET.replace(b"/well", b"/large"))

        async def sip() -> None:
            for _ in range(1024):
                await reader.read(65_536)
                await asyncio.sleep(0.1)

        sipping = asyncio.create_task(sip())
        await until(lambda: server.crowd.figures.ended == {"answer": 1})
        sipping.cancel()
        writer.close()

    serving(test, patience=Patience(head=600, body=600, answer=6, answer_bytes=50 * MIB))


def test_who_reads_slowly_but_quicker_than_the_least_gets_it_all(
    serving: Callable[..., None],
) -> None:
    async def test(server: Running) -> None:
        reader, writer = await server.connect(GET.replace(b"/well", b"/large"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"200 OK" in head
        for _ in range(32):
            await reader.readexactly(2 * MIB)
            await asyncio.sleep(0.2)
        assert not server.crowd.figures.ended
        writer.close()

    serving(test, patience=Patience(head=600, body=600, answer=3, answer_bytes=MIB // 64))


def test_a_body_that_goes_on_as_it_comes_may_be_larger_than_what_is_held_of_all(
    serving: Callable[..., None],
) -> None:
    async def test(server: Running) -> None:
        request = POST.replace(b"/echo", b"/streamed") % (4 * MIB) + bytes(4 * MIB)
        assert (await server.ask(request))[::2] == (200, b"%d" % (4 * MIB))
        assert server.crowd.arriving_bytes == 0

    serving(test, patience=LONG, most_arriving_bytes=MIB)


def test_a_connection_between_two_requests_is_kept(serving: Callable[..., None]) -> None:
    async def test(server: Running) -> None:
        reader, writer = await server.connect(GET)
        assert (await answered(reader))[0] == 200
        await asyncio.sleep(3)
        writer.write(GET)
        assert (await answered(reader))[0] == 200
        writer.close()

    serving(test, patience=SHORT)


def test_one_too_many_is_told_and_far_too_many_are_just_closed(
    serving: Callable[..., None],
) -> None:
    async def test(server: Running) -> None:
        held = [await server.connect(b"GET") for _ in range(100)]
        await until(lambda: len(server.crowd.connections) == 100)
        status, headers, body = await server.ask(GET)
        assert (status, json.loads(body)["code"]) == (503, "connections-full")
        assert headers["retry-after"] == "5"
        assert headers["connection"] == "close"

        more = [await server.connect(b"GET") for _ in range(20)]
        assert sum([not await closed(reader) for reader, _ in more[6:]]) == 14

        for _, writer in (*held, *more):
            writer.close()
        await until(lambda: not server.crowd.connections)
        assert (await server.ask(GET))[0] == 200

    serving(test, patience=LONG, most=100)


def test_when_nearly_all_are_taken_nobody_may_keep_one_unused(
    serving: Callable[..., None],
) -> None:
    async def test(server: Running) -> None:
        for _ in range(5):
            reader, _writer = await server.connect(GET)
            assert (await answered(reader))[0] == 200
        for _ in range(5):
            await server.connect()
        await until(lambda: len(server.crowd.connections) == 8)
        assert not server.crowd.crowded
        assert sum(server.crowd.figures.ended[what] for what in ("idle", "head")) == 2

    serving(test, patience=Patience(head=600, head_when_crowded=0), most=10)


def test_bodies_under_way_are_bounded_together(serving: Callable[..., None]) -> None:
    async def test(server: Running) -> None:
        held = [await server.connect(POST % (2 * MIB) + bytes(MIB)) for _ in range(4)]
        await until(lambda: server.crowd.arriving_bytes == 4 * MIB)
        status, headers, body = await server.ask(POST % MIB + bytes(MIB))
        assert (status, json.loads(body)["code"]) == (429, "bodies-full")
        assert headers["retry-after"] == "5"

        for reader, writer in held:
            writer.write(bytes(MIB // 8))
            writer.close()
            await closed(reader)
        await until(lambda: server.crowd.arriving_bytes == 0)
        assert (await server.ask(POST % MIB + bytes(MIB)))[::2] == (200, b"%d" % MIB)

    serving(test, patience=LONG, most_arriving_bytes=4 * MIB + 1000)
