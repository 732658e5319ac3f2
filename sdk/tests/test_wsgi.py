"""WSGI apps over real sockets: the right name, status and duration for each request."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import mainstay
import pytest
from flask import Blueprint, Flask, Response
from tests.app_servers import PATIENCE_SECONDS, ask, eventually, served_wsgi
from tests.capture_server import Capture, a_server
from werkzeug.middleware.dispatcher import DispatcherMiddleware


def names_of(app: Any, *paths: str) -> list[tuple[str, int]]:
    """Ask the app for the paths; return the name and status that each was reported with, sorted.

    A request is noted when its thread is done, which may be after the next one's.
    """
    with a_server() as server:
        mainstay.init(server.dsn)
        with served_wsgi(app) as port:
            for path in paths:
                ask(port, path)
        assert mainstay.flush(PATIENCE_SECONDS)
        return sorted((request["path"], request["status"]) for request in server.requests)


def a_flask_app() -> Flask:
    app = Flask("shop")
    orders = Blueprint("orders", "orders", url_prefix="/orders")

    @orders.get("/<int:order_id>/lines/<line>")
    def read_line(order_id: int, line: str) -> str:
        return line

    @app.get("/fails/<name>")
    def fails(name: str) -> str:
        raise ZeroDivisionError

    app.register_blueprint(orders)
    return app


FLASK_NAMES = [
    ("/orders/4/lines/x", "/orders/<int:order_id>/lines/<line>", 200),
    ("/fails/x", "/fails/<name>", 500),
    ("/orders/none/lines/x", "(unmatched)", 404),
    ("/wp-login.php", "(unmatched)", 404),
]


@pytest.mark.parametrize("inside", [True, False])
def test_flask_requests_are_counted_under_their_rule(inside: bool) -> None:  # noqa: FBT001 - pytest
    app: Any = a_flask_app()
    if inside:
        app.wsgi_app = mainstay.WSGIMiddleware(app.wsgi_app)
    else:
        app = mainstay.WSGIMiddleware(app)

    assert names_of(app, *(path for path, _, _ in FLASK_NAMES)) == sorted(
        (name, status) for _, name, status in FLASK_NAMES
    )


def test_flask_below_a_dispatcher_is_counted_with_its_prefix() -> None:
    other = Flask("other")
    app = mainstay.WSGIMiddleware(DispatcherMiddleware(other.wsgi_app, {"/shop": a_flask_app()}))

    assert names_of(app, "/shop/orders/4/lines/x", "/shop/nothing", "/nothing") == [
        ("(unmatched)", 404),
        ("(unmatched)", 404),
        ("/shop/orders/<int:order_id>/lines/<line>", 200),
    ]


def test_an_exception_that_flask_lets_through_is_a_500_of_its_rule() -> None:
    app = a_flask_app()
    app.testing = True
    app.wsgi_app = mainstay.WSGIMiddleware(app.wsgi_app)  # type: ignore[method-assign] # Flask's own advice
    with a_server() as server:
        mainstay.init(server.dsn)
        with pytest.raises(ZeroDivisionError):
            app.test_client().get("/fails/x")
        request = reported(server)
    assert (request["path"], request["status"]) == ("/fails/<name>", 500)


def reported(server: Capture) -> dict[str, Any]:
    eventually(lambda: mainstay.flush(1) and server.requests)
    [request] = server.requests
    return request


def bare(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("201 Created", [("Content-Type", "text/plain")])
    return [b"hello"]


def test_a_bare_app_is_counted_under_its_path_without_ids() -> None:
    assert names_of(mainstay.WSGIMiddleware(bare), "/users/77?q=secret") == [("/users/{id}", 201)]


def test_a_body_in_memory_keeps_its_length_so_that_servers_know_it() -> None:
    mainstay.init("http://k@127.0.0.1:9/1")

    body: Any = mainstay.WSGIMiddleware(bare)(an_environ(), lambda *_: None)

    assert len(body) == 1
    assert list(body) == [b"hello"]


def an_environ() -> dict[str, Any]:
    return {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SCRIPT_NAME": ""}


def test_the_duration_runs_to_the_last_byte_of_a_stream() -> None:
    app = Flask("stream")

    @app.get("/stream")
    def stream() -> Response:
        def slowly() -> Iterator[bytes]:
            for _ in range(3):
                yield b"x" * 10
                time.sleep(0.1)

        return Response(slowly())

    with a_server() as server, served_wsgi(mainstay.WSGIMiddleware(app)) as port:
        mainstay.init(server.dsn)
        _, body = ask(port, "/stream")

        assert body == b"x" * 30
        request = reported(server)
    assert (request["path"], request["durationMs"] >= 300) == ("/stream", True)


def test_a_stream_that_fails_halfway_is_counted_as_500_and_still_raises() -> None:
    def fails(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"x"
        raise ZeroDivisionError

    with a_server() as server:
        mainstay.init(server.dsn)
        body = mainstay.WSGIMiddleware(fails)(an_environ(), lambda *_: None)
        with pytest.raises(ZeroDivisionError):
            list(body)
        assert reported(server)["status"] == 500


def test_a_client_that_goes_away_is_counted_as_499_and_the_app_may_clean_up() -> None:
    cleaned = []
    app = Flask("stream")

    @app.get("/stream")
    def stream() -> Response:
        def for_ever() -> Iterator[bytes]:
            try:
                while True:
                    yield b"x" * 65_536
            finally:
                cleaned.append("yes")

        return Response(for_ever())

    with a_server() as server, served_wsgi(mainstay.WSGIMiddleware(app)) as port:
        mainstay.init(server.dsn)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
            connection.recv(100)

        assert reported(server)["status"] == 499
    assert cleaned == ["yes"]


def test_the_trace_and_the_socket_peer_are_reported() -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {
        "traceparent": f"00-{trace_id}-00f067aa0ba902b7-01",
        "X-Forwarded-For": "198.51.100.1",
    }
    with a_server() as server, served_wsgi(mainstay.WSGIMiddleware(bare)) as port:
        mainstay.init(server.dsn)
        ask(port, "/", headers=headers)

        request = reported(server)
    assert (request["traceId"], request["clientAddress"]) == (trace_id, "127.0.0.1")
