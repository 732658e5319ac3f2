"""Small guarded apps of both kinds, asked without a socket, and the golden policy."""

import asyncio
import copy
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import mainstay
from mainstay._internal.clock import Clock

WIRE = Path(__file__).parents[2] / "wire" / "guard"
NOON = datetime.fromisoformat("2026-11-21T03:00:00+00:00").timestamp()
READER = "mst_production_api_rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr3wlnJl"
WRITER = "mst_production_api_wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww2qD0cb"
UNKNOWN = "mst_production_api_uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu204RLH"


def golden(name: str) -> Any:
    return json.loads((WIRE / name).read_text())


def a_policy(*without: str, **sections: Any) -> dict[str, Any]:
    """The golden policy, less some sections and with others in their place."""
    policy: dict[str, Any] = golden("policy.full.json")
    for name in without:
        del policy[name]
    return {**copy.deepcopy(policy), **sections}


def a_bare_policy(**sections: Any) -> dict[str, Any]:
    """A policy that guards nothing but what is named."""
    return {**golden("policy.minimal.json"), **sections}


def a_limit(**members: Any) -> dict[str, Any]:
    """The section `limits` with one policy."""
    return {"policies": [{"name": "default", "quota": 5, "windowSeconds": 60, **members}]}


@dataclass
class Told:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes
    passage: mainstay.Passage | None = None

    @property
    def problem(self) -> dict[str, Any]:
        assert self.headers["content-type"] == "application/problem+json"
        problem: dict[str, Any] = json.loads(self.body)
        assert problem["status"] == self.status
        return problem

    @property
    def code(self) -> str:
        return (
            str(self.problem["code"]) if "problem" in self.headers.get("content-type", "") else ""
        )


@dataclass
class World:
    """A guarded app that says ok, and the time in it."""

    kind: str
    options: dict[str, Any]
    now: float = NOON
    passages: list[mainstay.Passage] = field(default_factory=list)

    def __post_init__(self) -> None:
        app: Any = self._asgi_app if self.kind == "asgi" else self._wsgi_app
        clock = Clock(wall=lambda: self.now)
        self.guard: Any = mainstay.Guard(app, clock=clock, **self.options)

    def note(self) -> None:
        passage = mainstay.current_request()
        assert passage is not None
        self.passages.append(passage)

    async def _asgi_app(self, scope: Any, receive: Any, send: Any) -> None:
        self.note()
        headers = [(b"server", b"small"), (b"x-frame-options", b"sameorigin")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    def _wsgi_app(self, environ: Any, start_response: Any) -> list[bytes]:
        self.note()
        start_response("200 OK", [("Server", "small"), ("X-Frame-Options", "sameorigin")])
        return [b"ok"]

    def ask(
        self,
        path: str = "/docs",
        *,
        method: str = "GET",
        peer: str = "203.0.113.9",
        headers: Mapping[str, str] | None = None,
    ) -> Told:
        """Ask as a server would: the path is decoded, names of headers are in its form."""
        before = len(self.passages)
        ask = asked_asgi if self.kind == "asgi" else asked_wsgi
        told = ask(self.guard, path, method=method, peer=peer, headers=headers or {})
        told.passage = self.passages[before] if len(self.passages) > before else None
        return told


def asked_asgi(
    app: Any, path: str, *, method: str, peer: str, headers: Mapping[str, str], body: bytes = b""
) -> Told:
    said: list[Any] = []
    path, _, query = path.partition("?")

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(n.lower().encode(), v.encode("latin-1")) for n, v in headers.items()],
        "client": (peer, 50_000) if peer else None,
        "server": ("127.0.0.1", 80),
    }
    asyncio.run(app(scope, receive, send))
    start, *rest = said
    told = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
    return Told(start["status"], told, b"".join(part.get("body", b"") for part in rest))


def asked_wsgi(
    app: Any, path: str, *, method: str, peer: str, headers: Mapping[str, str], body: bytes = b""
) -> Told:
    begun: list[Any] = []
    path, _, query = path.partition("?")

    def start_response(status: str, headers: Any, _error: Any = None) -> Callable[[bytes], None]:
        begun[:] = [int(status[:3]), headers]
        return lambda _part: None

    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(path, encoding="latin-1"),
        "QUERY_STRING": query,
        "REMOTE_ADDR": peer,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
    }
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{key}"] = value
    parts = app(environ, start_response)
    try:
        content = b"".join(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    return Told(begun[0], {name.lower(): value for name, value in begun[1]}, content)


def a_world(kind: str, policy: Any = None, **options: Any) -> World:
    if policy is not None:
        options["policy"] = policy
    return World(kind, options)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
