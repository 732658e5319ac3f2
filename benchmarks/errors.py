"""How many error events a second are accepted and visible, against a server that does nothing.

Run: `python benchmarks/errors.py [--events 8000] [--connections 200] [--rounds 3]`

The server is the program as its users start it (`mainstay up`). A process of its own sends events
of 5 KB (gzip, unique ids, 50 kinds) over kept-alive connections, each one after the answer to the
one before. An event counts as visible when its issue's counter in the database holds it. The
yardstick is an ASGI app that reads the body and answers at once, under uvicorn with uvloop and
httptools, under the same load in the same run.
"""

# ruff: noqa: ANN401, S105, S311 - ASGI is loosely typed, and nothing here is secret
import argparse
import gzip
import json
import os
import pickle
import random
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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

PROGRAM = Path(sys.executable).parent / "mainstay"
TOKEN = "mst_benchmark_owner_token_0123456789abcdef"
PROJECT = "bench"
KINDS = 50
EVENT_BYTES = 5_000
FRAMES_OF_LIBRARIES = 5
WARM_UP_EVENTS = 500
LONE_EVENTS = 50
PATIENCE_SECONDS = 10
RECEIVE_BYTES = 65_536
SEEN = """SELECT (SELECT sum(count) FROM error_issues),
    (SELECT count(*) FROM outbox_deliveries WHERE status = 'waiting')"""


@dataclass
class Measured:
    """One run: events per second until the last answer and until all are visible."""

    accepted: float
    visible: float
    cpu_us: float
    load_cpu_us: float
    p50_ms: float
    p99_ms: float
    lone_p50_ms: float


@dataclass
class Target:
    """A server that runs: its process, where it listens, and what opens it."""

    process: psutil.Process
    port: int
    key: str
    number: int
    folder: Path


@dataclass
class Sent:
    """What the load process tells: times by the wall clock, latencies in seconds."""

    began: float
    ended: float
    cpu_seconds: float
    latencies: list[float]


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
    parser.add_argument("--events", type=int, default=8_000)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("errors", "null"), help="measure one of the two")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    for name, default in (("load", 0), ("skip", 0), ("bodies", ""), ("key", ""), ("number", 1)):
        kind = type(default)
        parser.add_argument(f"--{name}", type=kind, default=default, help=argparse.SUPPRESS)
    return parser.parse_args()


def _compare(options: argparse.Namespace) -> None:
    servers = {"errors": _mainstay, "null": _null}
    if options.only:
        servers = {options.only: servers[options.only]}
    runs: dict[str, list[Measured]] = {kind: [] for kind in servers}
    with tempfile.NamedTemporaryFile(prefix="bench-errors-") as bodies:
        count = WARM_UP_EVENTS + LONE_EVENTS + options.events
        pickle.dump([_body(number) for number in range(count)], bodies)
        bodies.flush()
        options.bodies = bodies.name
        for _ in range(options.rounds):
            for kind, running in servers.items():
                with running() as target:
                    runs[kind].append(_measure(kind, target, options))
                shown = (f"{k} {v:.1f}" for k, v in asdict(runs[kind][-1]).items())
                print(f"{kind:7}", "  ".join(shown), flush=True)
    medians = {kind: _median(measured) for kind, measured in runs.items()}
    if len(medians) > 1:
        _tell(medians["errors"], medians["null"])


def _median(runs: list[Measured]) -> Measured:
    kinds = vars(runs[0])
    return Measured(**{k: statistics.median(getattr(run, k) for run in runs) for k in kinds})


def _tell(ours: Measured, null: Measured) -> None:
    print(f"accepted   {ours.accepted:8.0f} /s   null server {null.accepted:.0f} /s")
    print(f"visible    {ours.visible:8.0f} /s   ratio {ours.visible / null.accepted:.2f}")
    print(
        f"processor  {ours.cpu_us:8.0f} us/event   null server {null.cpu_us:.0f} us/event"
        f"   ratio {null.cpu_us / ours.cpu_us:.2f}"
    )
    print(
        f"latency    p50 {ours.p50_ms:.0f} ms   p99 {ours.p99_ms:.0f} ms"
        f"   null server p50 {null.p50_ms:.0f} ms   p99 {null.p99_ms:.0f} ms"
    )
    print(f"alone      p50 {ours.lone_p50_ms:.1f} ms   null server {null.lone_p50_ms:.1f} ms")
    print(f"load       {ours.load_cpu_us:8.0f} us/event of its own processor time")


