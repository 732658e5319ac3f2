"""The guard's door for ASGI apps."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from mainstay._internal.asgi import (
    BODY_KINDS,
    CLIENT_CLOSED_REQUEST,
    KEY,
    SERVER_ERROR,
    Exchange,
    Message,
    Receive,
    Scope,
    Send,
)
from mainstay._internal.client import Client, active_client
from mainstay._internal.guard.answers import Headers
from mainstay._internal.guard.base import Guard, enforced
from mainstay._internal.guard.frameworks import refused_in
from mainstay._internal.guard.passage import CURRENT, Passage
from mainstay._internal.guard.refusals import TOO_LARGE, Refusal, body_too_large, is_cause
from mainstay._internal.guard.rules import Rules
from mainstay._internal.message import MeasuredRequest, known_method
from mainstay._internal.metrics import Metrics
from mainstay._internal.routes import UNMATCHED, Seen, asgi_path, without_ids
from mainstay._internal.shield import SHIELD

_POLICY_VIOLATION = 1008
_SWITCHING_PROTOCOLS = 101
_FORBIDDEN = 403
_NO_CONTENT = 204
_LEAST_ERROR = 400
_GLANCE_SECONDS = 0.01


class ASGIPassage(Passage):
    """An ASGI request or the handshake of a WebSocket."""

    ASKED_METHOD = b"access-control-request-method"
    AUTHORIZATION = b"authorization"
    CONTENT_LENGTH = b"content-length"
    FORWARDED = b"forwarded"
    FORWARDED_FOR = b"x-forwarded-for"
    ORIGIN = b"origin"
    TRACEPARENT = b"traceparent"
    X_API_KEY = b"x-api-key"
    X_REQUEST_ID = b"x-request-id"

    _scope: Scope

    def read(self, carrier: Scope) -> str:
        self._scope = carrier
        self.path = carrier["path"]
        self.method = carrier.get("method", "GET")
        headers = carrier["headers"]
        self.raw = raw = dict(headers)
        if len(raw) != len(headers):
            self.raw = _joined(headers)
        peer = carrier.get("client")
        return (peer[0] or "") if peer else ""

    def let_go(self) -> None:
        """Forget the scope, which holds this: the two would have to be found as garbage."""
        self._scope = {}

    def header(self, name: bytes) -> str:
        value = self.raw.get(name)
        return "" if value is None else value.decode("latin-1")

    def framework(self) -> str:
        if "app" in self._scope or "router" in self._scope:
            return "starlette"
        return "django" if self.routed else ""


def _joined(headers: Any) -> dict[bytes, bytes]:  # noqa: ANN401 - pairs of bytes, as ASGI has them
    """Join what was sent in several lines (RFC 9110 §5.3), so that no line hides another."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        found[name] = found[name] + b", " + value if name in found else value
    return found


class Door(Guard):
    """``mainstay.Guard`` around an ASGI app."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, open a WebSocket, or pass the lifespan on."""
        kind = scope["type"]
        if kind not in ("http", "websocket") or isinstance(scope.get(KEY), Passage):
            if kind == "lifespan":
                # Whoever runs a lifespan is about to serve: the policy may be asked for now.
                self.rules(active_client())
            await self.app(scope, receive, send)
            if kind == "lifespan" and self.limiter.shared is not None:
                await self.limiter.shared.close_async()
            return
        if kind == "http" and self.health and await self.health.answer_asgi(scope, send):
            return
        client = active_client()
        now = self.clock.wall()
        rules = self.rules(client)
        if rules is self._bare:
            rules = await self._wait(client)
        passage = ASGIPassage(self.limiter, rules, now, routed=self.routed)
        above, scope[KEY] = scope.get(KEY), passage
        token = CURRENT.set(passage)
        try:
            if kind == "http":
                measured_by = None if isinstance(above, Seen) else client
                exchange = _Exchange(
                    scope, receive, send, seen=passage, client=measured_by, metrics=self.metrics
                )
                exchange.reports_to = client
                await self._answer(exchange, passage, scope)
            else:
                await self._open(_Handshake(passage, receive, send, client), scope)
        finally:
            CURRENT.reset(token)
            passage.let_go()
            if isinstance(above, Seen):
                above.route, above.routed = passage.route, passage.routed

    async def _wait(self, client: Client | None) -> Rules:
        source = self.source_of_first(client)
        while source is not None and source.seconds_to_first_answer():  # noqa: ASYNC110 - a thread's event
            await asyncio.sleep(_GLANCE_SECONDS)
        return self.first_rules(client)

    async def _answer(self, exchange: "_Exchange", passage: ASGIPassage, scope: Scope) -> None:
        waits = self.limiter.shared is not None
        refusal = await self.admit_async(passage, scope) if waits else self.admit(passage, scope)
        if refusal is not None:
            await exchange.refuse(refusal)
            return
        if passage.is_preflight:
            await exchange.answer_preflight()
            return
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            exchange.finish(CLIENT_CLOSED_REQUEST)
            raise
        except BaseException as error:
            if not (is_cause(passage.refusal, error) and await exchange.stand_in()):
                exchange.finish(SERVER_ERROR)
                raise
        if passage.refusal is not None:
            await exchange.stand_in()
        exchange.finish(exchange.status or SERVER_ERROR)

    async def _open(self, handshake: "_Handshake", scope: Scope) -> None:
        refusal = await self.admit_async(handshake.passage, scope)
        if refusal is not None:
            await handshake.refuse(refusal, scope)
            return
        await self.app(scope, handshake.receive, handshake.send)


