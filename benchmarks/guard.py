"""Claim: guarding an API in the app costs a tenth of the packages that teams install for it.

One FastAPI endpoint four times over: bare; under `mainstay.Guard` with every section of the policy
on, metrics and reports included; under slowapi, prometheus-fastapi-instrumentator, secure,
asgi-correlation-id and an allowlist middleware, each set up as its own manual shows; and under the
same with FastAPI's own way to ask for an API key, which the guard does too. Rounds are interleaved,
and the figure is processor time per request of the process that serves, with the threads that
report, so a busy machine makes all of them slower alike. First called directly, then by HTTP under
uvicorn.

    python benchmarks/guard.py
"""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import json
import socket
import statistics
import subprocess
import sys
import time
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import mainstay
import uvicorn
from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_fastapi_instrumentator import Instrumentator
from secure import Secure
from secure.middleware import SecureASGIMiddleware
from slowapi import Limiter
from slowapi.util import get_remote_address
from starlette.responses import Response

GOLDEN = Path(__file__).parents[1] / "wire" / "guard" / "policy.full.json"
ROUNDS = 9
DIRECT_REQUESTS = 2_000
HTTP_REQUESTS = 2_000
CONNECTIONS = 16
PLENTY = 1_000_000_000
KEYS = 1_000
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
VARIANTS = ("bare", "guard", "stack", "stack and key")
RIVALS = (
    "slowapi",
    "prometheus-fastapi-instrumentator",
    "secure",
    "asgi-correlation-id",
    "fastapi",
    "uvicorn",
)

