"""ASGI apps over real sockets: the right name, status and duration for each request."""

import asyncio
import http.client
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import mainstay
import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from tests.app_servers import PATIENCE_SECONDS, ask, eventually, served_asgi
from tests.capture_server import Capture, a_server


async def ok(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


def names_of(app: Any, *paths: str) -> list[tuple[str, int]]:
    """Ask the app for the paths; return the name and status that each was reported with."""
    with a_server() as server:
        mainstay.init(server.dsn)
        with served_asgi(app) as port:
            for path in paths:
                ask(port, path)
        assert mainstay.flush(PATIENCE_SECONDS)
        return [(request["path"], request["status"]) for request in server.requests]


def a_fastapi_app() -> FastAPI:
    app, shop = FastAPI(), FastAPI()
    orders, lines = APIRouter(prefix="/orders"), APIRouter(prefix="/{order_id}/lines")

    @lines.get("/{line_id}")
    def read_line(order_id: int, line_id: int) -> int:
        return line_id

    @app.get("/files/{name:path}")
    def read_file(name: str) -> str:
        return name

    @shop.get("/items/{item_id}")
    def read_item(item_id: int) -> int:
        return item_id

    orders.include_router(lines)
    app.include_router(orders, prefix="/v1")
    shop.include_router(orders)
    app.mount("/shops/{shop_name}", shop)
    return app


@pytest.mark.parametrize(
    ("path", "name", "status"),
    [
        ("/v1/orders/4/lines/2", "/v1/orders/{order_id}/lines/{line_id}", 200),
        ("/v1/orders/x/lines/2", "/v1/orders/{order_id}/lines/{line_id}", 422),
        ("/files/a/b/c", "/files/{name}", 200),
        ("/shops/green/items/9", "/shops/{shop_name}/items/{item_id}", 200),
        (
            "/shops/green/orders/4/lines/2",
            "/shops/{shop_name}/orders/{order_id}/lines/{line_id}",
            200,
        ),
        ("/shops/green/wp-login.php", "(unmatched)", 404),
        ("/wp-login.php", "(unmatched)", 404),
    ],
)
def test_fastapi_requests_are_counted_under_their_whole_template(
    path: str, name: str, status: int
) -> None:
    assert names_of(mainstay.ASGIMiddleware(a_fastapi_app()), path) == [(name, status)]


def a_starlette_app(folder: Path, **options: Any) -> Starlette:
    (folder / "site.css").write_text("body {}")
    inner = [Route("/rooms/{room:int}", ok), Mount("/deep", routes=[Route("/{leaf}", ok)])]
    return Starlette(
        routes=[
            Route("/cars", ok),
            Route("/houses/{house}", ok),
            Mount("/sheds/{shed:int}", routes=inner),
            Mount("/houses/{house}", routes=inner),
            Mount("/static", StaticFiles(directory=folder)),
        ],
        **options,
    )


STARLETTE_NAMES = [
    ("/houses/red", "/houses/{house}", 200),
    ("/sheds/7/rooms/4", "/sheds/{shed}/rooms/{room}", 200),
    ("/houses/red/rooms/4", "/houses/{house}/rooms/{room}", 200),
    ("/houses/red/deep/x", "/houses/{house}/deep/{leaf}", 200),
    ("/houses/red/nothing", "(unmatched)", 404),
    ("/static/site.css", "/static/{path}", 200),
    ("/static/.env", "/static/{path}", 404),
    ("/.env", "(unmatched)", 404),
]


def test_starlette_requests_are_counted_under_their_whole_template(tmp_path: Path) -> None:
    app = mainstay.ASGIMiddleware(a_starlette_app(tmp_path))

    assert names_of(app, *(path for path, _, _ in STARLETTE_NAMES)) == [
        (name, status) for _, name, status in STARLETTE_NAMES
    ]


def test_inside_and_outside_at_once_a_request_is_counted_once(tmp_path: Path) -> None:
    inside = a_starlette_app(tmp_path, middleware=[Middleware(mainstay.ASGIMiddleware)])

    assert names_of(mainstay.ASGIMiddleware(inside), "/houses/red") == [("/houses/{house}", 200)]
    assert names_of(inside, "/houses/red") == [("/houses/{house}", 200)]


def test_a_bare_app_is_counted_under_its_path_without_ids() -> None:
    async def bare(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("ok", 201)(scope, receive, send)

    app = mainstay.ASGIMiddleware(bare)

    assert names_of_without_lifespan(app, "/users/77") == [("/users/{id}", 201)]


def names_of_without_lifespan(app: Any, path: str) -> list[tuple[str, int]]:
    with a_server() as server:
        mainstay.init(server.dsn)
        with served_asgi(app, lifespan="off") as port:
            ask(port, path)
        assert mainstay.flush(PATIENCE_SECONDS)
        return [(request["path"], request["status"]) for request in server.requests]


def reported(server: Capture) -> dict[str, Any]:
    eventually(lambda: mainstay.flush(1) and server.requests)
    [request] = server.requests
    return request


def test_the_duration_runs_to_the_last_byte_of_a_stream() -> None:
    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 10
            await asyncio.sleep(0.1)

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(slowly())

    app = mainstay.ASGIMiddleware(Starlette(routes=[Route("/stream", stream)]))
    with a_server() as server, served_asgi(app) as port:
        mainstay.init(server.dsn)
        _, body = ask(port, "/stream")

        assert body == b"x" * 30
        assert reported(server)["durationMs"] >= 300


def test_an_app_that_raises_is_counted_as_500_and_still_raises() -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    with a_server() as server:
        mainstay.init(server.dsn)
        with pytest.raises(ZeroDivisionError):
            call(mainstay.ASGIMiddleware(fails), type="http")
        assert reported(server)["status"] == 500


def call(app: Any, **scope: Any) -> list[Any]:
    said = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)

    basics: dict[str, Any] = {"method": "GET", "path": "/", "headers": [], "client": None}
    asyncio.run(app({**basics, **scope}, receive, send))
    return said


def test_a_client_that_goes_away_is_counted_as_499() -> None:
    async def for_ever() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(for_ever())

    app = mainstay.ASGIMiddleware(Starlette(routes=[Route("/stream", stream)]))
    with a_server() as server, served_asgi(app) as port:
        mainstay.init(server.dsn)
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/stream")
        connection.getresponse().read(3)
        connection.close()

        request = reported(server)
    assert (request["path"], request["status"]) == ("/stream", 499)


def test_websockets_and_the_lifespan_pass_through_uncounted() -> None:
    passed = []

    async def notes(scope: Any, receive: Any, send: Any) -> None:
        passed.append((scope["type"], receive, send))

    mainstay.init("http://k@127.0.0.1:9/1")
    call(mainstay.ASGIMiddleware(notes), type="websocket")
    call(mainstay.ASGIMiddleware(notes), type="lifespan")

    assert [kind for kind, _, _ in passed] == ["websocket", "lifespan"]
    assert mainstay.flush(0)  # nothing was queued


def test_the_client_address_is_the_socket_peer_whatever_headers_say() -> None:
    app = mainstay.ASGIMiddleware(Starlette(routes=[Route("/", ok)]))
    with a_server() as server, served_asgi(app, proxy_headers=False) as port:
        mainstay.init(server.dsn)
        ask(port, "/", headers={"X-Forwarded-For": "198.51.100.1", "Forwarded": "for=198.51.100.1"})

        assert reported(server)["clientAddress"] == "127.0.0.1"


def test_an_error_inside_the_sdk_does_not_reach_the_app(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MAINSTAY_RAISE", "0")
    app = mainstay.ASGIMiddleware(Starlette(routes=[Route("/", ok)]))
    mainstay.init("http://k@127.0.0.1:9/1")

    # No server gives such headers, so that the scan for the trace fails.
    said = [call(app, type="http", headers=None)[0]["status"] for _ in range(3)]

    assert said == [200, 200, 200]
    assert len(caplog.records) == 1
