"""How many reports of jobs a second are stored, against a server that does nothing.

Run: `python benchmarks/heartbeats.py [--pings 20000] [--connections 100] [--rounds 3] [--jobs 200]`

The server is the program as its users start it (`mainstay up`). A process of its own sends pings of
many jobs over kept-alive connections, each one after the answer to the one before; an answer means
that the report is committed, and at the end the database is asked whether all of them are there.
The yardstick is an ASGI app that answers at once, under uvicorn with uvloop and httptools, under
the same load in the same run.
"""

# ruff: noqa: ANN401, S105 - ASGI is loosely typed, and nothing here is secret
import argparse
import json
import os
import re
import select
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

PROGRAM = Path(sys.executable).parent / "mainstay"
TOKEN = "mst_benchmark_owner_token_0123456789abcdef"
PROJECT = "bench"
WARM_UP = 500
RECEIVE_BYTES = 65_536
STORED = "SELECT sum(pings_count), (SELECT count(*) FROM heartbeat_pings) FROM heartbeats"


@dataclass
class Measured:
    """One run: reports per second, processor time each, and how long an answer took."""

    per_second: float
    cpu_us: float
    p50_ms: float
    p99_ms: float


@dataclass
class Target:
    """A server that runs: its process, its port, and the addresses of its jobs."""

    process: psutil.Process
    port: int
    paths: list[str]
    folder: Path


