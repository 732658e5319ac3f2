"""The cache's door for ASGI apps."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from mainstay._internal.asgi import ASGIApp, Message, Receive, Scope, Send
from mainstay._internal.caching.making import run_async
from mainstay._internal.caching.turns import Turn
from mainstay._internal.guard.passage import CURRENT
from mainstay._internal.responses.base import (
    READING,
    SAFE,
    ResponseCache,
    has_changed,
    never_kept,
)
from mainstay._internal.responses.noting import NOTE, Note
from mainstay._internal.responses.rules import CONDITIONS, Answer, Asked, asked_for
from mainstay._internal.responses.store import path_tag
from mainstay._internal.shield import SHIELD, logger

_RENEWAL_SECONDS = 60.0


class Door:
    """An ASGI app with its answers kept."""

    def __init__(self, responses: ResponseCache, app: ASGIApp) -> None:
        self.app = app
        self._responses = responses
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["method"] not in SAFE:
            await self._change(scope, receive, send)
            return
        asked = None
        with SHIELD:
            asked = _asked(scope, self._responses)
        if asked is None:
            await self.app(scope, receive, send)
            return
        if not await self._serve(asked, scope, send):
            await self._make(asked, scope, receive, send)

    async def _serve(self, asked: Asked, scope: Scope, send: Send) -> bool:
        """Answer with what is kept; return whether there was something."""
        store = self._responses.store
        found = None
        with SHIELD:
            found = await store.arun(store.find(asked))
        if found is None:
            return False
        if self._responses.may_renew(asked, found):
            self._start(self._renew(asked, scope))
        await _tell(self._responses.told(asked, found), asked, send)
        return True

    async def _make(self, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the app answer, alone or for all who ask for the same."""
        turn: Turn | None = None
        turns = self._responses.turns
        if asked.method == "GET" and not turns.is_pointless(asked.turn):
            with SHIELD:
                turn = await run_async(turns.take(asked.turn), None, turns.wait_seconds)
            if turn is None or turn.has_waited:
                try:
                    served = await self._serve(asked, scope, send)
                except BaseException:
                    if turn is not None:
                        turns.end(turn, is_kept=None)
                    raise
                if served:
                    if turn is not None:
                        turns.end(turn, is_kept=True)
                    return
        exchange = _Exchange(self._responses, asked, send, turn)
        token = NOTE.set(exchange.note)
        try:
            await self.app(scope, receive, exchange.send)
            await exchange.flush()
        finally:
            NOTE.reset(token)
            exchange.end_turn(is_kept=None)

    async def _change(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the app change something, and forget before the client hears that it did."""

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and has_changed(message["status"]):
                with SHIELD:
                    store = self._responses.store
                    await store.arun(store.forget([path_tag(scope["path"])]))
            await send(message)

        await self.app(scope, receive, watched)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _renew(self, asked: Asked, scope: Scope) -> None:
        """Make a stale answer anew; when that fails, the old one goes on to its end."""
        # The request that came across it is over by then, and is not charged for this.
        CURRENT.set(None)
        get = asked._replace(method="GET")
        exchange = _Exchange(self._responses, get, _send_nowhere, None, is_alone=True)
        NOTE.set(exchange.note)
        try:
            headers = [(n, v) for n, v in scope["headers"] if n.decode("latin-1") not in CONDITIONS]
            asking = {**scope, "method": "GET", "headers": headers}
            asking.pop("mainstay", None)
            await asyncio.wait_for(
                self.app(asking, _nothing_more(), exchange.send), _RENEWAL_SECONDS
            )
        except Exception as error:  # noqa: BLE001 - whatever the app raises, the old answer holds
            logger.warning("An answer could not be made anew: %s.", type(error).__name__)
        finally:
            self._responses.renewing.discard(asked.key)


class _TooLong(Exception):
    """Nobody reads this answer, and it will not be kept."""


class _Exchange:
    """An answer on its way: held back while it may be kept, passed on as soon as it may not."""

    def __init__(
        self,
        responses: ResponseCache,
        asked: Asked,
        send: Send,
        turn: Turn | None,
        *,
        is_alone: bool = False,
    ) -> None:
        self.note = Note()
        self._responses = responses
        self._asked = asked
        self._send = send
        self._turn = turn
        self._is_alone = is_alone
        self._began = responses.clock.wall()
        self._start: Message | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._is_passing = False

    async def send(self, message: Message) -> None:
        """Take one message of the app."""
        kind = message["type"]
        if self._is_passing or kind not in ("http.response.start", "http.response.body"):
            await self.flush()
            await self._send(message)
            return
        if kind == "http.response.start":
            self._start = message
            if self._asked.method != "GET" or message.get("trailers") or self._is_too_long(message):
                await self.flush()
            return
        assert self._start is not None
        body, more = message.get("body", b""), message.get("more_body", False)
        if more and not self._parts and _length(self._start) is None:
            # A stream: nobody knows when it ends, and its reader is waiting.
            await self.flush()
            await self._send(message)
            return
        self._parts.append(body)
        self._size += len(body)
        if self._size > self._responses.most_bytes:
            await self.flush(more_body=more)
        elif not more:
            await self._complete(self._start)

    async def flush(self, *, more_body: bool = True) -> None:
        """Pass on what was held back, and all that follows."""
        start, self._start = self._start, None
        self._is_passing = True
        if start is None:
            return
        self.end_turn(is_kept=never_kept(self._asked, start["status"]))
        if self._is_alone:
            raise _TooLong
        with SHIELD:
            if not self.note.is_blank:
                said = self._responses.dressed(self.note, _answer(start, b""))
                start = {**start, "headers": _encoded(said)}
        await self._send(start)
        if self._parts:
            body = b"".join(self._parts)
            await self._send({"type": "http.response.body", "body": body, "more_body": more_body})
            self._parts = []

    def end_turn(self, *, is_kept: bool | None) -> None:
        """Let those go on who wait for this answer."""
        turn, self._turn = self._turn, None
        if turn is not None:
            self._responses.turns.end(turn, is_kept=is_kept)

    async def _complete(self, start: Message) -> None:
        answer = _answer(start, b"".join(self._parts))
        self._start, self._parts, self._is_passing = None, [], True
        is_kept: bool | None = None
        try:
            with SHIELD:
                answer, terms = self._responses.judged(self._asked, self.note, answer)
                if terms is None:
                    is_kept = never_kept(self._asked, answer.status)
                else:
                    store = self._responses.store
                    plan = store.keep(self._asked, answer, terms, began=self._began)
                    is_kept = (await store.arun(plan)) or None
                    status = "mainstay; fwd=uri-miss" + ("; stored" if is_kept else "")
                    answer = answer.with_headers([("cache-status", status)])
                answer = answer.for_reader(self._asked.header("if-none-match"))
        finally:
            self.end_turn(is_kept=is_kept)
        await _tell(answer, self._asked, self._send)

    def _is_too_long(self, start: Message) -> bool:
        length = _length(start)
        return length is not None and length > self._responses.most_bytes


async def _tell(answer: Answer, asked: Asked, send: Send) -> None:
    start = {"type": "http.response.start", "status": answer.status, "headers": _encoded(answer)}
    await send(start)
    body = b"" if asked.method == "HEAD" else answer.body
    await send({"type": "http.response.body", "body": body})


def _asked(scope: Scope, responses: ResponseCache) -> Asked | None:
    if scope["method"] not in READING:
        return None
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value

    def header(name: str) -> str:
        return found.get(name, "")

    query = scope.get("query_string", b"").decode("latin-1")
    path = scope["path"]
    written = (scope.get("raw_path") or path.encode("utf-8", "surrogatepass")).decode("latin-1")
    place = (scope.get("scheme", "http"), header("host").lower(), written, query)
    return asked_for(scope["method"], path, place, header, responses.credentials)


def _length(start: Message) -> int | None:
    for name, value in start.get("headers", ()):
        if name.lower() == b"content-length" and value.isdigit():
            return int(value[:18])
    return None


def _answer(start: Message, body: bytes) -> Answer:
    headers = [
        (name.decode("latin-1").lower(), value.decode("latin-1"))
        for name, value in start.get("headers", ())
    ]
    return Answer(start["status"], headers, body)


def _encoded(answer: Answer) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]


async def _send_nowhere(_message: Message) -> None:
    pass


def _nothing_more() -> Callable[[], Coroutine[Any, Any, Message]]:
    """Return what an app receives whose client sends no body and stays."""
    told = False

    async def receive() -> Message:
        nonlocal told
        if told:
            await asyncio.Event().wait()
        told = True
        return {"type": "http.request", "body": b"", "more_body": False}

    return receive
