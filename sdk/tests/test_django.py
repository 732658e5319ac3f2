"""Django under WSGI and ASGI: one line in wsgi.py or asgi.py, and the right names."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import mainstay
import pytest
from django import http, urls
from django.core import asgi as core_asgi
from django.core import wsgi as core_wsgi
from tests.app_servers import PATIENCE_SECONDS, ask, served_asgi, served_wsgi
from tests.capture_server import a_server
from tests.django_project import django_project


def ok(request: http.HttpRequest, **captured: object) -> http.HttpResponse:
    return http.HttpResponse("ok")


def fails(request: http.HttpRequest) -> http.HttpResponse:
    raise ZeroDivisionError


class Urls:
    urlpatterns = (
        urls.path("houses/<int:house>/", urls.include([urls.path("rooms/<slug:room>", ok)])),
        urls.re_path(r"^years/(?P<year>[0-9]{4})/$", ok),
        urls.path("fails", fails),
    )


@pytest.fixture(scope="module", autouse=True)
def _a_django_project() -> Iterator[None]:
    with django_project(Urls, middleware=["django.middleware.common.CommonMiddleware"]):
        yield


def wsgi() -> AbstractContextManager[int]:
    return served_wsgi(mainstay.WSGIMiddleware(core_wsgi.get_wsgi_application()))


def asgi() -> AbstractContextManager[int]:
    return served_asgi(mainstay.ASGIMiddleware(core_asgi.get_asgi_application()), lifespan="off")


def asgi_below_a_wrapper_that_copies() -> AbstractContextManager[int]:
    inner: Any = core_asgi.get_asgi_application()

    async def copies(scope: Any, receive: Any, send: Any) -> None:
        await inner(dict(scope), receive, send)

    return served_asgi(mainstay.ASGIMiddleware(copies), lifespan="off")


NAMES = [
    ("/houses/4/rooms/blue", "/houses/<int:house>/rooms/<slug:room>", 200),
    ("/years/2026/", "/years/(?P<year>[0-9]{4})/$", 200),
    ("/fails", "/fails", 500),
    ("/wp-login.php", "(unmatched)", 404),
]


@pytest.mark.parametrize("served", [wsgi, asgi, asgi_below_a_wrapper_that_copies])
def test_django_requests_are_counted_under_their_route(
    served: Callable[[], AbstractContextManager[int]],
) -> None:
    with a_server() as server:
        mainstay.init(server.dsn)
        with served() as port:
            for asked, _, _ in NAMES:
                ask(port, asked)
        assert mainstay.flush(PATIENCE_SECONDS)

    # A request is noted when its thread is done, which may be after the next one's.
    assert sorted((r["path"], r["status"]) for r in server.requests) == sorted(
        (name, status) for _, name, status in NAMES
    )