def main() -> None:
    options = _options()
    if options.serve:
        _serve_null()
    elif options.load:
        _load(options)
    else:
        _compare(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pings", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--load", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--paths", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def _compare(options: argparse.Namespace) -> None:
    runs: dict[str, list[Measured]] = {"mainstay": [], "null": []}
    for _ in range(options.rounds):
        for kind, running in (("mainstay", _mainstay), ("null", _null)):
            with running(options.jobs) as target:
                one = _measure(target, options)
                if kind == "mainstay":
                    _check_stored(target, WARM_UP + options.pings)
            runs[kind].append(one)
            print(
                f"{kind:9}{one.per_second:8.0f} /s {one.cpu_us:8.0f} us each"
                f"   p50 {one.p50_ms:6.1f} ms   p99 {one.p99_ms:6.1f} ms",
                flush=True,
            )
    ours, null = (_median(runs[kind]) for kind in ("mainstay", "null"))
    print(f"stored     {ours.per_second:8.0f} /s   null server {null.per_second:.0f} /s", end="")
    print(f"   ratio {ours.per_second / null.per_second:.2f}")
    print(f"processor  {ours.cpu_us:8.0f} us   null server {null.cpu_us:.0f} us", end="")
    print(f"   ratio {null.cpu_us / ours.cpu_us:.2f}")


def _median(runs: list[Measured]) -> Measured:
    return Measured(**{k: statistics.median(getattr(r, k) for r in runs) for k in vars(runs[0])})


def _measure(target: Target, options: argparse.Namespace) -> Measured:
    _send(target, WARM_UP, 20)
    cpu = sum(target.process.cpu_times()[:2])
    sent = _send(target, options.pings, options.connections)
    spent = sum(target.process.cpu_times()[:2]) - cpu
    latencies = statistics.quantiles(sent["latencies"], n=100)
    return Measured(
        per_second=options.pings / (sent["ended"] - sent["began"]),
        cpu_us=spent / options.pings * 1e6,
        p50_ms=latencies[49] * 1e3,
        p99_ms=latencies[98] * 1e3,
    )


def _check_stored(target: Target, pings: int) -> None:
    """What was answered is there: every report was counted, whatever of them is still kept."""
    with sqlite3.connect(target.folder / "mainstay.db") as database:
        counted, kept = database.execute(STORED).fetchone()
    assert counted == pings, f"{counted} are counted of {pings} that were answered"
    assert kept > 0, "none is kept"


def _send(target: Target, pings: int, connections: int) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile("w", prefix="bench-heartbeats-") as paths:
        json.dump(target.paths, paths)
        paths.flush()
        told = {"load": target.port, "pings": pings, "connections": connections}
        words = [f"--{name}={value}" for name, value in (told | {"paths": paths.name}).items()]
        load = [sys.executable, __file__, *words]
        done = subprocess.run(load, check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _load(options: argparse.Namespace) -> None:
    """Send what is asked for, and tell how it went; bare sockets, to leave the server the cores."""
    paths = json.loads(Path(options.paths).read_text())
    rest = " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\n\r\n"
    requests = [f"GET {paths[n % len(paths)]}{rest}".encode() for n in range(options.pings)]
    sockets: dict[int, socket.socket] = {}
    poll = select.epoll()
    for _ in range(options.connections):
        made = socket.create_connection(("127.0.0.1", options.load))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[made.fileno()] = made
        poll.register(made.fileno(), select.EPOLLIN)
    began = time.time()
    latencies = _exchange(requests, sockets, poll)
    print(json.dumps({"began": began, "ended": time.time(), "latencies": latencies}))


def _exchange(
    requests: list[bytes], sockets: dict[int, socket.socket], poll: select.epoll
) -> list[float]:
    """Send the next request on each connection as soon as the last was answered."""
    latencies: list[float] = []
    left = iter(requests)
    since: dict[int, float] = {}
    for number, connection in sockets.items():
        since[number] = time.perf_counter()
        connection.sendall(next(left))
    while since:
        for number, _ in poll.poll():
            answer = (connection := sockets[number]).recv(RECEIVE_BYTES)
            assert not answer.startswith(b"HTTP") or answer.startswith(b"HTTP/1.1 200"), answer
            if not answer.endswith(b"OK"):  # head and body may come apart
                assert answer, "the server closed the connection"
                continue
            now = time.perf_counter()
            latencies.append(now - since.pop(number))
            request = next(left, None)
            if request is not None:
                since[number] = now
                connection.sendall(request)
    return latencies


@contextmanager
def _mainstay(jobs: int) -> Iterator[Target]:
    """The program on a fresh folder, with so many jobs that report every hour."""
    with tempfile.TemporaryDirectory(prefix="bench-heartbeats-") as folder:
        environment = {
            "MAINSTAY_DATA_DIR": folder,
            "MAINSTAY_PORT": "0",
            "MAINSTAY_BOOTSTRAP_EMAIL": "owner@bench.example",
            "MAINSTAY_BOOTSTRAP_PASSWORD": "correct horse battery staple",
            "MAINSTAY_BOOTSTRAP_TOKEN": TOKEN,
            "MAINSTAY_BOOTSTRAP_PROJECT": PROJECT,
        }
        log = Path(folder) / "log"
        with (
            log.open("wb") as written,
            _ended([str(PROGRAM), "up"], env={**os.environ, **environment}, stdout=written) as up,
        ):
            port = _announced(log, up)
            yield Target(psutil.Process(up.pid), port, _made(port, jobs), Path(folder))


@contextmanager
def _null(jobs: int) -> Iterator[Target]:
    with tempfile.TemporaryDirectory(prefix="bench-heartbeats-") as folder:
        log = Path(folder) / "log"
        with (
            log.open("wb") as written,
            _ended([sys.executable, __file__, "--serve"], stdout=written) as server,
        ):
            port = _announced(log, server)
            paths = [f"/ping/{number}" for number in range(jobs)]
            yield Target(psutil.Process(server.pid), port, paths, Path(folder))


@contextmanager
def _ended(command: list[str], **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
    try:
        yield server
    finally:
        server.terminate()
        server.wait()


def _announced(log: Path, server: "subprocess.Popen[bytes]") -> int:
    while server.poll() is None:
        found = re.search(r"(?:running at|at) http://\S+:(\d+)", log.read_text())
        if found:
            return int(found[1])
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def _made(port: int, jobs: int) -> list[str]:
    """Make the jobs; returns the paths of their addresses."""
    project = _ask(port, f"/api/projects/{PROJECT}")
    path = f"/api/instances/{project['instances'][0]['id']}/heartbeats"
    made = [
        _ask(port, path, {"name": f"job {n}", "periodSeconds": 3600, "graceSeconds": 600})
        for n in range(jobs)
    ]
    return ["/ping/" + beat["pingUrl"].rpartition("/")[2] for beat in made]


def _ask(port: int, path: str, body: object = None) -> Any:
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def _serve_null() -> None:
    import uvicorn  # noqa: PLC0415 - the load process has no use for the server

    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"at http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        _null_app,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
    )
    uvicorn.Server(config).run(sockets=[listening])


async def _null_app(_scope: Any, receive: Any, send: Any) -> None:
    """Read the body and answer, as the least that any server does."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"OK"})


if __name__ == "__main__":
    main()
