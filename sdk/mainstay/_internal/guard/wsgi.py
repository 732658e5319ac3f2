"""The guard's door for WSGI apps."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from mainstay._internal.client import Client, active_client
from mainstay._internal.guard.answers import Headers
from mainstay._internal.guard.base import Guard, enforced
from mainstay._internal.guard.frameworks import refused_in
from mainstay._internal.guard.passage import CURRENT, Passage
from mainstay._internal.guard.refusals import TOO_LARGE, Refusal, Refused, body_too_large, is_cause
from mainstay._internal.guard.rules import Rules
from mainstay._internal.message import MeasuredRequest, known_method
from mainstay._internal.metrics import Metrics
from mainstay._internal.routes import UNMATCHED, Seen, without_ids
from mainstay._internal.shield import SHIELD
from mainstay._internal.wsgi import (
    KEY,
    Environ,
    Exchange,
    StartResponse,
    watched,
)

_NO_CONTENT = 204
_LEAST_ERROR = 400
_CHUNK_BYTES = 65_536


class WSGIPassage(Passage):
    """A WSGI request."""

    ASKED_METHOD = "HTTP_ACCESS_CONTROL_REQUEST_METHOD"
    AUTHORIZATION = "HTTP_AUTHORIZATION"
    CONTENT_LENGTH = "CONTENT_LENGTH"
    FORWARDED = "HTTP_FORWARDED"
    FORWARDED_FOR = "HTTP_X_FORWARDED_FOR"
    ORIGIN = "HTTP_ORIGIN"
    TRACEPARENT = "HTTP_TRACEPARENT"
    X_API_KEY = "HTTP_X_API_KEY"
    X_REQUEST_ID = "HTTP_X_REQUEST_ID"

    def read(self, carrier: Environ) -> str:
        self.raw = carrier
        self.method = carrier["REQUEST_METHOD"]
        path = carrier.get("SCRIPT_NAME", "") + carrier.get("PATH_INFO", "")
        if not path.isascii():
            # WSGI hands over the bytes of the path as Latin-1 (PEP 3333).
            path = path.encode("latin-1", "replace").decode("utf-8", "replace")
        self.path = path
        return carrier.get("REMOTE_ADDR") or ""

    def let_go(self) -> None:
        """Forget the environ, which holds this: the two would have to be found as garbage."""
        if self.known.trusts_peer:
            self._request_id = self.request_id
        self.raw = {}

    def header(self, name: str) -> str:
        return self.raw.get(name) or ""

    def framework(self) -> str:
        if "werkzeug.request" in self.raw:
            return "flask"
        return "django" if self.routed else ""


class Door(Guard):
    """``mainstay.Guard`` around a WSGI app."""

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        if isinstance(environ.get(KEY), Passage):
            return self.app(environ, start_response)  # type: ignore[no-any-return]  # a WSGI app's body
        if self.health is not None:
            body = self.health.answer_wsgi(environ, start_response)
            if body is not None:
                return body
        client = active_client()
        now = self.clock.wall()
        rules = self.rules(client)
        if rules is self._bare:
            rules = self._wait(client)
        passage = WSGIPassage(self.limiter, rules, now, routed=self.routed)
        above, environ[KEY] = environ.get(KEY), passage
        exchange = _Exchange(
            environ, start_response, seen=passage, client=client, metrics=self.metrics
        )
        if isinstance(above, Seen):
            exchange.measured_above(above)
        CURRENT.set(passage)
        refusal = self.admit(passage, environ)
        if refusal is not None:
            return exchange.refuse(refusal)
        if passage.is_preflight:
            return exchange.answer_preflight()
        return self._ask_app(exchange, passage, environ)

    def _wait(self, client: Client | None) -> Rules:
        source = self.source_of_first(client)
        if source is not None:
            source.wait_for_first_answer()
        return self.first_rules(client)

    def _ask_app(
        self, exchange: "_Exchange", passage: WSGIPassage, environ: Environ
    ) -> Iterable[bytes]:
        with SHIELD:
            _count_input(passage, environ)
        try:
            body = self.app(environ, exchange.start_response)
        except BaseException as error:
            refusal = passage.refusal
            if refusal is None or exchange.has_begun or not is_cause(refusal, error):
                exchange.fail(self.routing)
                raise
            return exchange.refuse(refusal)
        if exchange.replacement is not None:
            if hasattr(body, "close"):
                body.close()
            return exchange.replaced()
        return watched(body if exchange.has_begun else _Late(body, exchange), exchange)


class _Exchange(Exchange):
    """One guarded request: its response is dressed or replaced."""

    __slots__ = ("_above", "_reports_to", "has_begun", "replacement")

    _seen: WSGIPassage

    def __init__(
        self,
        environ: Environ,
        start_response: StartResponse,
        *,
        seen: Seen,
        client: Client | None,
        metrics: Metrics | None = None,
    ) -> None:
        super().__init__(environ, start_response, seen=seen, client=client, metrics=metrics)
        self._reports_to = client
        self._above: Seen | None = None
        self.has_begun = False
        self.replacement: bytes | None = None

    def measured_above(self, above: Seen) -> None:
        """Leave the measuring to the middleware around the guard, and tell it the route."""
        self._client = None
        self._above = above

    def start_response(self, status: str, *rest: Any) -> Any:  # noqa: ANN401 - the server's write()
        if self.replacement is not None:
            return _write_nothing
        with SHIELD:
            self.note(status)
        refusal = self._seen.refusal
        if refusal is not None and not self.has_begun and self._gives_way(refusal):
            self._begin_refusal(refusal)
            return _write_nothing
        self.has_begun = True
        try:
            rest = (self._dressed(rest[0]), *rest[1:])
        except Exception as error:  # noqa: BLE001 - what the shield is for
            SHIELD.swallow(error)
        return self._start_response(status, *rest)

    def refuse(self, refusal: Refusal) -> Iterable[bytes]:
        """Answer with the problem document."""
        self._begin_refusal(refusal)
        return self.replaced()

    def replaced(self) -> Iterable[bytes]:
        """Return the body of the answer that stands in the app's place."""
        assert self.replacement is not None
        return watched([b"" if self.was_head() else self.replacement], self)

    def answer_preflight(self) -> Iterable[bytes]:
        """Tell a browser what scripts of its page may ask."""
        cors = self._seen.rules.policy.cors
        assert cors is not None
        self.replacement = b""
        self._reply(
            _NO_CONTENT, cors.headers(self._seen.header(WSGIPassage.ORIGIN), preflight=True)
        )
        return self.replaced()

    def record(self, status: int) -> None:
        CURRENT.set(None)
        self._seen.let_go()
        passage, client = self._seen, self._client
        path = self.path()
        if self._above is not None:
            self._above.route, self._above.routed = passage.route, passage.routed
        if client is not None:
            client.record(
                MeasuredRequest(
                    at=self._at,
                    method=known_method(passage.method),
                    path=path if self.replacement is None else UNMATCHED,
                    status=status,
                    duration_seconds=self._clock.monotonic() - self._started,
                    client_address=passage.client_address,
                    trace_id=passage.trace_id,
                    api_key=passage.key_id,
                )
            )
        if self._reports_to is not None:
            unrouted = self.replacement is not None or path == UNMATCHED
            route = without_ids(passage.path) if unrouted else path
            self._reports_to.report(passage, route, status)

    def _gives_way(self, refusal: Refusal) -> bool:
        """Whether the app's response stands for the refusal that was raised inside of it.

        An app that caught it and has a better answer keeps that, except about a body that it
        could not read to its end.
        """
        return refusal.status == TOO_LARGE or self.status >= _LEAST_ERROR

    def _begin_refusal(self, refusal: Refusal) -> None:
        self.replacement = refusal.body()
        self._reply(refusal.status, refusal.all_headers(self.replacement))

    def _reply(self, status: int, headers: Headers) -> None:
        self.status = status
        with SHIELD:
            headers = self._dressed(headers)
        self._start_response(f"{status} {HTTPStatus(status).phrase}", headers)

    def _dressed(self, headers: Headers) -> Headers:
        """Return the response's headers with what the guard adds and without what it removes."""
        seconds = self._clock.monotonic() - self._started
        return self._seen.rules.for_wsgi.response(self._seen, headers, seconds)


