"""Measure the requests of a WSGI app."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mainstay._internal import django, flask
from mainstay._internal.client import Client, active_client
from mainstay._internal.health import Health
from mainstay._internal.message import MeasuredRequest, known_method
from mainstay._internal.routes import UNMATCHED, Seen, cut, without_ids
from mainstay._internal.shield import SHIELD
from mainstay._internal.trace import trace_id_of

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]

_KEY = "mainstay"
_CLIENT_CLOSED_REQUEST = 499
_SERVER_ERROR = 500


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
        if _KEY in environ:
            return self.app(environ, start_response)
        if self._health is not None:
            body = self._health.answer_wsgi(environ, start_response)
            if body is not None:
                return body
        client = active_client()
        if client is None:
            return self.app(environ, start_response)
        exchange = _Exchange(client, environ, start_response, routed=self._routed)
        try:
            body = self.app(environ, exchange.start_response)
        except BaseException:
            with SHIELD:
                exchange.route = exchange.route or flask.route_of_raised(self._routing, environ)
            exchange.finish(_SERVER_ERROR)
            raise
        kind = _SizedBody if isinstance(body, (list, tuple)) else _Body
        return kind(body, exchange)


class _Exchange:
    """One request and its response, as they pass."""

    __slots__ = (
        "_at",
        "_client",
        "_done",
        "_environ",
        "_script",
        "_seen",
        "_start_response",
        "_started",
        "route",
        "status",
    )

    def __init__(
        self, client: Client, environ: Environ, start_response: StartResponse, *, routed: bool
    ) -> None:
        self._client = client
        self._environ = environ
        self._start_response = start_response
        self._seen = environ[_KEY] = Seen(routed=routed)
        self._script = environ.get("SCRIPT_NAME", "")
        self._done = False
        self.route: str | None = None
        self.status = _SERVER_ERROR
        self._at = client.clock.wall()
        self._started = client.clock.monotonic()

    def start_response(self, status: str, *rest: Any) -> Any:  # noqa: ANN401 - the server's write()
        with SHIELD:
            self.status = int(status[:3])
            # Flask forgets its request before the body is sent, so it is asked now.
            self.route = flask.route_of_current(self._environ, self._seen)
        return self._start_response(status, *rest)

    def was_head(self) -> bool:
        return bool(self._environ.get("REQUEST_METHOD") == "HEAD")

    def finish(self, status: int) -> None:
        """Record the request, the first time this is called."""
        if self._done:
            return
        self._done = True
        with SHIELD:
            environ = self._environ
            traceparent = environ.get("HTTP_TRACEPARENT")
            self._client.record(
                MeasuredRequest(
                    at=self._at,
                    method=known_method(environ["REQUEST_METHOD"]),
                    path=self._path(),
                    status=status,
                    duration_seconds=self._client.clock.monotonic() - self._started,
                    client_address=environ.get("REMOTE_ADDR") or "",
                    trace_id=trace_id_of(traceparent) if traceparent else None,
                )
            )

    def _path(self) -> str:
        script = self._environ.get("SCRIPT_NAME", "")
        route = self._seen.route or self.route
        if route is not None:
            # A dispatcher above the framework moved the front of the path into SCRIPT_NAME.
            return cut(without_ids(script.removeprefix(self._script)).rstrip("/") + route)
        if self._seen.routed:
            return UNMATCHED
        return without_ids(script + self._environ.get("PATH_INFO", ""))


class _Body:
    """The app's body, watched to its end."""

    __slots__ = ("_body", "_exchange", "_iterator")

    def __init__(self, body: Iterable[bytes], exchange: _Exchange) -> None:
        self._body = body
        self._exchange = exchange
        self._iterator: Iterator[bytes] | None = None

    def __iter__(self) -> "_Body":
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
            self._exchange.finish(_SERVER_ERROR)
            raise

    def close(self) -> None:
        try:
            if hasattr(self._body, "close"):
                self._body.close()
        finally:
            complete = self._exchange.was_head()
            self._exchange.finish(self._exchange.status if complete else _CLIENT_CLOSED_REQUEST)


class _SizedBody(_Body):
    """A body in memory: servers derive Content-Length from the length of a list of one."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]  # only made for lists and tuples
