"""The door for bytes: signed links are answered here, streaming, before any framework."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from mainstay_server.kernel.area import PlainRoute
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import (
    Invalid,
    MethodNotAllowed,
    Problem,
    TooManyRequests,
    Unavailable,
)
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.web import begin_streaming, send_problem

from .models import StoredObject
from .schemas import operations
from .service import links, transfers
from .service.links import Token, What
from .settings import StorageSettings

PIECE_BYTES = 1 << 20
ALIVE_SECONDS = 60.0
TRY_AGAIN_SECONDS = 5
MOST_ATTEMPTS = 2
METHODS = "GET, HEAD, OPTIONS, PUT"
# A link is all that is asked for, so pages of any origin may use it.
OPEN = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "accept-ranges, content-range, content-length, etag",
}
PREFLIGHT = {
    **OPEN,
    "access-control-allow-methods": METHODS,
    "access-control-allow-headers": "content-type, range, if-range, if-none-match",
    "access-control-max-age": "86400",
}


@dataclass
class _Busy:
    """How many transfers go on in this process, and how many by which link."""

    count: int = 0
    by_link: Counter[str] = field(default_factory=Counter)


_busy = _Busy()


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one signed link; a refusal can be read by pages of any origin, too."""
    method = scope["method"]
    try:
        if method == "OPTIONS":
            await _send_head(send, 204, PREFLIGHT)
            await send({"type": "http.response.body", "body": b""})
            return
        if method not in ("GET", "HEAD", "PUT"):
            raise MethodNotAllowed("A link is fetched with GET or sent to with PUT.")
        token = links.read_token(_link_of(scope), now=utc_now())
        with _entered(token):
            if method == "PUT":
                await _take(token, scope, receive, send)
            else:
                await _give(token, scope, send)
    except Problem as problem:
        headers = {"allow": METHODS} if isinstance(problem, MethodNotAllowed) else {}
        await send_problem(send, problem, path=scope["path"], headers={**OPEN, **headers})