class _Exchange(Exchange):
    """One guarded request: its body is counted, its response is dressed or replaced."""

    __slots__ = ("_received", "has_begun", "is_replaced", "reports_to")

    _seen: ASGIPassage
    reports_to: Client | None

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
        super().__init__(scope, receive, send, seen=seen, client=client, metrics=metrics)
        self.has_begun = False
        self.is_replaced = False
        self._received = 0

    async def receive(self) -> Message:
        message = await super().receive()
        most = self._seen.rules.most_body_bytes
        if most is not None and message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            if self._received > most and enforced(self._seen, body_too_large(most)):
                return self._cut_off()
        return message

    def _cut_off(self) -> Message:
        """End the body of a request that is too long."""
        assert self._seen.refusal is not None
        if self._seen.framework() == "django":
            # Django tidies up after a client that is gone, but not after an exception here.
            return {"type": "http.disconnect"}
        raise refused_in(self._seen, self._seen.refusal)

    def send(self, message: Message) -> Awaitable[None]:
        if self.is_replaced:
            return _nothing()
        kind = message["type"]
        if kind == "http.response.start":
            return self._begin(message)
        if kind in BODY_KINDS and not message.get("more_body", False):
            return self._send_last(message)
        return self._send(message)

    def _begin(self, message: Message) -> Awaitable[None]:
        refusal = self._seen.refusal
        if refusal is not None and not self.has_begun and _gives_way(refusal, message):
            return self.refuse(refusal)
        self.has_begun = True
        self.status = message.get("status", SERVER_ERROR)
        try:
            message = self._dressed(message)
        except Exception as error:  # noqa: BLE001 - what the shield is for
            SHIELD.swallow(error)
        return self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with the problem document; whatever the app still says goes nowhere."""
        self.is_replaced = True
        body = refusal.body()
        await self._reply(refusal.status, refusal.all_headers(body), body)

    async def stand_in(self) -> bool:
        """Answer for an app that gave up on a refused request; False when it is too late."""
        if not self.is_replaced and not self.has_begun and self._seen.refusal is not None:
            await self.refuse(self._seen.refusal)
        return self.is_replaced

    async def answer_preflight(self) -> None:
        """Tell a browser what scripts of its page may ask."""
        self.is_replaced = True
        cors = self._seen.rules.policy.cors
        assert cors is not None
        await self._reply(
            _NO_CONTENT, cors.headers(self._seen.header(ASGIPassage.ORIGIN), preflight=True), b""
        )

    def record(self, status: int) -> None:
        passage, client = self._seen, self._client
        path = asgi_path(self._scope, passage)
        if client is not None:
            client.record(
                MeasuredRequest(
                    self._at,
                    known_method(passage.method),
                    UNMATCHED if self.is_replaced else path,
                    status,
                    self._clock.monotonic() - self._started,
                    passage.known.address.text,
                    passage.trace_id,
                    "" if passage.key is None else passage.key.id,
                )
            )
        if self.reports_to is not None:
            unrouted = self.is_replaced or path == UNMATCHED
            self.reports_to.report(passage, without_ids(passage.path) if unrouted else path, status)

    async def _reply(self, status: int, headers: Headers, body: bytes) -> None:
        body = b"" if self._seen.method == "HEAD" else body
        start: Message = {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (name.encode(), value.encode("latin-1", "replace")) for name, value in headers
            ],
        }
        with SHIELD:
            start = self._dressed(start)
        await super().send(start)
        await super().send({"type": "http.response.body", "body": body})

    def _dressed(self, message: Message) -> Message:
        """Return the start of the response with what the guard adds and without what it removes."""
        seconds = self._clock.monotonic() - self._started
        headers = list(message.get("headers", ()))
        dress = self._seen.rules.for_asgi
        return {**message, "headers": dress.response(self._seen, headers, seconds)}


async def _nothing() -> None:
    """Stand for the sending of what is not sent."""


class _Handshake:
    """The opening of a WebSocket, which is guarded like a request and then left alone."""

    def __init__(
        self, passage: ASGIPassage, receive: Receive, send: Send, client: Client | None
    ) -> None:
        self.passage = passage
        self.receive = receive
        self._send = send
        self._client = client
        self._is_over = False

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            self._report(_SWITCHING_PROTOCOLS)
        elif kind in ("websocket.close", "websocket.http.response.start"):
            self._report(message.get("status", _FORBIDDEN))
        await self._send(message)

    async def refuse(self, refusal: Refusal, scope: Scope) -> None:
        """Refuse with the problem document where the server can, else by closing unopened."""
        await self.receive()
        self._report(refusal.status)
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await self._send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        body = refusal.body()
        headers = [(name.encode(), value.encode()) for name, value in refusal.all_headers(body)]
        start = {"status": refusal.status, "headers": headers}
        await self._send({"type": "websocket.http.response.start", **start})
        await self._send({"type": "websocket.http.response.body", "body": body})

    def _report(self, status: int) -> None:
        if self._is_over or self._client is None:
            return
        self._is_over = True
        with SHIELD:
            self._client.report(self.passage, without_ids(self.passage.path), status)


def _gives_way(refusal: Refusal, message: Message) -> bool:
    """Whether the app's response stands for the refusal that was raised inside of it.

    An app that caught it and has a better answer keeps that, except about a body that it could
    not read to its end.
    """
    return refusal.status == TOO_LARGE or message.get("status", SERVER_ERROR) >= _LEAST_ERROR
