"""A small server that answers ClickHouse's HTTP protocol from chDB, the same engine.

What it is not: a cluster, several users, or sessions. Run as a program it serves one folder.
"""

import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit
from urllib.request import urlopen
from uuid import uuid4

import chdb
from tests.servers.processes import ServerProcess, free_port
from tests.waiting import PATIENCE_SECONDS
from typing_extensions import override

NOT_SETTINGS = {
    "query",
    "query_id",
    "database",
    "compress",
    "client_protocol_version",
    "wait_end_of_query",
}
IMPORT_PATH = Path(__file__).parents[2]


class ClickHouseServer:
    """A running server over `folder`."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self._process = ServerProcess(
            [
                sys.executable,
                "-m",
                "tests.servers.clickhouse",
                str(folder / "store"),
                str(self.port),
            ],
            log=folder / "server.log",
            is_ready=lambda: self._ask("/ping"),
            environment={"PYTHONPATH": str(IMPORT_PATH)},
        )

    def new_database(self) -> str:
        """Create an empty database and return the URL of it, as `open_columns` takes it."""
        name = f"test_{uuid4().hex}"
        self._ask("/?" + urlencode({"query": f"CREATE DATABASE {name}"}))
        return f"clickhouse://127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        self._process.start()

    def kill(self) -> None:
        self._process.kill()

    def stop(self) -> None:
        self._process.stop(signal_number=signal.SIGTERM)

    def lose_answers(self, count: int) -> None:
        """Do what the next inserts ask for, but break the connection instead of answering."""
        self._ask(f"/lose-answers/{count}")

    def _ask(self, path: str) -> None:
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE_SECONDS):
            pass


@contextmanager
def clickhouse_server(folder: Path) -> Iterator[ClickHouseServer]:
    """Run a server over an empty folder until the block ends."""
    server = ClickHouseServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store = ""
    answers_to_lose = 0

    def do_GET(self) -> None:
        if self.path.startswith("/lose-answers/"):
            _Handler.answers_to_lose = int(self.path.rsplit("/", 1)[1])
        if self.path.startswith("/?"):
            self.do_POST()
        else:
            self._answer(200, b"Ok.\n", {})

    def do_POST(self) -> None:
        given = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        sql, data = (given["query"], body) if "query" in given else (body.decode(), b"")
        database = given.get("database", "default")
        values = {k.removeprefix("param_"): v for k, v in given.items() if k.startswith("param_")}
        settings = {
            k: v for k, v in given.items() if k not in NOT_SETTINGS and not k.startswith("param_")
        }
        try:
            answer = _run(self.store, database, sql, data, values=values, settings=settings)
        except RuntimeError as error:
            found = re.search(r"Code: (\d+)", str(error))
            headers = {"X-ClickHouse-Exception-Code": found.group(1)} if found else {}
            self._answer(500, str(error).encode(), headers)
            return
        if sql.startswith("INSERT") and _Handler.answers_to_lose > 0:
            _Handler.answers_to_lose -= 1
            self.close_connection = True
            return
        headers = {"X-ClickHouse-Timezone": "UTC"}
        if answer:
            headers["X-ClickHouse-Format"] = "Native" if "FORMAT Native" in sql else "TabSeparated"
        self._answer(200, answer, headers)

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, *args: object) -> None:
        """Say nothing: the log is for what breaks."""


def _run(
    store: str,
    database: str,
    sql: str,
    data: bytes,
    *,
    values: Mapping[str, str],
    settings: Mapping[str, str],
) -> bytes:
    """Answer one statement; the data of an INSERT is read from memory, as from a file."""
    memory = os.memfd_create("body")
    handle = chdb.connect(store)
    try:
        handle.query(f"USE `{database}`")
        for name, value in settings.items():
            handle.query(f"SET {name} = '{value}'")
        if sql.startswith("INSERT") and data:
            os.write(memory, data)
            path = f"/proc/self/fd/{memory}"
            statement, _, form = sql.rpartition(" FORMAT ")
            sql = (
                statement.replace("input(", f"file('{path}', '{form}', ")
                if " SELECT " in statement
                else f"{statement} FROM INFILE '{path}' FORMAT {form}"
            )
        answer: bytes = handle.query(sql, "TabSeparated", params=dict(values)).bytes() or b""
        return answer
    finally:
        handle.close()
        os.close(memory)


def main() -> None:
    """Serve the folder and port of the command line until SIGTERM."""
    store, port = sys.argv[1:]
    _Handler.store = store
    keep_open = chdb.connect(store)
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), _Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    keep_open.close()


if __name__ == "__main__":
    main()