def _measure(kind: str, target: Target, options: argparse.Namespace) -> Measured:
    _send(target, options, skip=0, events=WARM_UP_EVENTS, connections=20)
    lone = _send(target, options, skip=WARM_UP_EVENTS, events=LONE_EVENTS, connections=1)
    before = WARM_UP_EVENTS + LONE_EVENTS
    if kind == "errors":
        _until_visible(target.folder, before)
    cpu = sum(target.process.cpu_times()[:2])
    many = {"events": options.events, "connections": options.connections}
    sent = _send(target, options, skip=before, **many)
    visible = sent.ended
    if kind == "errors":
        visible = _until_visible(target.folder, before + options.events)
    spent = sum(target.process.cpu_times()[:2]) - cpu
    latencies = statistics.quantiles(sent.latencies, n=100)
    return Measured(
        accepted=options.events / (sent.ended - sent.began),
        visible=options.events / (max(visible, sent.ended) - sent.began),
        cpu_us=spent / options.events * 1e6,
        load_cpu_us=sent.cpu_seconds / options.events * 1e6,
        p50_ms=latencies[49] * 1e3,
        p99_ms=latencies[98] * 1e3,
        lone_p50_ms=statistics.median(lone.latencies) * 1e3,
    )


def _until_visible(folder: Path, events: int) -> float:
    """Wait until so many events are counted and new issues told; returns when that was seen."""
    deadline = time.time() + PATIENCE_SECONDS
    with sqlite3.connect(folder / "mainstay.db") as database:
        while True:
            count, untold = database.execute(SEEN).fetchone()
            if count == events and not untold:
                return time.time()
            assert (count or 0) <= events, f"{count} are counted of {events} that were sent"
            assert time.time() < deadline, f"{count} of {events} are visible"
            time.sleep(0.005)


def _send(
    target: Target, options: argparse.Namespace, *, skip: int, events: int, connections: int
) -> Sent:
    told = {
        "--load": target.port,
        "--skip": skip,
        "--events": events,
        "--connections": connections,
        "--bodies": options.bodies,
        "--key": target.key,
        "--number": target.number,
    }
    load = [sys.executable, __file__, *(str(word) for pair in told.items() for word in pair)]
    done = subprocess.run(load, check=True, stdout=subprocess.PIPE)
    return Sent(**json.loads(done.stdout))


# The load ----------------------------------------------------------------------------------------


def _load(options: argparse.Namespace) -> None:
    """Send what is asked for, and tell how it went; bare sockets, to leave the server the cores."""
    with Path(options.bodies).open("rb") as file:
        bodies = pickle.load(file)[options.skip : options.skip + options.events]  # noqa: S301
    requests = [_request(body, options.key, options.number) for body in bodies]
    sockets: dict[int, socket.socket] = {}
    poll = select.epoll()
    for _ in range(min(options.connections, len(requests))):
        made = socket.create_connection(("127.0.0.1", options.load))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[made.fileno()] = made
        poll.register(made.fileno(), select.EPOLLIN)
    cpu, began = time.process_time(), time.time()
    latencies = _exchange(requests, sockets, poll)
    sent = Sent(began, time.time(), time.process_time() - cpu, latencies)
    print(json.dumps(asdict(sent)))


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
            if not answer.endswith(b"}"):  # head and body may come apart
                assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
                continue
            assert not answer.startswith(b"HTTP") or answer.startswith(b"HTTP/1.1 200"), answer
            now = time.perf_counter()
            latencies.append(now - since.pop(number))
            request = next(left, None)
            if request is not None:
                since[number] = now
                connection.sendall(request)
    return latencies


def _request(body: bytes, key: str, number: int) -> bytes:
    head = (
        f"POST /api/{number}/envelope/ HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Content-Type: application/x-sentry-envelope\r\nContent-Encoding: gzip\r\n"
        f"X-Sentry-Auth: Sentry sentry_key={key}, sentry_version=7, sentry_client=bench/1\r\n\r\n"
    )
    return head.encode() + body


