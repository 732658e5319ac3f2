"""The decorator in each framework: the route gets what was checked, or is not called at all."""

import dataclasses
import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Annotated, Any

import mainstay
import pydantic
import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views import View
from fastapi import Depends, FastAPI, Request
from flask import Flask
from mainstay.validation import Limits, validated
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.app_servers import PATIENCE_SECONDS, served_asgi, served_wsgi
from tests.django_project import django_project

LIMITS = Limits(most_bytes=1_000)
GOOD = b'{"article": 7}'


@dataclasses.dataclass
class Order:
    article: int


Greeting = Annotated[str, Depends(lambda: "hi")]


class Model(pydantic.BaseModel):
    article: int


def a_fastapi_app() -> Any:
    app = FastAPI()

    @app.post("/async/{shop}")
    @validated(Model, limits=LIMITS)
    async def add(shop: str, body: Model, greeting: Greeting) -> dict[str, Any]:
        return {"shop": shop, "article": body.article, "greeting": greeting}

    @app.post("/sync/{shop}")
    @validated(Order, into="order", limits=LIMITS)
    def add_plain(request: Request, shop: str, order: Order) -> dict[str, Any]:
        return {"shop": shop, "article": order.article, "greeting": request.method and "hi"}

    return app


def a_starlette_app() -> Any:
    @validated(Order, limits=LIMITS)
    async def add(request: StarletteRequest, body: Order) -> JSONResponse:
        shop = request.path_params["shop"]
        return JSONResponse({"shop": shop, "article": body.article, "greeting": "hi"})

    class Orders(HTTPEndpoint):
        @validated(Order, limits=LIMITS)
        def post(self, request: StarletteRequest, body: Order) -> JSONResponse:
            shop = request.path_params["shop"]
            return JSONResponse({"shop": shop, "article": body.article, "greeting": "hi"})

    routes = [Route("/async/{shop}", add, methods=["POST"]), Route("/sync/{shop}", Orders)]
    return Starlette(routes=routes)


def a_flask_app() -> Any:
    app = Flask("app")

    @app.post("/sync/<shop>")
    @validated(Order, limits=LIMITS)
    def add(shop: str, body: Order) -> dict[str, Any]:
        return {"shop": shop, "article": body.article, "greeting": "hi"}

    return app


@validated(Order, limits=LIMITS)
def a_view(request: HttpRequest, shop: str, body: Order) -> JsonResponse:
    return JsonResponse({"shop": shop, "article": body.article, "greeting": "hi"})


@validated(Order, limits=LIMITS)
async def an_async_view(request: HttpRequest, shop: str, body: Order) -> JsonResponse:
    return JsonResponse({"shop": shop, "article": body.article, "greeting": "hi"})


class AView(View):  # type: ignore[misc]  # Django is untyped
    @validated(Order, limits=LIMITS)
    def post(self, request: HttpRequest, shop: str, body: Order) -> JsonResponse:
        return JsonResponse({"shop": shop, "article": body.article, "greeting": "hi"})


urlpatterns = [
    path("sync/<shop>", a_view),
    path("async/<shop>", an_async_view),
    path("class/<shop>", AView.as_view()),
]


@pytest.fixture(scope="module", autouse=True)
def _django() -> Iterator[None]:
    with django_project(__name__):
        yield


Served = Callable[[], AbstractContextManager[int]]
WAYS: list[tuple[str, Served, str]] = [
    ("fastapi", lambda: served_asgi(a_fastapi_app()), "/async/acme"),
    ("fastapi in a thread", lambda: served_asgi(a_fastapi_app()), "/sync/acme"),
    ("fastapi, guarded", lambda: served_asgi(mainstay.Guard(a_fastapi_app())), "/async/acme"),
    ("starlette", lambda: served_asgi(a_starlette_app()), "/async/acme"),
    ("starlette class", lambda: served_asgi(a_starlette_app()), "/sync/acme"),
    ("flask", lambda: served_wsgi(a_flask_app()), "/sync/acme"),
    ("flask, guarded", lambda: served_wsgi(mainstay.Guard(a_flask_app())), "/sync/acme"),
    ("django", lambda: served_wsgi(WSGIHandler()), "/sync/acme"),
    ("django class", lambda: served_wsgi(WSGIHandler()), "/class/acme"),
    ("django asgi", lambda: served_asgi(ASGIHandler(), lifespan="off"), "/async/acme"),
]
each = pytest.mark.parametrize(
    ("served", "where"), [way[1:] for way in WAYS], ids=[way[0] for way in WAYS]
)


def post(
    port: int, where: str, body: Any, kind: str | None = "application/json", **headers: str
) -> tuple[int, dict[str, str], Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        said = {**({"Content-Type": kind} if kind else {}), **headers}
        connection.request("POST", where, body, said)
        answer = connection.getresponse()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, names, json.loads(answer.read())
    finally:
        connection.close()


@each
def test_a_good_body_reaches_the_route_and_a_bad_one_is_answered(
    served: Served, where: str
) -> None:
    with served() as port:
        status, _, document = post(port, where, GOOD)
        assert (status, document) == (200, {"shop": "acme", "article": 7, "greeting": "hi"})
        for body, kind, expected in (
            (b'{"article": "x"}', "application/json", (422, "body-invalid")),
            (b'{"article": 1, "article": 2}', "application/json", (400, "body-malformed")),
            (b"[" * 900, "application/json", (400, "body-too-complex")),
            (b" " * 1_001, "application/json", (413, "body-too-large")),
            (GOOD, "text/plain", (415, "content-type-unsupported")),
            (GOOD, None, (415, "content-type-unsupported")),
        ):
            status, headers, document = post(port, where, body, kind)
            assert (status, document["code"]) == expected
            assert headers["content-type"] == "application/problem+json"
            assert headers["cache-control"] == "no-store"
        status, _, document = post(port, where, GOOD, **{"Content-Encoding": "gzip"})
        assert (status, document["code"]) == (415, "content-encoding-unsupported")


@pytest.mark.parametrize(
    ("served", "where"),
    [(way[1], way[2]) for way in WAYS if "asgi" in way[0] or "st" in way[0][:2]],
)
def test_a_body_that_does_not_tell_its_length_is_read_to_the_limit_and_no_further(
    served: Served, where: str
) -> None:
    with served() as port:
        chunks = iter([b'{"article":'] + [b" " * 100] * 20 + [b"7}"])
        status, _, document = post(port, where, chunks)
        assert (status, document["code"]) == (413, "body-too-large")
        status, _, document = post(port, where, iter([b'{"article":', b"7}"]))
        assert (status, document["article"]) == (200, 7)


def test_a_function_without_a_place_for_the_body_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="order"):
        validated(Order, into="order")(lambda request: None)


def test_outside_of_a_request_it_says_where_it_belongs() -> None:
    @validated(Order)
    def route(**given: Any) -> Any:
        return given

    with pytest.raises(RuntimeError, match="above a route"):
        route()
