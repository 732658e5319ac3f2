"""How many error events a second are accepted and visible, against a server that does nothing.

Run: `python benchmarks/errors.py [--events 8000] [--connections 200] [--rounds 3]`

A separate process sends events of 5 KB (gzip, unique ids, 50 kinds) over kept-alive connections.
An event counts when its issue's counter in the database holds it. The yardstick is an ASGI app
that reads the body and answers at once, under the same server settings, in the same run.
"""

# ruff: noqa: ANN401, S311 - ASGI is loosely typed, and nothing here is secret
import argparse
import asyncio
import gzip
import json
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from typing_extensions import override

KEY = "0123456789abcdef0123456789abcdef"
KINDS = 50
EVENT_BYTES = 5_000
FRAMES_OF_LIBRARIES = 5
PATIENCE_SECONDS = 10


@dataclass
class Measured:
    """One run: events per second until the last answer and until all are visible."""

    accepted: float
    visible: float
    cpu_us: float


def main() -> None:
    options = _options()
    if options.serve:
        _serve(options.serve, Path(options.folder))
    elif options.load:
        asyncio.run(_load(options.load, options.events, options.connections))
    else:
        _compare(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=8_000)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", choices=("errors", "null"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", default=".", help=argparse.SUPPRESS)
    parser.add_argument("--load", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def _compare(options: argparse.Namespace) -> None:
    runs: dict[str, list[Measured]] = {"errors": [], "null": []}
    for _ in range(options.rounds):
        for kind, measured in runs.items():
            measured.append(_run(kind, options))
            print(f"{kind:7} {measured[-1]}", flush=True)
    visible = {k: statistics.median(m.visible for m in runs[k]) for k in runs}
    accepted = {k: statistics.median(m.accepted for m in runs[k]) for k in runs}
    cpu = {k: statistics.median(m.cpu_us for m in runs[k]) for k in runs}
    print(f"accepted  {accepted['errors']:8.0f} /s   null server {accepted['null']:8.0f} /s")
    print(
        f"visible   {visible['errors']:8.0f} /s   ratio {visible['errors'] / visible['null']:.2f}"
    )
    print(f"processor {cpu['errors']:8.0f} us/event   null server {cpu['null']:.0f} us/event")


def _run(kind: str, options: argparse.Namespace) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [sys.executable, __file__, "--serve", kind, "--folder", folder],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            _send(port, 500, 20)  # what is done once is done before
            return _measure(kind, Path(folder), psutil.Process(server.pid), port, options)
        finally:
            server.terminate()
            server.wait()


def _measure(
    kind: str, folder: Path, server: psutil.Process, port: int, options: argparse.Namespace
) -> Measured:
    before = _visible(folder) if kind == "errors" else 0
    cpu = sum(server.cpu_times()[:2])
    began, ended = _send(port, options.events, options.connections)
    visible = ended
    while kind == "errors" and _visible(folder) - before < options.events:
        assert time.time() - ended < PATIENCE_SECONDS, (
            f"{_visible(folder) - before} of {options.events}"
        )
        time.sleep(0.005)
        visible = time.time()
    spent = sum(server.cpu_times()[:2]) - cpu
    return Measured(
        accepted=options.events / (ended - began),
        visible=options.events / (visible - began),
        cpu_us=spent / options.events * 1e6,
    )


def _send(port: int, events: int, connections: int) -> tuple[float, float]:
    load = [sys.executable, __file__, "--load", str(port), "--events", str(events)]
    done = subprocess.run(
        [*load, "--connections", str(connections)], check=True, stdout=subprocess.PIPE, text=True
    )
    began, ended = done.stdout.split()
    return float(began), float(ended)


def _visible(folder: Path) -> int:
    with sqlite3.connect(folder / "mainstay.db") as database:
        (count,) = database.execute("SELECT sum(count) FROM error_issues").fetchone()
    return int(count or 0)


# The load ----------------------------------------------------------------------------------------


async def _load(port: int, events: int, connections: int) -> None:
    requests = [_request(number) for number in range(events)]
    loop = asyncio.get_running_loop()
    senders = []
    for _ in range(min(connections, events)):
        _, sender = await loop.create_connection(lambda: _Sender(requests), "127.0.0.1", port)
        senders.append(sender)
    began = time.time()
    for sender in senders:
        sender.next()
    await asyncio.gather(*(sender.done for sender in senders))
    print(began, time.time())


class _Sender(asyncio.Protocol):
    """One connection: the next request as soon as the last was answered."""

    def __init__(self, requests: list[bytes]) -> None:
        self.requests = requests
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @override
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def next(self) -> None:
        if self.requests:
            self.transport.write(self.requests.pop())
        elif not self.done.done():
            self.done.set_result(None)

    @override
    def data_received(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1") and not data.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(AssertionError(data[:300]))
        elif data.endswith(b"}"):  # head and body may come apart
            self.next()


def _request(number: int) -> bytes:
    event_id = uuid4().hex
    event = json.dumps(_event(event_id, number % KINDS)).encode()
    header = json.dumps({"event_id": event_id, "sent_at": "2026-11-21T03:27:08.512562Z"}).encode()
    item = json.dumps({"type": "event", "length": len(event)}).encode()
    body = gzip.compress(b"\n".join((header, item, event)), 5)
    head = (
        f"POST /api/1/envelope/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: application/x-sentry-envelope\r\nContent-Encoding: gzip\r\n"
        f"X-Sentry-Auth: Sentry sentry_key={KEY}, sentry_version=7, sentry_client=bench/1\r\n\r\n"
    )
    return head.encode() + body


def _event(event_id: str, kind: int) -> dict[str, object]:
    """An event like one of a Flask app: eight frames with lines and variables, about 5 KB."""
    frames = [
        {
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
        for depth in range(8)
    ]
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
        "exception": {
            "values": [
                {
                    "type": "ValueError",
                    "value": f"order {random.randrange(10**6)} has no lines",
                    "stacktrace": {"frames": frames},
                }
            ]
        },
    }
    missing = EVENT_BYTES - len(json.dumps(event)) - 20
    event["extra"] = {"note": random.randbytes(max(0, missing) // 2).hex()}
    return event


# The servers -------------------------------------------------------------------------------------


def _serve(kind: str, folder: Path) -> None:
    import uvicorn  # noqa: PLC0415 - the load process has no use for the server

    app = _errors_app(folder) if kind == "errors" else _null_app
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, access_log=False, lifespan="off"
    )
    asyncio.run(_announce_and_serve(uvicorn.Server(config)))


async def _announce_and_serve(server: Any) -> None:
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - once, at start
        await asyncio.sleep(0.01)
    sockets = [each.getsockname() for one in server.servers for each in one.sockets]
    print(sockets[0][1], flush=True)
    await serving


async def _null_app(_scope: Any, receive: Any, send: Any) -> None:
    """Read the body and answer, as the least that any server does."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


def _errors_app(folder: Path) -> Any:
    import gc  # noqa: PLC0415
    import os  # noqa: PLC0415

    os.environ["MAINSTAY_DATA_DIR"] = str(folder)
    from mainstay_server.app.front import Front  # noqa: PLC0415
    from mainstay_server.areas.errors import area  # noqa: PLC0415
    from mainstay_server.kernel import columns, database  # noqa: PLC0415

    database.open_database(f"sqlite:///{folder / 'mainstay.db'}")
    database.Base.metadata.create_all(database.engine())
    columns.open_columns(f"chdb://{folder / 'columns'}", tables=list(area.tables))
    _make_project()
    gc.collect()
    gc.freeze()  # as the real process does
    return Front({door.path: door for door in area.doors}, _null_app)


def _make_project() -> None:
    from mainstay_server.kernel.clock import utc_now  # noqa: PLC0415
    from mainstay_server.kernel.database import new_id, transaction  # noqa: PLC0415
    from mainstay_server.tenancy.models import IngestKey, Organization, Project  # noqa: PLC0415

    now = utc_now()
    with transaction() as session:
        ours = Organization(id=new_id(), name="Bench", created_at=now)
        session.add(ours)
        session.flush()
        project = Project(
            id=new_id(), number=1, organization_id=ours.id, slug="bench", name="B", created_at=now
        )
        session.add(project)
        session.flush()
        session.add(
            IngestKey(id=new_id(), project_id=project.id, key=KEY, label="", created_at=now)
        )


if __name__ == "__main__":
    main()