class _Late:
    """The body of an app that says how its response begins only when the body is asked for."""

    def __init__(self, body: Iterable[bytes], exchange: _Exchange) -> None:
        self._body = body
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        exchange = self._exchange
        try:
            for part in self._body:
                if exchange.replacement is not None:
                    break
                yield part
        except Refused as refused:
            if exchange.has_begun:
                raise
            exchange.refuse(refused.refusal)
        if exchange.replacement is not None:
            yield exchange.replacement

    def close(self) -> None:
        if hasattr(self._body, "close"):
            self._body.close()


class _CountedInput:
    """The body of a request whose length nobody declared, read only up to the limit."""

    def __init__(self, stream: Any, passage: WSGIPassage, most_bytes: int) -> None:  # noqa: ANN401 - wsgi.input
        self._stream = stream
        self._passage = passage
        self._most_bytes = most_bytes
        self._left = most_bytes

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size >= 0:
            return self._counted(self._stream.read(min(size, self._left + 1)))
        return b"".join(iter(lambda: self.read(_CHUNK_BYTES), b""))

    def readline(self, size: int | None = -1) -> bytes:
        most = self._left + 1 if size is None or size < 0 else min(size, self._left + 1)
        return self._counted(self._stream.readline(most))

    def readlines(self, _hint: int | None = None) -> list[bytes]:
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _counted(self, part: bytes) -> bytes:
        self._left -= len(part)
        if self._left < 0:
            refusal = body_too_large(self._most_bytes)
            if enforced(self._passage, refusal):
                raise refused_in(self._passage, refusal)
            self._left = self._most_bytes  # only simulated: go on, and count from here
        return part


def _count_input(passage: WSGIPassage, environ: Environ) -> None:
    """Count the body while it is read; one with a declared length was measured already."""
    most = passage.rules.most_body_bytes
    declared = environ.get("CONTENT_LENGTH") and "HTTP_TRANSFER_ENCODING" not in environ
    if most is not None and not declared and "wsgi.input" in environ:
        environ["wsgi.input"] = _CountedInput(environ["wsgi.input"], passage, most)


def _write_nothing(_part: bytes) -> None:
    """Stand for the server's ``write`` while the app's response is replaced."""
