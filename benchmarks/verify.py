"""Claim: a verdict of the server costs about as much as a framework's endpoint that does nothing.

A real Mainstay with a hundred API keys and a limit is asked for verdicts as servers
ask (`POST /api/guard/keys/verify`) and as proxies do (`GET /api/guard/check`), in turns with two
yardsticks under uvicorn: an ASGI app that answers `{}`, and a FastAPI endpoint that does. The
figure is processor time per request of the process that serves, all its threads, so a busy machine
makes all of them slower alike; what one processor would answer in a second follows from it.

    python benchmarks/verify.py
"""

import asyncio
import json
import statistics
import subprocess
import sys
from contextlib import ExitStack, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "server"))

from tests.journeys.running import Mainstay, running_mainstay  # noqa: E402 - found by the line above
from tests.servers.processes import free_port  # noqa: E402 - same

ROUNDS = 9
REQUESTS = 3_000
CONNECTIONS = 16
KEYS = 100
PLENTY = 36_000_000
YARDSTICKS = ("null", "fastapi")


async def null(scope: Any, _receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's
    """Answer `{}`, whatever is asked."""
    if scope["type"] == "lifespan":
        return
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


def a_framework() -> FastAPI:
    api = FastAPI()

    @api.get("/")
    async def nothing() -> dict[str, str]:
        return {}

    return api


def serve(name: str, port: int) -> None:
    app: Any = null if name == "null" else a_framework()
    uvicorn.run(app, port=port, log_level="critical", access_log=False, proxy_headers=False)


def a_world(server: Mainstay) -> dict[str, bytes]:
    """Fill the server with what it decides by; returns what is asked of whom, as bytes."""
    base = f"/api/instances/{server.instance_id}"
    keys = [
        _made(server, f"{base}/api-keys", {"name": f"customer {number}", "owner": f"c-{number}"})
        for number in range(KEYS)
    ]
    limit = {"quota": PLENTY, "windowSeconds": 3600, "burst": PLENTY}
    answer = server.call("PATCH", f"{base}/rate-limits/default", json=limit)
    assert answer.is_success, answer.text
    guard_key = _made(server, "/api/projects/inspections/guard-keys", {"name": "app"})["key"]
    question = json.dumps(
        {"key": keys[7]["key"], "path": "/api/insights", "method": "GET", "address": "192.0.2.7"}
    )
    host = server.url.removeprefix("http://")
    return {
        "verify": (
            f"POST /api/guard/keys/verify HTTP/1.1\r\nhost: {host}\r\n"
            f"authorization: Bearer {guard_key}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(question)}\r\n\r\n{question}"
        ).encode(),
        "check": (
            f"GET /api/guard/check HTTP/1.1\r\nhost: {host}\r\n"
            f"x-mainstay-instance: {server.instance_id}\r\nx-forwarded-method: GET\r\n"
            f"x-original-uri: /api/insights?page=2\r\nx-forwarded-for: 192.0.2.7\r\n"
            f"authorization: Bearer {keys[8]['key']}\r\n\r\n"
        ).encode(),
    }


def _made(server: Mainstay, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = server.call("POST", path, json=body)
    assert answer.status_code == HTTPStatus.CREATED, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def asked(port: int, request: bytes, count: int) -> None:
    """Ask over several connections at once; every answer must be a good one."""

    async def one_connection(each: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(each):
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer
            length = answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
            body = await reader.readexactly(int(length))
            assert b'"valid":false' not in body, body
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    await asyncio.gather(*(one_connection(count // CONNECTIONS) for _ in range(CONNECTIONS)))


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process, to the nanosecond (Linux counts it so)."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def measure(doors: dict[str, tuple[int, int, bytes]]) -> dict[str, list[float]]:
    """Microseconds of processor time per request for each door, round by round."""
    spent: dict[str, list[float]] = {name: [] for name in doors}
    for number in range(ROUNDS + 1):
        for name, (pid, port, request) in doors.items():
            began = cpu_seconds(pid)
            asyncio.run(asked(port, request, REQUESTS))
            if number:  # the first one warms up
                spent[name].append((cpu_seconds(pid) - began) / REQUESTS * 1e6)
    return spent


def tell(spent: dict[str, list[float]]) -> None:
    print(f"Processor time per request (median of {ROUNDS} interleaved rounds):")
    yardsticks = [statistics.median(spent[name]) for name in YARDSTICKS]
    for name, rounds in spent.items():
        each = statistics.median(rounds)
        ratios = "   ".join(
            f"{yardstick} 1 : {each / used:.2f}"
            for yardstick, used in zip(YARDSTICKS, yardsticks, strict=True)
        )
        print(f"  {name:8} {each:6.0f} µs, {1e6 / each:7,.0f} a second of processor   {ratios}")


def main() -> None:
    if len(sys.argv) > 1:
        serve(sys.argv[1], int(sys.argv[2]))
        return
    with ExitStack() as stack:
        server = stack.enter_context(running_mainstay())
        doors: dict[str, tuple[int, int, bytes]] = {}
        for name in YARDSTICKS:
            port = free_port()
            process = stack.enter_context(
                subprocess.Popen([sys.executable, __file__, name, str(port)])
            )
            stack.callback(process.terminate)
            doors[name] = process.pid, port, b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"
        port = int(server.url.rpartition(":")[2])
        for name, request in a_world(server).items():
            doors[name] = server.pid, port, request
        tell(measure(doors))


if __name__ == "__main__":
    main()
