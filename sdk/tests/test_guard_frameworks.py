"""FastAPI, Starlette, Flask and Django over real sockets: marks, bodies and errors of the app."""

import http.client
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import mainstay
import pytest
from django import http as django_http
from django import urls
from django.core import asgi as django_asgi
from django.core import wsgi as django_wsgi
from fastapi import Depends, FastAPI
from fastapi import Request as FastAPIRequest
from flask import Flask
from flask import request as flask_request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from tests.app_servers import served_asgi, served_wsgi
from tests.django_project import django_project
from tests.guarding import READER, WRITER, Told, a_limit, a_policy, a_world, asked_wsgi, bearer

MOST = 100_000


def policy() -> dict[str, Any]:
    """Everything that the marks need, and limits that nobody reaches by the door alone."""
    return a_policy(
        "allowlist",
        "quotas",
        client={},
        body={"mostBytes": MOST},
        limits=a_limit(name="door", quota=20),
    )


def a_fastapi_app() -> Any:  # noqa: C901 - one route a promise
    api = FastAPI()

    @api.get("/limited")
    @mainstay.limit("2/hour")
    async def limited() -> str:
        return "ok"

    @api.get("/limited-plainly")
    @mainstay.limit("2/hour", name="plain")
    def limited_plainly(q: int = 0) -> str:
        return "ok"

    @api.get("/costly")
    @mainstay.cost(8)
    async def costly() -> str:
        return "ok"

    @api.get("/scoped")
    @mainstay.scopes("insight:write")
    async def scoped() -> str:
        return "ok"

    def person(person: str) -> None:
        mainstay.identify(person)

    @api.get("/mine", dependencies=[Depends(person)])
    @mainstay.limit("2/hour", by="person")
    async def mine() -> str:
        return "ok"

    @api.get("/caught")
    async def caught() -> str:
        try:
            return str(await limited())
        except mainstay.Refused as refused:
            return refused.refusal.code

    @api.get("/fails")
    async def fails() -> str:
        raise ZeroDivisionError

    @api.post("/json")
    async def read_json(body: dict[str, Any]) -> int:
        return len(body)

    @api.post("/read")
    async def read(request: FastAPIRequest) -> int:
        return len(await request.body())

    return mainstay.Guard(api, policy=policy())


