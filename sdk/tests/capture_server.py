"""A server that writes down what the SDK sends, and answers as it is told."""

import gzip
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

Answer = Callable[[int], tuple[int, dict[str, str]]]


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    message: dict[str, Any]
    connection: int
    at: float


@dataclass
class Capture:
    port: int
    batches: list[Received] = field(default_factory=list)

    @property
    def dsn(self) -> str:
        return f"http://a1b2c3@127.0.0.1:{self.port}/7"

    @property
    def requests(self) -> list[dict[str, Any]]:
        return [request for batch in self.batches for request in batch.message["requests"]]

    def paths(self) -> list[str]:
        return [request["path"] for request in self.requests]


def accept(_nth: int) -> tuple[int, dict[str, str]]:
    return 200, {}


@contextmanager
def a_server(
    answer: Answer = accept, *, hang_seconds: float = 0.0, hangs_up: bool = False
) -> Iterator[Capture]:
    """Run the server; ``answer`` gets the number of the batch, from 0.

    ``hangs_up`` closes each connection after its answer without a word, like an idle time-out.
    """
    released = threading.Event()

    class Door(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
            nth = len(capture.batches)
            headers = {name.lower(): value for name, value in self.headers.items()}
            port = self.client_address[1]
            capture.batches.append(
                Received(self.path, headers, json.loads(body), port, time.monotonic())
            )
            released.wait(hang_seconds)
            status, extra = answer(nth)
            self.send_response(status)
            for name, value in {"Content-Length": "2", **extra}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"{}")
            self.close_connection = hangs_up

        @override
        def log_message(self, format: str, *args: object) -> None:
            pass

    class Quiet(http.server.ThreadingHTTPServer):
        daemon_threads = True

        @override
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # the client may hang up; that is what some tests are about

    server = Quiet(("127.0.0.1", 0), Door)
    capture = Capture(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield capture
    finally:
        released.set()
        server.shutdown()
        server.server_close()
        thread.join()
