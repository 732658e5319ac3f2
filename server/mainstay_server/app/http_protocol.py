"""HTTP/1.1 with limits on what a client may take: memory, time and connections."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

import msgspec
from starlette.types import Receive, Scope, Send
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from mainstay_server.kernel.problems import (
    CONTENT_TYPE,
    Problem,
    RequestTimeout,
    TooManyRequests,
    Unavailable,
)
from mainstay_server.kernel.web import STREAMED, send_problem
from mainstay_server.kernel.web.problems import problem_headers

from .connections import Crowd, Room

MOST_HEAD_BYTES = 64 * 1024
# Longer than proxies keep theirs (nginx and AWS: 60 s), so that it is they who close first: what
# they send into a connection that we just closed is lost.
KEEP_ALIVE_SECONDS = 65
TRY_AGAIN_SECONDS = 5


@dataclass(frozen=True)
class Patience:
    """How long a client may take, in seconds.

    A head has `head` from the connection, or from its first byte on a connection that was used
    before. A body has `body`, and a second more for each `body_bytes` that came. What follows an
    early answer has `rest`. An answer that is not read at all is given up after `answer`; one that
    is read has `answer`, and a second more for each `answer_bytes` that went.
    """

    head: int = 10
    head_when_crowded: int = 2
    body: int = 20
    body_bytes: int = 4096
    rest: int = 5
    answer: int = 30
    answer_bytes: int = 4096


class LimitedProtocol(HttpToolsProtocol):
    """One connection, which is given up when the client takes too much of something.

    The parser has no limits: whoever connects could fill the memory with headers that never end,
    or hold connections with requests that never do. Time is counted in calls of `pass_second`, so
    that a client is not blamed for the seconds in which this process got no processor. What came
    in one read with a limit still counts as within it.
    """

    patience = Patience()
    server_state: Crowd

    _in_head = False
    _in_body = False
    _unanswered = 0
    _head_bytes = 0
    _body_bytes = 0
    _held_bytes = 0
    _waited_seconds = 0
    _stalled_seconds = 0
    _reading_seconds = 0
    _read_bytes = 0
    _unsent_bytes = 0
    _is_streamed = False

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection; one too many is told so as soon as it has asked for something."""
        super().connection_made(transport)
        room = self.server_state.enter(self._host)
        if room is Room.NONE:
            self.transport.abort()
        elif room is Room.FULL:
            self.app = refuse_full

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Give back what the connection held."""
        super().connection_lost(exc)
        self.server_state.leave(self._host)
        self._release()

    @override
    def on_message_begin(self) -> None:
        """A head begins; whoever answers may say that nothing of the body is kept in memory."""
        self._in_head, self._head_bytes, self._is_streamed = True, 0, False
        super().on_message_begin()
        self.scope["extensions"] = {STREAMED: {"begin": partial(self._stream, self.scope)}}

    @override
    def on_headers_complete(self) -> None:
        """The head is whole; what follows is a body, which has limits of its own."""
        self._in_head, self._in_body = False, True
        self._waited_seconds = self._body_bytes = 0
        self._unanswered += 1
        super().on_headers_complete()

    @override
    def on_body(self, body: bytes) -> None:
        """A part of a body; all that are under way are bounded together."""
        super().on_body(body)
        self._body_bytes += len(body)
        if self.cycle.response_complete or self._is_streamed:
            return
        crowd = self.server_state
        self._held_bytes += len(body)
        crowd.arriving_bytes += len(body)
        if crowd.arriving_bytes > crowd.most_arriving_bytes:
            self._give_up(
                "memory",
                TooManyRequests(
                    "Too many bodies are under way at once; send it again in a moment.",
                    code="bodies-full",
                    retry_after_seconds=TRY_AGAIN_SECONDS,
                ),
            )

    @override
    def on_message_complete(self) -> None:
        """The request is whole; from here on it is we who take the time."""
        self._in_body = False
        self._waited_seconds = 0
        super().on_message_complete()

    @override
    def on_response_complete(self) -> None:
        """The answer is on its way; what it was for is held no longer."""
        self._release()
        self._waited_seconds = 0
        self._unanswered -= 1
        super().on_response_complete()

    @override
    def data_received(self, data: bytes) -> None:
        """Take what arrived; give up a head that is too long."""
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is over 64 KiB.")

    def pass_second(self) -> None:
        """Note that a second went by; give up a client that has taken too many of them."""
        if unsent := self.transport.get_write_buffer_size():
            self._wait_for_reader(unsent)
            return
        self._stalled_seconds = self._reading_seconds = self._read_bytes = self._unsent_bytes = 0
        if self.transport.is_closing():
            pass
        elif self._in_body:
            self._wait_for_body()
        elif not self._unanswered:
            self._wait_for_head()

    def _wait_for_reader(self, unsent: int) -> None:
        # More than before is there when most of what was before has gone: writers wait for that.
        before = self._unsent_bytes
        self._read_bytes += before - unsent if unsent <= before else before
        self._stalled_seconds = 0 if unsent != before else self._stalled_seconds + 1
        self._reading_seconds += 1
        self._unsent_bytes = unsent
        seconds = self.patience.answer + self._read_bytes / self.patience.answer_bytes
        if self._stalled_seconds >= self.patience.answer or self._reading_seconds > seconds:
            self.server_state.figures.ended["answer"] += 1
            self.transport.abort()

    def _wait_for_body(self) -> None:
        if self.flow.read_paused:  # it is our turn to take what came
            return
        self._waited_seconds += 1
        if self._waited_seconds <= self._seconds_for_body():
            return
        late = RequestTimeout("The body did not arrive in time; send it again, and faster.")
        self._give_up("body", late)

    def _seconds_for_body(self) -> float:
        if self.cycle.response_complete:
            return self.patience.rest
        return self.patience.body + self._body_bytes / self.patience.body_bytes

    def _wait_for_head(self) -> None:
        crowded = self.server_state.crowded
        if self.timeout_keep_alive_task is not None:  # nothing came since the last answer
            if crowded:
                self._give_up("idle", None)
            return
        self._waited_seconds += 1
        patience = self.patience.head_when_crowded if crowded else self.patience.head
        if self._waited_seconds > patience:
            late = RequestTimeout("The head of the request did not arrive in time; send it again.")
            self._give_up("head", late if self._in_head else None)

    def _give_up(self, what: str, problem: Problem | None) -> None:
        """End the connection, with an answer where one can still be given."""
        if self.transport.is_closing():
            return
        self.server_state.figures.ended[what] += 1
        cycle = None if self._in_head else self.cycle
        if problem is not None and (cycle is None or not cycle.response_started):
            path = cycle.scope["path"] if cycle is not None else None
            self.transport.write(_whole_answer(problem, path))
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    def _stream(self, scope: object) -> None:
        """Hold nothing of this body against the limit: it goes on as it comes."""
        if scope is self.scope:  # and not of a request that was sent before
            self._is_streamed = True
            self._release()

    def _release(self) -> None:
        self.server_state.arriving_bytes -= self._held_bytes
        self._held_bytes = 0

    @property
    def _host(self) -> str:
        return self.client[0] if self.client else ""


async def refuse_full(scope: Scope, _receive: Receive, send: Send) -> None:
    """The app of a connection that is one too many."""
    problem = Unavailable(
        "The server has no connection left for you; try again in a moment.",
        code="connections-full",
        retry_after_seconds=TRY_AGAIN_SECONDS,
    )
    await send_problem(send, problem, path=scope["path"], headers=_FOR_ANYBODY)


_FOR_ANYBODY = {"access-control-allow-origin": "*", "connection": "close"}


def _whole_answer(problem: Problem, path: str | None) -> bytes:
    """The bytes of a refusal that no app gives."""
    body = msgspec.json.encode(problem.to_json(path))
    headers: Mapping[str, str] = {
        "content-type": CONTENT_TYPE,
        "content-length": str(len(body)),
        **problem_headers(problem),
        **_FOR_ANYBODY,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return STATUS_LINE[HTTPStatus(problem.status)] + lines.encode() + b"\r\n" + body
