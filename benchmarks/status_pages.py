"""Claim: a status page in a storm costs two to three times what saying its bytes costs at all.

The real program serves a page with twenty components, and `wrk` asks for it as a browser does. The
yardstick is the smallest ASGI app there is, under the same uvicorn with the same loop and parser,
that answers with a body of the same length and no header but two. Rounds alternate. Told are
requests a second, and the processor time per request of the process that serves, which a busy
machine does not change. Then the same with `If-None-Match`, as of readers who come again.

    python benchmarks/status_pages.py
"""

import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2 as httpx
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "server"))
from tests.journeys.running import Mainstay, running_mainstay
from tests.servers.processes import free_port, required_program
from tests.waiting import eventually

ROUNDS, SECONDS, CONNECTIONS = 5, 3, 64
COMPONENTS = 20
NULL = """
BODY = b"x" * {length}
HEADERS = [(b"content-type", b"text/html"), (b"content-length", b"{length}")]
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({{"type": "http.response.start", "status": 200, "headers": HEADERS}})
    await send({{"type": "http.response.body", "body": BODY}})
"""


@dataclass
class Contender:
    """One server under load, and what each round found."""

    name: str
    url: str
    process: psutil.Process
    headers: dict[str, str] = field(default_factory=dict)
    per_second: list[float] = field(default_factory=list)
    microseconds: list[float] = field(default_factory=list)

    def run(self) -> None:
        """One round of load."""
        before = self.process.cpu_times()
        requests, seconds = wrk(self.url, self.headers)
        after = self.process.cpu_times()
        used = after.user + after.system - before.user - before.system
        self.per_second.append(requests / seconds)
        self.microseconds.append(used / requests * 1e6)

    def line(self) -> str:
        """The medians in words."""
        rate, cost = statistics.median(self.per_second), statistics.median(self.microseconds)
        return f"{self.name:<22} {rate:>9,.0f} requests/s {cost:>7.0f} us of processor each"


def wrk(url: str, headers: dict[str, str]) -> tuple[int, float]:
    """Ask as fast as answers come; how many were answered in how many seconds."""
    program = required_program("wrk", package="wrk")
    fields = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    command = [program, "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", *fields, url]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in told, told
    assert "Socket errors" not in told, told
    found = re.search(r"(\d+) requests in ([\d.]+)s", told)
    assert found is not None, told
    return int(found[1]), float(found[2])


def fill(server: Mainstay) -> None:
    """A published page with twenty components and an incident."""
    page = server.call("POST", "/api/status-pages", json={"name": "Acme", "slug": "acme"}).json()
    one = f"/api/status-pages/{page['id']}"
    for number in range(COMPONENTS):
        server.call("POST", f"{one}/components", json={"name": f"Component {number}"})
    server.call("POST", f"{one}/reports", json={"title": "Slow answers", "body": "We look."})
    server.call("PATCH", one, json={"published": True})


@contextmanager
def null_server(length: int) -> Iterator[tuple[str, psutil.Process]]:
    """The smallest app that says as much, under uvicorn as the program runs it."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "null.py").write_text(NULL.format(length=length))
        command = [sys.executable, "-m", "uvicorn", "null:app", "--app-dir", folder]
        options = ["--port", str(port), "--log-level", "critical", "--loop", "uvloop"]
        child = subprocess.Popen([*command, *options, "--http", "httptools", "--no-access-log"])
        try:
            url = f"http://127.0.0.1:{port}/"
            eventually(lambda: answers(url))
            yield url, psutil.Process(child.pid)
        finally:
            child.terminate()
            child.wait()


def answers(url: str) -> bool:
    """Whether somebody is there."""
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.HTTPError:
        return False


def main() -> None:
    """Measure, and tell."""
    with running_mainstay() as server:
        fill(server)
        url = f"{server.url}/status/acme"
        packed = httpx.get(url, headers={"accept-encoding": "br"}, timeout=30)
        etag = packed.headers["etag"]
        length = int(packed.headers["content-length"])
        program = psutil.Process(server.pid)
        with null_server(length) as (null_url, null_process):
            null = Contender("null app", null_url, null_process)
            page = Contender("status page", url, program, {"accept-encoding": "br"})
            again = Contender(
                "status page, 304", url, program, {"accept-encoding": "br", "if-none-match": etag}
            )
            for _ in range(ROUNDS):
                for contender in (null, page, again):
                    contender.run()
    print(f"{length:,} bytes on the wire ({COMPONENTS} components); medians of {ROUNDS} rounds")
    for contender in (null, page, again):
        print(contender.line())
    ratio = statistics.median(page.per_second) / statistics.median(null.per_second)
    cost = statistics.median(page.microseconds) / statistics.median(null.microseconds)
    print(f"ratio to the null app: {ratio:.2f} of its requests/s, {cost:.1f} times its processor")


if __name__ == "__main__":
    main()
