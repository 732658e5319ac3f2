"""WebSockets: the handshake is guarded like a request, and what follows is left alone."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mainstay
import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from tests.app_servers import eventually, served_asgi
from tests.guarding import READER, a_bare_policy, a_limit, a_policy, bearer
from tests.policy_server import a_policy_server
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    passage = mainstay.current_request()
    assert passage is not None
    await socket.send_text(f"{await socket.receive_text()} from {passage.key_id}")
    await socket.close()


@contextmanager
def served(policy: dict[str, Any], **options: Any) -> Iterator[int]:
    app = Starlette(routes=[WebSocketRoute("/api/echo", echo)])
    with served_asgi(mainstay.Guard(app, policy=policy, **options), ws="websockets-sansio") as port:
        yield port


def say_hello(port: int, **headers: str) -> str:
    with connect(f"ws://127.0.0.1:{port}/api/echo", additional_headers=headers) as socket:
        socket.send("hello")
        return str(socket.recv())


def test_a_key_opens_a_socket() -> None:
    with served(a_policy("allowlist")) as port:
        assert say_hello(port, **bearer(READER)) == "hello from key-reader"


@pytest.mark.parametrize(
    ("policy", "status", "code"),
    [
        (a_policy("allowlist"), 401, b"key-missing"),
        (a_policy(allowlist={"networks": ["203.0.113.0/24"]}), 403, b"address-not-allowed"),
        (a_bare_policy(bans={"bans": [{"network": "127.0.0.0/8"}]}), 429, b"banned"),
        (a_bare_policy(limits=a_limit(quota=1, cost=2)), 429, b"rate-limited"),
    ],
)
def test_a_handshake_that_may_not_pass_is_answered_like_a_request(
    policy: dict[str, Any], status: int, code: bytes
) -> None:
    with served(policy) as port, pytest.raises(InvalidStatus) as refused:
        say_hello(port)

    assert refused.value.response.status_code == status
    assert code in refused.value.response.body
    assert refused.value.response.headers["Content-Type"] == "application/problem+json"


async def an_app(scope: Any, receive: Any, send: Any) -> None: ...


def test_a_server_that_cannot_answer_is_told_to_close_unopened() -> None:
    said: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        said.append(message)

    guard = mainstay.Guard(an_app, policy=a_policy())
    scope = {"type": "websocket", "path": "/api/echo", "headers": [], "client": ("192.0.2.1", 1)}
    asyncio.run(guard(scope, receive, send))

    assert said == [{"type": "websocket.close", "code": 1008}]


def test_handshakes_are_reported_and_a_dry_run_lets_them_in() -> None:
    with a_policy_server() as server:
        server.say(404, b"{}")
        mainstay.init(server.dsn, policy_cache=False)
        with served(a_policy("allowlist")) as port:
            say_hello(port, **bearer(READER))
            with pytest.raises(InvalidStatus):
                say_hello(port)
        with served(a_policy("allowlist"), dry_run=True) as port:
            say_hello(port)
        eventually(lambda: mainstay.flush(5) and len(server.passages()) == 3)
        mainstay.close()

    assert [(p["status"], p["refusal"], p["simulated"]) for p in server.passages()] == [
        (101, "", False),
        (401, "key-missing", False),
        (101, "key-missing", True),
    ]