SINK = """
import asyncio, sys
async def answer(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).lower()
            if b"content-length:" in head:
                await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\\r\\n")[0]))
            if head.startswith(b"get"):
                await asyncio.sleep(60)
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{}")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def a_key(number: int) -> str:
    body = f"mst_production_api_{number:032d}"
    checksum, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        checksum, digit = divmod(checksum, 62)
        digits = BASE62[digit] + digits
    return body + digits


def a_policy() -> dict[str, Any]:
    """The golden policy with limits that nobody reaches, and more keys, bans and networks."""
    policy: dict[str, Any] = json.loads(GOLDEN.read_text())
    pepper = base64.b64decode(policy["keys"]["pepper"])
    pattern = policy["keys"]["keys"][0]
    policy["keys"]["keys"] += [
        {
            **pattern,
            "id": f"key-{number}",
            "digest": hmac.digest(pepper, a_key(number).encode(), "sha256").hex(),
            "limits": [{"quota": PLENTY, "windowSeconds": 60}],
        }
        for number in range(KEYS)
    ]
    for limit in policy["limits"]["policies"]:
        limit.update(quota=PLENTY, burst=PLENTY, windowSeconds=60, methods=[])
    policy["quotas"]["meters"][0]["remaining"] = PLENTY
    policy["bans"]["bans"] += [
        {"id": f"ban-{n}", "network": f"192.0.2.{n}/32", "until": None} for n in range(200)
    ]
    return policy


def an_api() -> FastAPI:
    api = FastAPI()

    @api.get("/api/insights/{number}")
    async def read_insight(number: int) -> dict[str, int]:
        return {"number": number}

    return api


def asks_for_a_key() -> Any:  # noqa: ANN401 - a parameter of FastAPI
    """What apps of FastAPI do for API keys: a bearer token, found by its digest."""
    known = {hashlib.sha256(a_key(number).encode()).hexdigest() for number in range(KEYS)}
    bearer = HTTPBearer()

    async def find_key(given: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> str:
        digest = hashlib.sha256(given.credentials.encode()).hexdigest()
        if digest not in known:
            raise HTTPException(401)
        return digest

    return Depends(find_key)


def the_stack(*dependencies: Any) -> FastAPI:  # noqa: ANN401 - parameters of FastAPI
    api = FastAPI(dependencies=dependencies)
    limiter = Limiter(key_func=get_remote_address, headers_enabled=True)
    api.state.limiter = limiter
    allowed = [ipaddress.ip_network(text) for text in ("203.0.113.0/24", "127.0.0.0/8")]

    @api.get("/api/insights/{number}")
    @limiter.limit(f"{PLENTY}/minute")
    async def read_insight(
        request: Request,  # noqa: ARG001 - slowapi wants both
        response: Response,  # noqa: ARG001 - as above
        number: int,
    ) -> dict[str, int]:
        return {"number": number}

    @api.middleware("http")
    async def allowlist(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        address = ipaddress.ip_address(request.client.host if request.client else "0.0.0.0")  # noqa: S104
        if not any(address in network for network in allowed):
            return JSONResponse({"detail": "not allowed"}, 403)
        return await call_next(request)

    Instrumentator().instrument(api)
    api.add_middleware(SecureASGIMiddleware, secure=Secure.with_default_headers())
    api.add_middleware(CorrelationIdMiddleware)
    return api


def app_of(variant: str, sink: int) -> Any:  # noqa: ANN401 - any of the three
    if variant == "stack":
        return the_stack()
    if variant == "stack and key":
        return the_stack(asks_for_a_key())
    if variant == "bare":
        return an_api()
    key = hashlib.sha256(b"bench").hexdigest()
    mainstay.init(f"http://k:mst_guard_{key}@127.0.0.1:{sink}/1", policy_cache=False)
    return mainstay.Guard(an_api(), policy=a_policy())


HEADERS = {
    "host": "127.0.0.1",
    "user-agent": "bench/1.0",
    "accept": "*/*",
    "accept-encoding": "gzip, deflate",
    "authorization": f"Bearer {a_key(7)}",
    "origin": "https://app.example",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "x-forwarded-for": "198.18.0.1, 203.0.113.9",
}


async def called(app: Any, requests: int) -> None:  # noqa: ANN401 - an ASGI app
    headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    told: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    for number in range(requests):
        told.clear()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "http",
            "method": "GET",
            "path": f"/api/insights/{number}",
            "raw_path": b"/api/insights/1",
            "root_path": "",
            "query_string": b"",
            "headers": list(headers),
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 80),
        }
        await app(scope, receive, send)
        assert told[0]["status"] == HTTPStatus.OK, told


def measure_directly(sink: int) -> dict[str, list[float]]:
    """Microseconds of processor time per request, all threads of the process."""
    apps = {variant: app_of(variant, sink) for variant in VARIANTS}
    spent: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for number in range(ROUNDS + 1):
        for variant in VARIANTS:
            began = time.process_time()
            asyncio.run(called(apps[variant], DIRECT_REQUESTS))
            if variant == "guard":
                mainstay.flush(60)  # its reports are its cost, and not that of who comes next
            if number:  # the first one warms up
                spent[variant].append((time.process_time() - began) / DIRECT_REQUESTS * 1e6)
    mainstay.close()
    return spent


def serve(variant: str, sink: int) -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(
        app_of(variant, sink), log_level="critical", access_log=False, proxy_headers=False
    )
    uvicorn.Server(config).run(sockets=[listener])


async def asked(port: int, requests: int) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())

    async def one_connection(count: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(count):
            writer.write(f"GET /api/insights/{number} HTTP/1.1\r\n{head}\r\n".encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer
            length = answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
            await reader.readexactly(int(length))
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    await asyncio.gather(*(one_connection(requests // CONNECTIONS) for _ in range(CONNECTIONS)))


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process, to the nanosecond (Linux counts it so)."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def measure_over_http(sink: int) -> dict[str, list[float]]:
    servers = {
        variant: subprocess.Popen(
            [sys.executable, __file__, variant, str(sink)], stdout=subprocess.PIPE, text=True
        )
        for variant in VARIANTS
    }
    spent: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    try:
        ports = {variant: int(_line(server)) for variant, server in servers.items()}
        for number in range(ROUNDS + 1):
            for variant, server in servers.items():
                began = cpu_seconds(server.pid)
                asyncio.run(asked(ports[variant], HTTP_REQUESTS))
                if number:
                    used = cpu_seconds(server.pid) - began
                    spent[variant].append(used / HTTP_REQUESTS * 1e6)
    finally:
        for server in servers.values():
            server.terminate()
            server.wait(10)
            if server.stdout is not None:
                server.stdout.close()
    return spent


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def tell(title: str, spent: dict[str, list[float]]) -> None:
    bare, guard, stack, keyed = (statistics.median(spent[variant]) for variant in VARIANTS)
    ratios = [g / b for g, b in zip(spent["guard"], spent["bare"], strict=True)]
    print(f"{title}, processor time per request (median of {ROUNDS} interleaved rounds):")
    print(
        f"  bare {bare:.0f} µs, guarded {guard:.0f} µs, stack {stack:.0f} µs,"
        f" with API keys {keyed:.0f} µs"
    )
    print(f"  bare : guarded = 1 : {statistics.median(ratios):.2f}   (aim 1 : 1.6)")
    print(
        f"  added by the guard {guard - bare:.0f} µs (aim 70), by the stack {stack - bare:.0f} µs"
    )
    alone, with_keys = (stack - bare) / (guard - bare), (keyed - bare) / (guard - bare)
    print(f"  guard : stack, what is added = 1 : {alone:.1f}   (aim 1 : 10)")
    print(f"  guard : stack with API keys  = 1 : {with_keys:.1f}")


def main() -> None:
    if len(sys.argv) > 1:
        serve(sys.argv[1], int(sys.argv[2]))
        return
    print(", ".join(f"{name} {version(name)}" for name in RIVALS))
    sink = subprocess.Popen([sys.executable, "-c", SINK], stdout=subprocess.PIPE, text=True)
    try:
        port = int(_line(sink))
        tell("Called directly", measure_directly(port))
        tell("Under uvicorn", measure_over_http(port))
    finally:
        sink.kill()
        sink.wait()
        if sink.stdout is not None:
            sink.stdout.close()


if __name__ == "__main__":
    main()