@contextmanager
def _entered(token: Token) -> Iterator[None]:
    """Take one of the places for transfers until the block ends.

    No link takes all of them: whoever has one could else keep everybody out, slowly. Of an upload
    there are two at once, the second for whom the first broke off: each of them takes all of the
    room on the disk that was reserved once.
    """
    most = of(StorageSettings).storage_transfers
    most_of_link = MOST_ATTEMPTS if token.what is What.UPLOAD else max(1, most // 2)
    if _busy.by_link[token.id] >= most_of_link:
        raise TooManyRequests(
            "This link is used by too many at once; try again in a moment.",
            code="link-busy",
            retry_after_seconds=TRY_AGAIN_SECONDS,
        )
    if _busy.count >= most:
        raise TooManyRequests(
            "Too many transfers go on at once; try again in a moment.",
            code="transfers-full",
            retry_after_seconds=TRY_AGAIN_SECONDS,
        )
    _busy.count += 1
    _busy.by_link[token.id] += 1
    try:
        yield
    finally:
        _busy.count -= 1
        _busy.by_link[token.id] -= 1
        if not _busy.by_link[token.id]:
            del _busy.by_link[token.id]


async def _take(token: Token, scope: Scope, receive: Receive, send: Send) -> None:
    """Stream a body to its place: hashed on the way, seen by nobody before it is whole."""
    headers = _headers_of(scope)
    if headers.get("content-encoding", "identity") not in ("", "identity"):
        raise Invalid("The bytes are stored as they come; send them without a content encoding.")
    content_type = transfers.clean_type(headers.get("content-type", ""))
    declared = headers.get("content-length", "")
    with _full_told():
        incoming = await run_in_threadpool(
            transfers.begin_incoming,
            token,
            declared_bytes=int(declared) if declared.isdigit() else None,
        )
        begin_streaming(scope)
        try:
            await _receive_all(receive, incoming)
            file = await run_in_threadpool(incoming.finish, content_type, now=utc_now())
        finally:
            await run_in_threadpool(incoming.abort)
    body = msgspec.json.encode(_told(file))
    head = {**OPEN, "content-type": "application/json", "content-length": str(len(body))}
    await _send_head(send, 201, {**head, "cache-control": "no-store", "etag": f'"{file.etag}"'})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def _full_told() -> Iterator[None]:
    """Tell that the disk takes no more, also where nothing can be begun on it."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            "The store of this server does not take it; its disk may be full.",
            code="store-full",
            retry_after_seconds=60,
        ) from error


async def _receive_all(receive: Receive, incoming: transfers.Incoming) -> None:
    """Gather pieces and write each in a thread, while the next one arrives."""
    writing: asyncio.Future[Any] | None = None
    gathered = bytearray()
    alive = time.monotonic()
    try:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Invalid("The client went away before its body was complete; send it again.")
            gathered += message.get("body", b"")
            more = message.get("more_body", False)
            if len(gathered) < PIECE_BYTES and more:
                continue
            if writing is not None:
                await writing
            writing = asyncio.ensure_future(run_in_threadpool(incoming.write, gathered))
            gathered = bytearray()
            if time.monotonic() - alive > ALIVE_SECONDS:
                alive = time.monotonic()
                await run_in_threadpool(incoming.keep_alive, now=utc_now())
    finally:
        if writing is not None:
            await asyncio.wait([writing])
    assert writing is not None, "even an empty body is one piece"
    writing.result()


async def _give(token: Token, scope: Scope, send: Send) -> None:
    """Stream a file, or a part of it, or lead on to the store that has it."""
    now = utc_now()
    is_get = scope["method"] == "GET"
    outgoing = await run_in_threadpool(transfers.open_outgoing, token, counts=is_get, now=now)
    if outgoing.bytes is None:
        head = {**OPEN, "location": outgoing.redirect, "cache-control": "no-store"}
        await _send_head(
            send, 302, {**head, "content-length": "0", "referrer-policy": "no-referrer"}
        )
        await send({"type": "http.response.body", "body": b""})
        return
    try:
        asked = _headers_of(scope)
        if transfers.is_unchanged(outgoing, asked.get("if-none-match", "")):
            await _send_head(send, 304, {**OPEN, **outgoing.headers()})
            await send({"type": "http.response.body", "body": b""})
            return
        span = transfers.span_of(outgoing, asked, outgoing.bytes.size_bytes)
        await _send_head(send, span.status, {**OPEN, **outgoing.headers(), **span.headers()})
        await _send_span(send, outgoing, span if is_get else None)
    finally:
        await run_in_threadpool(outgoing.bytes.close)


async def _send_span(send: Send, outgoing: transfers.Outgoing, span: transfers.Span | None) -> None:
    offset, left = (span.offset, span.length) if span is not None else (0, 0)
    assert outgoing.bytes is not None, "it was opened"
    while left > 0:
        wanted = min(PIECE_BYTES, left)
        piece = await run_in_threadpool(outgoing.bytes.read, offset, wanted)
        if not piece:  # shorter than it was: an answer that ends early is noticed by its length
            raise ConnectionAbortedError("the file became shorter while it was read")
        offset, left = offset + len(piece), left - len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
    if span is None or span.length == 0:
        await send({"type": "http.response.body", "body": b""})


def _told(file: StoredObject) -> dict[str, object]:
    return {
        "id": file.id,
        "key": file.key,
        "size": file.size_bytes,
        "contentType": file.content_type,
        "sha256": file.sha256,
    }


def _link_of(scope: Scope) -> str:
    query = parse_qs(str(scope["query_string"], "latin-1"))
    return query.get("link", [""])[0]


def _headers_of(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


async def _send_head(send: Send, status: int, headers: dict[str, str]) -> None:
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})


plain_routes = (
    PlainRoute(
        path=links.PATH,
        access="Whoever holds a link that the server signed, for what the link is for.",
        app=answer,
        operations={
            "get": operations.FETCH,
            "put": operations.SEND,
        },
    ),
)
