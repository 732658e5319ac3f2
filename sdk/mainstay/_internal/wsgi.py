"""Measure the requests of a WSGI app."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mainstay._internal import django, flask
from mainstay._internal.client import Client, active_client
from mainstay._internal.clock import Clock
from mainstay._internal.health import Health
from mainstay._internal.message import MeasuredRequest, known_method
from mainstay._internal.metrics import Metrics
from mainstay._internal.routes import UNMATCHED, Seen, cut, without_ids
from mainstay._internal.shield import SHIELD
from mainstay._internal.trace import trace_id_of

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]

KEY = "mainstay"
CLIENT_CLOSED_REQUEST = 499
SERVER_ERROR = 500


class WSGIMiddleware:
    """Measure every request of a WSGI app, and serve its health.

    Works around the whole app as well as inside Flask
    (``app.wsgi_app = mainstay.WSGIMiddleware(app.wsgi_app)``); a request that passes several is
    counted once. The duration runs until the server closes the body. The status is 500 when the
    app raised (the exception goes on as it was) and 499 when the server closed the body before
    its end, because the client went away. Requests are counted under the route template of Flask
    or Django, or ``(unmatched)``.
    """

    def __init__(self, app: WSGIApp, *, health: Health | None = None) -> None:
        self.app = app
        self._health = health
        self._routing = flask.find_routing(app)
        self._routed = django.watch_routes(app) or self._routing is not None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if KEY in environ:
            return self.app(environ, start_response)
        if self._health is not None:
            body = self._health.answer_wsgi(environ, start_response)
            if body is not None:
                return body
        client = active_client()
        if client is None and self._health is None:
            return self.app(environ, start_response)
        seen = environ[KEY] = Seen(routed=self._routed)
        metrics = None if self._health is None else self._health.metrics
        exchange = Exchange(environ, start_response, seen=seen, client=client, metrics=metrics)
        try:
            body = self.app(environ, exchange.start_response)
        except BaseException:
            exchange.fail(self._routing)
            raise
        return watched(body, exchange)


class Exchange:
    """One request and its response, as they pass."""

    __slots__ = (
        "_at",
        "_client",
        "_clock",
        "_done",
        "_environ",
        "_metrics",
        "_script",
        "_seen",
        "_start_response",
        "_started",
        "route",
        "status",
    )

    def __init__(
        self,
        environ: Environ,
        start_response: StartResponse,
        *,
        seen: Seen,
        client: Client | None,
        metrics: Metrics | None = None,
    ) -> None:
        self._client = client
        self._metrics = metrics
        self._environ = environ
        self._start_response = start_response
        self._seen = seen
        self._script = environ.get("SCRIPT_NAME", "")
        self._done = False
        self.route: str | None = None
        self.status = SERVER_ERROR
        self._clock = Clock() if client is None else client.clock
        self._at = self._clock.wall()
        self._started = self._clock.monotonic()

    def start_response(self, status: str, *rest: Any) -> Any:  # noqa: ANN401 - the server's write()
        with SHIELD:
            self.note(status)
        return self._start_response(status, *rest)

    def note(self, status: str) -> None:
        """Take down what the response begins with."""
        self.status = int(status[:3])
        # Flask forgets its request before the body is sent, so it is asked now.
        self.route = flask.route_of_current(self._environ, self._seen)

    def fail(self, routing: Any) -> None:  # noqa: ANN401 - a werkzeug Map, and werkzeug may be absent
        """Record that the app raised."""
        with SHIELD:
            self.route = self.route or flask.route_of_raised(routing, self._environ)
        self.finish(SERVER_ERROR)

    def was_head(self) -> bool:
        return bool(self._environ.get("REQUEST_METHOD") == "HEAD")

    def finish(self, status: int) -> None:
        """Record the request, the first time this is called."""
        if self._done:
            return
        self._done = True
        try:
            if self._metrics is not None:
                seconds = self._clock.monotonic() - self._started
                self._metrics.count(self._environ["REQUEST_METHOD"], status, seconds)
            self.record(status)
        except Exception as error:  # noqa: BLE001 - what the shield is for
            SHIELD.swallow(error)

    def record(self, status: int) -> None:
        """Hand what was measured to the client."""
        environ = self._environ
        traceparent = environ.get("HTTP_TRACEPARENT")
        if self._client is not None:
            self._client.record(
                MeasuredRequest(
                    at=self._at,
                    method=known_method(environ["REQUEST_METHOD"]),
                    path=self.path(),
                    status=status,
                    duration_seconds=self._clock.monotonic() - self._started,
                    client_address=environ.get("REMOTE_ADDR") or "",
                    trace_id=trace_id_of(traceparent) if traceparent else None,
                )
            )

    def path(self) -> str:
        """Return the name that the request is counted under."""
        script = self._environ.get("SCRIPT_NAME", "")
        route = self._seen.route or self.route
        if route is not None:
            # A dispatcher above the framework moved the front of the path into SCRIPT_NAME.
            return cut(without_ids(script.removeprefix(self._script)).rstrip("/") + route)
        if self._seen.routed:
            return UNMATCHED
        return without_ids(script + self._environ.get("PATH_INFO", ""))


def watched(body: Iterable[bytes], exchange: Exchange) -> Iterable[bytes]:
    """Return the app's body, watched to its end."""
    return (_SizedBody if isinstance(body, (list, tuple)) else Body)(body, exchange)


class Body:
    """The app's body, watched to its end."""

    __slots__ = ("_body", "_exchange", "_iterator")

    def __init__(self, body: Iterable[bytes], exchange: Exchange) -> None:
        self._body = body
        self._exchange = exchange
        self._iterator: Iterator[bytes] | None = None

    def __iter__(self) -> "Body":
        return self

    def __next__(self) -> bytes:
        try:
            if self._iterator is None:
                self._iterator = iter(self._body)
            return next(self._iterator)
        except StopIteration:
            # The server has sent every chunk before it asks for one more.
            self._exchange.finish(self._exchange.status)
            raise
        except BaseException:
            self._exchange.finish(SERVER_ERROR)
            raise

    def close(self) -> None:
        try:
            if hasattr(self._body, "close"):
                self._body.close()
        finally:
            complete = self._exchange.was_head()
            self._exchange.finish(self._exchange.status if complete else CLIENT_CLOSED_REQUEST)


class _SizedBody(Body):
    """A body in memory: servers derive Content-Length from the length of a list of one."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]  # only made for lists and tuples
