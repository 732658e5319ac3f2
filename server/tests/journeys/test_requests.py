"""The SDK in a FastAPI, a Flask and a Django app: what they serve is on the monitoring page."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
import flask
import httpx2 as httpx
import mainstay as sdk
import numpy as np
import pytest
import uvicorn
from django.conf import settings as django_settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import path
from fastapi import FastAPI
from tests.journeys.running import Mainstay
from tests.waiting import PATIENCE_SECONDS, eventually
from typing_extensions import override

pytestmark = pytest.mark.slow

SUMMARY = {
    "instanceId",
    "period",
    "totalRequests",
    "avgLatencyMs",
    "p95LatencyMs",
    "p99LatencyMs",
    "errorRate",
    "requestsPerSecond",
}


class Quiet(WSGIRequestHandler):
    @override
    def log_message(self, format: str, *args: Any) -> None: ...


@contextmanager
def served_wsgi(app: Any) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(5)


@contextmanager
def served_asgi(app: Any) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


def fastapi_app() -> Any:
    app = FastAPI()

    @app.get("/fastapi/{inspection_id}")
    def get_inspection(inspection_id: int) -> dict[str, int]:
        return {"id": inspection_id}

    return served_asgi(sdk.ASGIMiddleware(app))


def flask_app() -> Any:
    app = flask.Flask("inspections")

    @app.get("/flask/<int:inspection_id>")
    def get_inspection(inspection_id: int) -> str:
        return str(inspection_id)

    app.wsgi_app = sdk.WSGIMiddleware(app.wsgi_app)  # type: ignore[method-assign]  # as Flask tells to wrap it
    return served_wsgi(app)


def get_inspection(request: HttpRequest, inspection_id: int) -> HttpResponse:
    return HttpResponse(str(inspection_id))


urlpatterns = [path("django/<int:inspection_id>", get_inspection)]


def django_app() -> Any:
    if not django_settings.configured:
        django_settings.configure(
            ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x" * 50, MIDDLEWARE=[]
        )
        django.setup()
    return served_wsgi(sdk.WSGIMiddleware(WSGIHandler()))


@pytest.mark.parametrize(
    ("framework", "build", "template"),
    [
        ("fastapi", fastapi_app, "/fastapi/{inspection_id}"),
        ("flask", flask_app, "/flask/<int:inspection_id>"),
        ("django", django_app, "/django/<int:inspection_id>"),
    ],
)
def test_what_a_framework_serves_is_counted_under_its_route(
    mainstay: Mainstay, framework: str, build: Callable[[], Any], template: str
) -> None:
    sdk.init(mainstay.project["dsn"], environment=framework, flush_interval_seconds=0.2)
    with build() as url, httpx.Client(timeout=PATIENCE_SECONDS) as client:
        for n in range(30):
            assert client.get(f"{url}/{framework}/{n}").status_code == 200
        assert client.get(f"{url}/wp-login.php").status_code == 404
    assert sdk.flush(timeout_seconds=PATIENCE_SECONDS)
    sdk.close()

    def metrics() -> Any:
        instances = mainstay.project["instances"]
        found = [i["id"] for i in instances if i["environment"] == framework]
        return found and mainstay.get(f"/api/instances/{found[0]}/metrics?hours=1&interval=5")

    answer = eventually(metrics)
    assert set(answer) == {"summary", "endpoints", "timeSeries"}
    assert set(answer["summary"]) == SUMMARY
    assert answer["summary"]["totalRequests"] == 31
    assert answer["summary"]["period"] == "1h"
    counts = {endpoint["path"]: endpoint["count"] for endpoint in answer["endpoints"]}
    assert counts == {template: 30, "(unmatched)": 1}
    assert set(answer["endpoints"][0]) == {"path", "count", "avgLatency", "errorRate"}
    assert set(answer["timeSeries"][0]) == {"timestamp", "requests", "avgLatency", "errors"}
    assert sum(bucket["requests"] for bucket in answer["timeSeries"]) == 31


def test_percentiles_are_those_of_numpy_on_the_same_requests(mainstay: Mainstay) -> None:
    durations = np.random.default_rng(7).lognormal(3, 1, 5000)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    key = mainstay.project["ingestKey"]
    for part in np.array_split(durations, 5):
        batch = {
            "environment": "percentiles",
            "requests": [
                {"at": now, "method": "GET", "path": "/", "status": 200, "durationMs": float(ms)}
                for ms in part
            ],
        }
        sent = mainstay.call(
            "POST", f"/api/{mainstay.project['number']}/requests/?sentry_key={key}", json=batch
        )
        assert sent.status_code == 200, sent.text
    instance = next(i for i in mainstay.project["instances"] if i["environment"] == "percentiles")
    found = mainstay.get(f"/api/instances/{instance['id']}/metrics?hours=1")["summary"]
    assert found["totalRequests"] == 5000
    assert found["p95LatencyMs"] == pytest.approx(np.percentile(durations, 95), rel=0.01)
    assert found["p99LatencyMs"] == pytest.approx(np.percentile(durations, 99), rel=0.01)
