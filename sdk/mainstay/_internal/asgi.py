"""Measure the requests of an ASGI app."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from mainstay._internal import django
from mainstay._internal.client import Client, active_client
from mainstay._internal.clock import Clock
from mainstay._internal.health import Health
from mainstay._internal.message import MeasuredRequest, known_method
from mainstay._internal.metrics import Metrics
from mainstay._internal.routes import Seen, asgi_path
from mainstay._internal.shield import SHIELD
from mainstay._internal.trace import trace_id_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

KEY = "mainstay"
_CLOCK = Clock()
BODY_KINDS = frozenset(
    ("http.response.body", "http.response.pathsend", "http.response.zerocopysend")
)
CLIENT_CLOSED_REQUEST = 499
SERVER_ERROR = 500


class ASGIMiddleware:
    """Measure every HTTP request of an ASGI app, and serve its health.

    Works around the whole app (``app = mainstay.ASGIMiddleware(app)``) as well as inside it
    (``app.add_middleware(mainstay.ASGIMiddleware)``); a request that passes several is counted
    once. The duration runs to the last byte of the body. The status is 500 when the app raised
    (the exception goes on as it was) and 499 when the client went away. Requests are counted
    under the route template of FastAPI, Starlette or Django, or ``(unmatched)``.

    WebSockets and the lifespan pass through untouched.
    """

    def __init__(self, app: ASGIApp, *, health: Health | None = None) -> None:
        self.app = app
        self._health = health
        self._routed = django.watch_routes(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or KEY in scope:
            await self.app(scope, receive, send)
            return
        if self._health is not None and await self._health.answer_asgi(scope, send):
            return
        client = active_client()
        if client is None and self._health is None:
            await self.app(scope, receive, send)
            return
        await self._measure(client, scope, receive, send)

    async def _measure(
        self, client: Client | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        seen = scope[KEY] = Seen(routed=self._routed)
        metrics = None if self._health is None else self._health.metrics
        exchange = Exchange(scope, receive, send, seen=seen, client=client, metrics=metrics)
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            exchange.finish(CLIENT_CLOSED_REQUEST)
            raise
        except BaseException:
            exchange.finish(SERVER_ERROR)
            raise
        exchange.finish(exchange.status or SERVER_ERROR)


class Exchange:
    """One request and its response, as they pass."""

    __slots__ = (
        "_at",
        "_client",
        "_clock",
        "_done",
        "_gone",
        "_metrics",
        "_receive",
        "_scope",
        "_seen",
        "_send",
        "_started",
        "status",
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        seen: Seen,
        client: Client | None,
        metrics: Metrics | None = None,
    ) -> None:
        self._client = client
        self._metrics = metrics
        self._scope = scope
        self._receive = receive
        self._send = send
        self._seen = seen
        self._done = False
        self._gone = False
        self.status = 0
        self._clock = _CLOCK if client is None else client.clock
        self._at = self._clock.wall()
        self._started = self._clock.monotonic()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._done:
            self._gone = True
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Return what sends the message: the server's own, so that most cost no coroutine more."""
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message.get("status", SERVER_ERROR)
        elif kind in BODY_KINDS and not message.get("more_body", False):
            return self._send_last(message)
        return self._send(message)

    async def _send_last(self, message: Message) -> None:
        await self._send(message)
        self.finish(self.status)

    def finish(self, status: int) -> None:
        """Record the request, the first time this is called."""
        if self._done:
            return
        self._done = True
        try:
            status = CLIENT_CLOSED_REQUEST if self._gone else status
            if self._metrics is not None:
                seconds = self._clock.monotonic() - self._started
                self._metrics.count(self._scope["method"], status, seconds)
            self.record(status)
        except Exception as error:  # noqa: BLE001 - what the shield is for
            SHIELD.swallow(error)

    def record(self, status: int) -> None:
        """Hand what was measured to the client."""
        scope = self._scope
        peer = scope.get("client")
        if self._client is not None:
            self._client.record(
                MeasuredRequest(
                    at=self._at,
                    method=known_method(scope["method"]),
                    path=asgi_path(scope, self._seen),
                    status=status,
                    duration_seconds=self._clock.monotonic() - self._started,
                    client_address=(peer[0] or "") if peer else "",
                    trace_id=_trace_id(scope),
                )
            )


def _trace_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"traceparent":
            return trace_id_of(value.decode("latin-1"))
    return None
