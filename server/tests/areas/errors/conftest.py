"""The errors area's doors over fresh stores, in this process or behind a real socket."""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import uvicorn
from mainstay_server.app.front import Front
from mainstay_server.areas.errors import area
from mainstay_server.areas.errors.columns import ERROR_EVENTS
from mainstay_server.areas.errors.models import Issue
from mainstay_server.areas.errors.service.intake import close_intake, intake
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy import select
from starlette.types import Receive, Scope, Send
from tests.world import World, a_project

KEY = "0123456789abcdef0123456789abcdef"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass
class Answer:
    """What a door answered."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Door:
    """The doors of the area, called as a server calls them."""

    def __init__(self, instance: InstanceRef) -> None:
        self.instance = instance
        self.app = Front({door.path: door for door in area.doors}, _nothing_else)

    def send(self, body: bytes, **options: Any) -> Answer:
        """POST a body to `envelope/` with the project's key, and wait until it is counted."""
        answer = asyncio.run(self.sending(body, **options))
        intake().wait_until_counted()
        return answer

    async def sending(
        self,
        body: bytes,
        *,
        path: str = "/api/1/envelope/",
        method: str = "POST",
        headers: dict[str, str] | None = None,
        query: str = "",
    ) -> Answer:
        given = {"x-sentry-auth": f"Sentry sentry_key={KEY}"} if headers is None else headers
        scope: Scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }
        answer = Answer()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            else:
                answer.body += message["body"]

        await self.app(scope, receive, send)
        return answer

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(work)


async def _nothing_else(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def door(database: None, column_store: Callable[..., None]) -> Iterator[Door]:
    """One project with one instance, and the way in."""
    column_store(ERROR_EVENTS)
    yield Door(our_project())
    close_intake()


@dataclass
class Listening:
    """The doors behind a real socket, for clients that know nothing but HTTP."""

    url: str

    @property
    def dsn(self) -> str:
        return f"http://{KEY}@{self.url.removeprefix('http://')}/1"


@pytest.fixture
def listening(door: Door) -> Iterator[Listening]:
    """The doors over uvicorn on a free port."""
    config = uvicorn.Config(door.app, host="127.0.0.1", port=0, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    (address,) = [socket.getsockname() for each in server.servers for socket in each.sockets]
    yield Listening(f"http://127.0.0.1:{address[1]}")
    server.should_exit = True
    thread.join()


def our_project() -> InstanceRef:
    """The project that `KEY` opens."""
    with transaction() as session:
        return a_project(session, key=KEY, now=NOON)


def issues() -> list[Issue]:
    """Every issue, in the order of their numbers, once what was answered is counted."""
    intake().wait_until_counted()
    with reading() as session:
        return list(session.scalars(select(Issue).order_by(Issue.number)))


def an_event(**fields: Any) -> dict[str, Any]:
    """A small event: an exception with one frame of the app."""
    frame = {
        "module": "app.views",
        "filename": "app/views.py",
        "function": "divide",
        "lineno": 7,
        "context_line": "    return 1 / 0",
        "in_app": True,
    }
    exception = {
        "type": "ZeroDivisionError",
        "value": "division by zero",
        "stacktrace": {"frames": [frame]},
    }
    return {
        "platform": "python",
        "level": "error",
        "exception": {"values": [exception]},
        **fields,
    }


def an_envelope(*items: tuple[dict[str, Any], bytes], **headers: Any) -> bytes:
    """The bytes of an envelope; an item without a length gets the one it has."""
    parts = [json.dumps(headers).encode()]
    for header, payload in items:
        parts += [json.dumps({"length": len(payload), **header}).encode(), payload]
    return b"\n".join(parts)


def event_envelope(event: dict[str, Any], **headers: Any) -> bytes:
    """An envelope with one event."""
    return an_envelope(({"type": "event"}, json.dumps(event).encode()), **headers)


@pytest.fixture
def world(client_for: Callable[..., World]) -> Iterator[World]:
    """Alice, Bob and Charlie in front of the whole app."""
    yield client_for(area)
    close_intake()


def report(world: World, event: dict[str, Any], *, key: str = "", number: int = 0) -> None:
    """Send one event the way an SDK does."""
    number = number or world.instance.project_number
    answer = world.stranger.post(
        f"/api/{number}/envelope/",
        content=event_envelope(event),
        headers={"x-sentry-auth": f"Sentry sentry_key={key or world.ingest_key}"},
    )
    assert answer.status_code == 200, answer.text
    intake().wait_until_counted()
