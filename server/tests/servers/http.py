"""A scriptable HTTP receiver: records what arrives and answers as it is told, also badly."""

import contextlib
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.servers.processes import free_port
from tests.waiting import PATIENCE_SECONDS
from typing_extensions import override

MAX_KEPT_REQUESTS = 100_000
HANG_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Received:
    """One request as it arrived; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What to do with one request.

    `chunks` are sent one by one with `seconds_between_chunks` between them, without a length, and
    the connection ends after the last. `hang` never answers, `held_until` not before the event is
    set. `close` drops the connection at once.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    delay_seconds: float = 0.0
    chunks: Sequence[bytes] = ()
    seconds_between_chunks: float = 0.0
    hang: bool = False
    held_until: threading.Event | None = None
    close: bool = False


class HttpReceiver:
    """An HTTP/1.1 server in threads of this process; `requests` lists all that arrived.

    Answers given to `answer` are used up in order; when none is left, the answer set for the path
    by `answer_at` is given, or else 200 `ok`. It may be stopped and started again and keeps its
    port, its requests and its answers.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = free_port()
        self.requests: list[Received] = []
        self._tls = tls
        self._arrived = threading.Condition()
        self._next: deque[Answer] = deque()
        self._by_path: dict[str, Answer] = {}
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{self.host}:{self.port}"

    def answer(self, *answers: Answer) -> None:
        """Give these answers, in this order, to the next requests."""
        with self._arrived:
            self._next.extend(answers)

    def answer_at(self, path: str, answer: Answer) -> None:
        """Give this answer to every request for the path (without query) from now on."""
        with self._arrived:
            self._by_path[path] = answer

    def wait_for(self, count: int, *, timeout_seconds: float = PATIENCE_SECONDS) -> list[Received]:
        """Return all requests once there are at least `count`; raise `TimeoutError` otherwise."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.requests) >= count, timeout_seconds):
                raise TimeoutError(f"{len(self.requests)} of {count} requests arrived")
            return list(self.requests)

    def clear(self) -> None:
        """Forget all requests and answers."""
        with self._arrived:
            self.requests.clear()
            self._next.clear()
            self._by_path.clear()

    def start(self) -> None:
        assert self._server is None, "the receiver runs already"
        self._server = _Server(self, self.host, self.port, self._tls)
        self._server.thread.start()

    def stop(self) -> None:
        """Refuse new connections and cut the open ones."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    @property
    def connections(self) -> int:
        """How many connections were accepted since the last start."""
        return 0 if self._server is None else self._server.accepted

    def _take(self, received: Received) -> Answer:
        with self._arrived:
            assert len(self.requests) < MAX_KEPT_REQUESTS, "call clear() now and then"
            self.requests.append(received)
            self._arrived.notify_all()
            if self._next:
                return self._next.popleft()
            return self._by_path.get(received.path.partition("?")[0], Answer())


class _Server(ThreadingHTTPServer):
    """Listen, and keep track of the open connections so that stopping cuts them."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(
        self, receiver: HttpReceiver, host: str, port: int, tls: ssl.SSLContext | None
    ) -> None:
        self.receiver = receiver
        self.tls = tls
        self.stopping = threading.Event()
        self.accepted = 0
        self.open_sockets: set[socket.socket] = set()
        self.lock = threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)
        self.thread = threading.Thread(
            target=self.serve_forever, args=(0.02,), name="http-receiver", daemon=True
        )

    @override
    def server_bind(self) -> None:
        # The standard one asks the name service for our own name, which can take seconds.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def stop(self) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()
        with self.lock:
            for connection in self.open_sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.thread.join(5)

    @override
    def finish_request(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        assert isinstance(request, socket.socket), "the tuple is for datagrams"
        with self.lock:
            self.accepted += 1
            self.open_sockets.add(request)
        try:
            with contextlib.suppress(OSError, ssl.SSLError):
                self._serve(request, client_address)
        finally:
            with self.lock:
                self.open_sockets.discard(request)

    def _serve(self, request: socket.socket, client_address: object) -> None:
        if self.tls is None:
            _Handler(request, client_address, self)
            return
        # The handshake is done in the connection's own thread, so that a client that never
        # says hello holds nobody else up.
        with self.tls.wrap_socket(
            request.dup(), server_side=True, suppress_ragged_eofs=True
        ) as wrapped:
            _Handler(wrapped, client_address, self)


class _Handler(BaseHTTPRequestHandler):
    """Record one request and play its answer."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or head and body are 40 ms apart on a kept connection
    server: _Server

    def _receive(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        chunked = "chunked" in self.headers.get("transfer-encoding", "")
        body = self._read_chunks() if chunked else self.rfile.read(length)
        if len(body) < length:  # its sender was killed in the middle of it: nothing has arrived
            self.close_connection = True
            return
        answer = self.server.receiver._take(
            Received(
                method=self.command,
                path=self.path,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=body,
                at=datetime.now(UTC),
            )
        )
        self._play(answer)

    def _read_chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def _play(self, answer: Answer) -> None:
        self._hold_back(answer)
        if answer.hang or answer.close:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.chunks:
            self._drip(answer)
            return
        if "content-length" not in {name.lower() for name in answer.headers}:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _hold_back(self, answer: Answer) -> None:
        if answer.hang:
            self.server.stopping.wait(HANG_SECONDS)
        if answer.held_until is not None:
            answer.held_until.wait(HANG_SECONDS)
        if answer.delay_seconds:
            self.server.stopping.wait(answer.delay_seconds)

    def _drip(self, answer: Answer) -> None:
        self.close_connection = True
        self.send_header("Connection", "close")
        self.end_headers()
        for chunk in answer.chunks:
            self.wfile.write(chunk)
            self.wfile.flush()
            if self.server.stopping.is_set():
                return
            time.sleep(answer.seconds_between_chunks)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _receive  # noqa: N815  the names http.server looks for

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: what arrived is in `requests`."""


@contextmanager
def running_http(
    *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> Iterator[HttpReceiver]:
    """Yield a receiver on a free loopback port; `tls` makes it speak https."""
    receiver = HttpReceiver(tls=tls, host=host)
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.stop()


@pytest.fixture
def http_receiver() -> Iterator[HttpReceiver]:
    with running_http() as receiver:
        yield receiver