def a_starlette_app() -> Any:  # noqa: C901 - one route a promise
    @mainstay.limit("2/hour")
    async def limited(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    @mainstay.limit("2/hour", name="plain")
    def limited_plainly(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    @mainstay.cost(8)
    async def costly(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    @mainstay.scopes("insight:write")
    async def scoped(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    @mainstay.limit("2/hour", by="person")
    async def count(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    async def mine(request: Request) -> PlainTextResponse:
        await mainstay.aidentify(request.query_params["person"])
        return await count(request)

    async def caught(request: Request) -> PlainTextResponse:
        try:
            return await limited(request)
        except mainstay.Refused as refused:
            return PlainTextResponse(refused.refusal.code)

    async def fails(request: Request) -> PlainTextResponse:
        raise ZeroDivisionError

    async def read(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    async def through(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    routes = [
        Route("/limited", limited),
        Route("/limited-plainly", limited_plainly),
        Route("/costly", costly),
        Route("/scoped", scoped),
        Route("/mine", mine),
        Route("/caught", caught),
        Route("/fails", fails),
        Route("/read", read, methods=["POST"]),
    ]
    # From inside, and below a middleware that runs the app in a task of its own.
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(mainstay.Guard, policy=policy()),
            Middleware(BaseHTTPMiddleware, dispatch=through),
        ],
    )


def a_flask_app() -> Any:  # noqa: C901 - one route a promise
    app = Flask("small")

    @app.get("/limited")
    @mainstay.limit("2/hour")
    def limited() -> str:
        return "ok"

    @app.get("/limited-plainly")
    @mainstay.limit("2/hour", name="plain")
    def limited_plainly() -> str:
        return "ok"

    @app.get("/costly")
    @mainstay.cost(8)
    def costly() -> str:
        return "ok"

    @app.get("/scoped")
    @mainstay.scopes("insight:write")
    def scoped() -> str:
        return "ok"

    @mainstay.limit("2/hour", by="person")
    def count() -> str:
        return "ok"

    @app.get("/mine")
    def mine() -> str:
        mainstay.identify(flask_request.args["person"])
        return count()

    @app.get("/caught")
    def caught() -> str:
        try:
            return limited()
        except mainstay.Refused as refused:
            return refused.refusal.code

    @app.get("/fails")
    def fails() -> str:
        raise ZeroDivisionError

    @app.post("/read")
    def read() -> str:
        return str(len(flask_request.get_data()))

    app.wsgi_app = mainstay.Guard(app.wsgi_app, policy=policy())  # type: ignore[method-assign]  # Flask's own way
    return app


def django_ok(request: django_http.HttpRequest) -> django_http.HttpResponse:
    return django_http.HttpResponse("ok")


@mainstay.limit("2/hour")
def django_limited(request: django_http.HttpRequest) -> django_http.HttpResponse:
    return django_http.HttpResponse("ok")


@mainstay.limit("2/hour", name="plain")
async def django_limited_plainly(request: django_http.HttpRequest) -> django_http.HttpResponse:
    return django_http.HttpResponse("ok")


@mainstay.limit("2/hour", by="person")
def django_count(request: django_http.HttpRequest) -> django_http.HttpResponse:
    return django_http.HttpResponse("ok")


def django_mine(request: django_http.HttpRequest) -> django_http.HttpResponse:
    mainstay.identify(request.GET["person"])
    return django_count(request)


def django_caught(request: django_http.HttpRequest) -> django_http.HttpResponse:
    try:
        return django_limited(request)
    except mainstay.Refused as refused:
        return django_http.HttpResponse(refused.refusal.code)


def django_fails(request: django_http.HttpRequest) -> django_http.HttpResponse:
    raise ZeroDivisionError


def django_read(request: django_http.HttpRequest) -> django_http.HttpResponse:
    return django_http.HttpResponse(str(len(request.body)))


class Urls:
    urlpatterns = (
        urls.path("limited", django_limited),
        urls.path("limited-plainly", django_limited_plainly),
        urls.path("costly", mainstay.cost(8)(django_ok)),
        urls.path("scoped", mainstay.scopes("insight:write")(django_ok)),
        urls.path("mine", django_mine),
        urls.path("caught", django_caught),
        urls.path("fails", django_fails),
        urls.path("read", django_read),
    )


@pytest.fixture(scope="module", autouse=True)
def _a_django_project() -> Iterator[None]:
    with django_project(Urls, middleware=["django.middleware.common.CommonMiddleware"]):
        yield


@contextmanager
def fastapi() -> Iterator[int]:
    with served_asgi(a_fastapi_app()) as port:
        yield port


@contextmanager
def starlette() -> Iterator[int]:
    with served_asgi(a_starlette_app()) as port:
        yield port


@contextmanager
def flask() -> Iterator[int]:
    with served_wsgi(a_flask_app()) as port:
        yield port


@contextmanager
def django_by_wsgi() -> Iterator[int]:
    with served_wsgi(mainstay.Guard(django_wsgi.get_wsgi_application(), policy=policy())) as port:
        yield port


@contextmanager
def django_by_asgi() -> Iterator[int]:
    app = mainstay.Guard(django_asgi.get_asgi_application(), policy=policy())
    with served_asgi(app, lifespan="off") as port:
        yield port


ALL = [fastapi, starlette, flask, django_by_wsgi, django_by_asgi]
each = pytest.mark.parametrize("served", ALL, ids=[served.__name__ for served in ALL])
Served = Callable[[], AbstractContextManager[int]]


def ask(
    port: int,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: Any = None,
) -> Told:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        chunked = body is not None and not isinstance(body, bytes)
        connection.request(method, path, body, dict(headers or {}), encode_chunked=chunked)
        response = connection.getresponse()
        told = {name.lower(): value for name, value in response.getheaders()}
        return Told(response.status, told, response.read())
    finally:
        connection.close()


@each
def test_a_limited_route_is_limited_by_itself_and_gives_back_what_the_door_took(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), served() as port:
        answers = [ask(port, "/limited") for _ in range(4)]
        other = ask(port, "/limited-plainly")

    assert [told.status for told in answers] == [200, 200, 429, 429]
    refused = answers[-1]
    assert refused.problem["violated-policies"] == [refused.headers["ratelimit"].split('"')[1]]
    assert int(refused.headers["retry-after"]) == 1800
    assert refused.headers["ratelimit-policy"].startswith('"door";q=20;w=60, ')
    assert refused.headers["x-content-type-options"] == "nosniff"
    # Two of four were charged at the door, and this one.
    assert '"door";r=17' in other.headers["ratelimit"]
    assert [record for record in caplog.records if record.name != "uvicorn.error"] == []


@each
def test_a_plain_or_async_function_is_limited_alike(served: Served) -> None:
    with served() as port:
        answers = [ask(port, "/limited-plainly") for _ in range(3)]

    assert [told.status for told in answers] == [200, 200, 429]
    assert answers[-1].problem["violated-policies"] == ["plain"]


@each
def test_a_costly_route_counts_for_several(served: Served) -> None:
    with served() as port:
        answers = [ask(port, "/costly") for _ in range(3)]

    assert [told.status for told in answers] == [200, 200, 429]
    assert answers[1].headers["x-ratelimit-remaining"] == "4"
    assert answers[2].problem["violated-policies"] == ["door"]


@each
def test_a_scoped_route_asks_for_a_key_that_has_the_scope(served: Served) -> None:
    with served() as port:
        nobody = ask(port, "/scoped")
        reader = ask(port, "/scoped", headers=bearer(READER))

    assert (nobody.status, nobody.code) == (401, "key-missing")
    assert nobody.headers["www-authenticate"] == 'Bearer realm="api"'
    assert (reader.status, reader.code) == (403, "insufficient-scope")
    assert 'scope="insight:write"' in reader.headers["www-authenticate"]


def test_a_key_with_the_scope_passes() -> None:
    keys = policy()["keys"]
    keys["keys"][1]["networks"] = []
    api = FastAPI()

    @api.get("/scoped")
    @mainstay.scopes("insight:write")
    async def scoped() -> str:
        return "ok"

    app = mainstay.Guard(api, policy={**policy(), "keys": keys})
    with served_asgi(app) as port:
        assert ask(port, "/scoped", headers=bearer(WRITER)).status == 200


@each
def test_a_limit_by_person_counts_whom_the_app_names(served: Served) -> None:
    with served() as port:
        ada = [ask(port, "/mine?person=ada").status for _ in range(3)]
        bob = [ask(port, "/mine?person=bob").status for _ in range(2)]

    assert (ada, bob) == ([200, 200, 429], [200, 200])


@each
def test_an_app_that_catches_a_refusal_and_knows_better_is_left_alone(served: Served) -> None:
    with served() as port:
        told = [ask(port, "/caught").body.strip(b'"') for _ in range(3)]

    assert told == [b"ok", b"ok", b"rate-limited"]


@each
def test_an_error_of_the_app_stays_its_own(served: Served) -> None:
    with served() as port:
        told = ask(port, "/fails")

    assert told.status == 500
    assert "problem" not in told.headers.get("content-type", "")
    # From inside, Starlette's outermost layer answers errors beyond the guard.
    assert served is starlette or told.headers["x-content-type-options"] == "nosniff"


def chunks(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * 10_000


BODIES = [fastapi, starlette, django_by_asgi]


@pytest.mark.parametrize("served", BODIES, ids=[served.__name__ for served in BODIES])
def test_a_body_of_undeclared_length_is_counted_while_it_streams(served: Served) -> None:
    headers = {"Transfer-Encoding": "chunked"}
    with served() as port:
        fits = ask(port, "/read", method="POST", headers=headers, body=chunks(10))
        over = ask(port, "/read", method="POST", headers=headers, body=chunks(11))

    assert (fits.status, fits.body) == (200, b"100000")
    assert (over.status, over.code) == (413, "body-too-large")


def test_fastapi_that_parses_a_body_itself_answers_the_same() -> None:
    body = iter([b'{"a": "' + b"x" * 60_000, b"x" * 60_000 + b'"}'])
    headers = {"Transfer-Encoding": "chunked", "Content-Type": "application/json"}
    with fastapi() as port:
        over = ask(port, "/json", method="POST", headers=headers, body=body)

    assert (over.status, over.code) == (413, "body-too-large")


def test_a_wsgi_server_that_reads_chunks_has_them_counted() -> None:
    read: list[int] = []

    def app(environ: Any, start_response: Any) -> Any:
        read.append(len(environ["wsgi.input"].read()))
        start_response("200 OK", [])
        return [b"ok"]

    world = a_world("wsgi", policy())
    world.guard.app = app
    ask = world.guard

    def asked(size: int) -> Told:
        chunked = {"Transfer-Encoding": "chunked"}
        return asked_wsgi(ask, "/docs", method="POST", peer="", headers=chunked, body=b"x" * size)

    assert asked(MOST).status == 200
    over = asked(MOST + 1)
    assert (over.status, over.code) == (413, "body-too-large")
    assert read == [MOST]


@each
def test_a_declared_length_over_the_limit_is_refused_before_a_byte_is_sent(served: Served) -> None:
    with served() as port, socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(
            f"POST /read HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {MOST + 1}\r\n\r\n".encode()
        )
        assert client.recv(4096).split(b" ", 2)[1] == b"413"


def test_a_response_that_streams_passes_through_as_it_comes() -> None:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(5):
            yield f"{number},".encode()

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(parts())

    app = mainstay.Guard(Starlette(routes=[Route("/", stream)]), policy=policy())
    with served_asgi(app) as port:
        assert ask(port, "/").body == b"0,1,2,3,4,"


def test_a_mark_without_a_guard_lets_pass_and_says_so_but_a_scope_refuses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @mainstay.limit("1/hour")
    def limited() -> str:
        return "ok"

    @mainstay.scopes("admin")
    def scoped() -> str:
        return "ok"

    assert [limited() for _ in range(3)] == ["ok"] * 3
    assert len(caplog.records) == 1
    with pytest.raises(mainstay.Refused) as refused:
        scoped()
    assert refused.value.refusal.status == 401


def test_a_dry_run_lets_marks_refuse_nobody() -> None:
    api = FastAPI()

    @api.get("/")
    @mainstay.limit("1/hour")
    @mainstay.scopes("admin")
    async def limited() -> str:
        return "ok"

    with served_asgi(mainstay.Guard(api, policy=policy(), dry_run=True)) as port:
        assert [ask(port, "/").status for _ in range(3)] == [200, 200, 200]


def test_refusals_inside_of_an_app_are_json_like_those_at_the_door() -> None:
    with fastapi() as port:
        inside = [ask(port, "/limited") for _ in range(3)][-1]
        door = [ask(port, "/nothing") for _ in range(30)][-1]

    assert set(json.loads(inside.body)) == set(json.loads(door.body))
