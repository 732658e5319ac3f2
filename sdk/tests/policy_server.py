"""A small server that gives a guard policy, keeps questions open, and takes reports."""

import gzip
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.guarding import a_bare_policy
from typing_extensions import override

KEY = "mst_guard_4Zt0mV8kq2"


@dataclass
class Question:
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]


@dataclass
class PolicyServer:
    """What it says: ``status`` and ``body``; each change of it answers the open questions."""

    port: int = 0
    status: int = 200
    body: bytes = b""
    etag: str = ""
    asked: list[Question] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    report_headers: list[dict[str, str]] = field(default_factory=list)
    report_status: int = 200
    changed: threading.Condition = field(default_factory=threading.Condition)
    over: bool = False

    @property
    def dsn(self) -> str:
        return f"http://ingest:{KEY}@127.0.0.1:{self.port}/prefix/7"

    def publish(self, version: int, **sections: Any) -> None:
        body = json.dumps(a_bare_policy(version=version, **sections)).encode()
        self.say(200, body, etag=f'"{version}"')

    def say(self, status: int, body: bytes, *, etag: str = "") -> None:
        with self.changed:
            self.status, self.body, self.etag = status, body, etag
            self.changed.notify_all()

    def end(self) -> None:
        with self.changed:
            self.over = True
            self.changed.notify_all()

    def passages(self) -> list[dict[str, Any]]:
        return [passage for report in self.reports for passage in report["passages"]]


@contextmanager
def a_policy_server(port: int = 0) -> Iterator[PolicyServer]:  # noqa: C901 - a server in one piece
    told = PolicyServer()

    class Door(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            query = parse_qs(address.query)
            with told.changed:
                told.asked.append(Question(address.path, query, headers))
                known = headers.get("if-none-match")
                if known and told.status == 200:
                    wait = int(query["wait"][0])
                    told.changed.wait_for(lambda: told.over or told.etag != known, wait)
                if told.over:
                    self.close_connection = True
                    return
                status = 304 if told.status == 200 and told.etag == known else told.status
                self.answer(status, b"" if status == 304 else told.body, told.etag)

        def do_POST(self) -> None:
            body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/prefix/api/guard/report":
                told.reports.append(json.loads(body))
                told.report_headers.append({n.lower(): v for n, v in self.headers.items()})
            self.answer(told.report_status, b"{}", "")

        def answer(self, status: int, body: bytes, etag: str) -> None:
            self.send_response(status)
            if etag:
                self.send_header("ETag", etag)
            if status != 304:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, format: str, *args: object) -> None:
            pass

    class Quiet(http.server.ThreadingHTTPServer):
        daemon_threads = True
        allow_reuse_address = True

        @override
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # clients hang up; that is what some tests are about

    server = Quiet(("127.0.0.1", port), Door)
    told.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield told
    finally:
        told.end()
        server.shutdown()
        server.server_close()
        thread.join()