def _body(number: int) -> bytes:
    event_id = uuid4().hex
    event = json.dumps(_event(event_id, number % KINDS)).encode()
    header = json.dumps({"event_id": event_id, "sent_at": "2026-11-21T03:27:08.512562Z"}).encode()
    item = json.dumps({"type": "event", "length": len(event)}).encode()
    return gzip.compress(b"\n".join((header, item, event)), 5)


def _event(event_id: str, kind: int) -> dict[str, object]:
    """An event like one of a Flask app: eight frames with lines and variables, about 5 KB."""
    said = f"order {random.randrange(10**6)} has no lines"
    stack = {"frames": [_frame(depth, kind) for depth in range(8)]}
    event: dict[str, object] = {
        "event_id": event_id,
        "timestamp": "2026-11-21T03:27:08.497659Z",
        "platform": "python",
        "level": "error",
        "release": "shop@1.4.2",
        "environment": "production",
        "server_name": "web-1",
        "transaction": f"/checkout/{kind}",
        "sdk": {"name": "sentry.python.flask", "version": "2.75.0"},
        "user": {"id": str(random.randrange(5_000)), "email": "somebody@example.com"},
        "tags": {"facility": "north wing", "browser": "Firefox"},
        "contexts": {"trace": {"trace_id": uuid4().hex, "span_id": uuid4().hex[:16]}},
        "request": {"url": f"https://shop.example/checkout/{kind}", "method": "POST"},
        "exception": {"values": [{"type": "ValueError", "value": said, "stacktrace": stack}]},
    }
    missing = EVENT_BYTES - len(json.dumps(event)) - 20
    event["extra"] = {"note": random.randbytes(max(0, missing) // 2).hex()}
    return event


def _frame(depth: int, kind: int) -> dict[str, object]:
    return {
        "filename": f"shop/part{depth}.py",
        "abs_path": f"/srv/shop/shop/part{depth}.py",
        "module": f"shop.part{depth}",
        "function": f"step_{depth}_of_kind_{kind}",
        "lineno": 10 + depth,
        "in_app": depth >= FRAMES_OF_LIBRARIES,
        "pre_context": [f"    value = load({depth}, {line})" for line in range(3)],
        "context_line": f"    return next_step(value, kind={kind})",
        "post_context": ["", "", "def another():"],
        "vars": {"value": f"<Order {random.randrange(10**9)}>", "kind": str(kind)},
    }


# The servers -------------------------------------------------------------------------------------


@contextmanager
def _mainstay() -> Iterator[Target]:
    """The program, started on a fresh folder as an unattended first start."""
    with tempfile.TemporaryDirectory(prefix="bench-errors-") as folder:
        environment = {
            "MAINSTAY_DATA_DIR": folder,
            "MAINSTAY_PORT": "0",
            "MAINSTAY_BOOTSTRAP_EMAIL": "owner@bench.example",
            "MAINSTAY_BOOTSTRAP_PASSWORD": "correct horse battery staple",
            "MAINSTAY_BOOTSTRAP_TOKEN": TOKEN,
            "MAINSTAY_BOOTSTRAP_PROJECT": PROJECT,
        }
        with (
            (Path(folder) / "log").open("wb") as log,
            _ended([str(PROGRAM), "up"], env={**os.environ, **environment}, stdout=log) as server,
        ):
            port = _announced(Path(folder) / "log", server)
            project = _project(port)
            key, number = project["ingestKey"], project["number"]
            yield Target(psutil.Process(server.pid), port, key, number, Path(folder))


@contextmanager
def _null() -> Iterator[Target]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-errors-") as folder,
        (Path(folder) / "log").open("wb") as log,
        _ended([sys.executable, __file__, "--serve"], stdout=log) as server,
    ):
        port = _announced(Path(folder) / "log", server)
        yield Target(psutil.Process(server.pid), port, "0" * 32, 1, Path(folder))


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


def _project(port: int) -> dict[str, Any]:
    url = f"http://127.0.0.1:{port}/api/projects/{PROJECT}"
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


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
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


if __name__ == "__main__":
    main()
