"""Real servers for the apps under test, and one small client."""

import http.client
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import uvicorn
from typing_extensions import override
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler, make_server

PATIENCE_SECONDS = 60.0


@contextmanager
def served_asgi(app: Any, *, ws: Any = "none", **options: Any) -> Iterator[int]:
    """Serve the app with uvicorn; gives the port."""
    config = uvicorn.Config(
        app, port=0, ws=ws, log_level="critical", timeout_graceful_shutdown=1, **options
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    eventually(lambda: server.started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


class _Quiet(WSGIRequestHandler):
    @override
    def log(self, type: str, message: str, *args: object) -> None:
        pass


@contextmanager
def served_wsgi(app: Any) -> Iterator[int]:
    """Serve the app with werkzeug; gives the port. At the end every request is over."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    assert isinstance(server, ThreadedWSGIServer)
    server.daemon_threads = False  # so that closing the server waits for them
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(
    port: int, path: str, method: str = "GET", headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request(method, path, headers=dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def eventually(condition: Callable[[], object]) -> None:
    """Wait until the condition holds, and fail when it never does.

    Other programs may hold the processors for seconds, so it is asked for long. That something is
    quick is told by asking again whether it is: a busy machine is not busy at every try.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)
