"""Hundreds of clients that begin a request and never finish it: nobody else notices."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
from tests.journeys.running import TOKEN, Mainstay, running_mainstay
from tests.waiting import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.slow

TIMED_OUT = "HTTP/1.1 408 Request Timeout"
OF_A_KIND = 200
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"
# By constants of the server 10 s for a head and 20 s for a body; more when others take the machine.
LET_GO_SECONDS = 120
MOST_GROWTH_MIB = 48


@pytest.fixture(scope="module")
def mainstay() -> Iterator[Mainstay]:
    with running_mainstay() as server:
        yield server


def half_requests(mainstay: Mainstay) -> dict[str, bytes]:
    """The beginning of a request, by what is slow about it."""
    project = mainstay.project
    door = f"/api/{project['number']}/envelope/?sentry_key={project['ingestKey']}"
    head = "Host: x\r\nContent-Length: 100000\r\n"
    api = f"POST /api/projects HTTP/1.1\r\n{head}Authorization: Bearer {TOKEN}\r\n\r\n"
    return {
        "silence": b"",
        "head": f"POST {door} HTTP/1.1\r\nHost: x\r\n".encode(),
        "body at a door": f"POST {door} HTTP/1.1\r\n{head}\r\n{{}}\n".encode(),
        "body at a route": api.encode() + b'{"name":',
        "body of a form": f"POST /login HTTP/1.1\r\n{head}{FORM}\r\n".encode() + b"email=",
    }


def test_half_a_thousand_half_requests_neither_stop_nor_fill_the_server(mainstay: Mainstay) -> None:
    host, port = urlsplit(mainstay.url).hostname, urlsplit(mainstay.url).port
    kinds = half_requests(mainstay)
    assert ask(mainstay, times=100) == {200}  # what a server has used once it keeps
    before = memory_mib(mainstay)
    with ExitStack() as stack:
        slow: dict[str, list[socket.socket]] = {kind: [] for kind in kinds}
        for _ in range(OF_A_KIND):
            for kind, beginning in kinds.items():
                connection = stack.enter_context(socket.create_connection((host, port)))
                connection.sendall(beginning)
                slow[kind].append(connection)
        stopping = threading.Event()
        dripping = threading.Thread(target=drip, args=(slow["head"], stopping))
        dripping.start()
        try:
            assert open_connections(mainstay) > OF_A_KIND * 4
            assert ask(mainstay, times=50) == {200}
            assert memory_mib(mainstay) - before < MOST_GROWTH_MIB
            eventually(lambda: open_connections(mainstay) < 5, within_seconds=LET_GO_SECONDS)
        finally:
            stopping.set()
            dripping.join()
        for kind in ("body at a door", "body at a route"):
            assert {first_line(connection) for connection in slow[kind]} == {TIMED_OUT}, kind
        # Of one address only so many may try a password at once, slowly or not.
        forms = {first_line(connection) for connection in slow["body of a form"]}
        assert forms == {TIMED_OUT, "HTTP/1.1 429 Too Many Requests"}
        assert {first_line(connection) for connection in slow["silence"]} == {""}
    assert memory_mib(mainstay) - before < MOST_GROWTH_MIB
    assert mainstay.project["slug"] == "inspections"


def ask(mainstay: Mainstay, *, times: int) -> set[int]:
    path = f"{mainstay.url}/api/health/live"
    return {httpx.get(path, timeout=PATIENCE_SECONDS).status_code for _ in range(times)}


def memory_mib(mainstay: Mainstay) -> float:
    """What the process holds for itself: without the files that it has mapped."""
    status = Path(f"/proc/{mainstay.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(line.split()[1]) / 1024


def drip(connections: list[socket.socket], stopping: threading.Event) -> None:
    """One header more now and then, as the tools of those who attack do."""
    while not stopping.wait(2):
        for number, connection in enumerate(connections):
            with suppress(OSError):  # let go already
                connection.sendall(b"X-More: %d\r\n" % number)


def open_connections(mainstay: Mainstay) -> int:
    text = httpx.get(f"{mainstay.url}/metrics", timeout=PATIENCE_SECONDS).text
    (line,) = [li for li in text.splitlines() if li.startswith("mainstay_http_connections ")]
    return int(float(line.split()[1]))


def first_line(connection: socket.socket) -> str:
    connection.settimeout(PATIENCE_SECONDS)
    return connection.recv(65_536).partition(b"\r\n")[0].decode()
