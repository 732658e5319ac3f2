"""What Prometheus reads: the right numbers in the right form, from one process and from many."""

import asyncio
import http.client
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import mainstay
import pytest
from flask import Flask
from mainstay._internal.clock import Clock
from mainstay._internal.metrics import Metrics
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.app_servers import PATIENCE_SECONDS, ask, eventually, served_asgi, served_wsgi

NOON = 1_795_230_000.0


def starlette() -> Any:
    def answer(request: Any) -> PlainTextResponse:
        return PlainTextResponse("ok", int(request.path_params["status"]))

    return Starlette(routes=[Route("/{status}", answer, methods=["GET", "POST"])])


def flask() -> Any:
    app = Flask("app")
    app.add_url_rule(
        "/<int:status>", view_func=lambda status: ("ok", status), methods=["GET", "POST"]
    )
    return app


Served = Callable[[mainstay.Health], AbstractContextManager[int]]
WAYS: dict[str, Served] = {
    "asgi": lambda health: served_asgi(mainstay.ASGIMiddleware(starlette(), health=health)),
    "wsgi": lambda health: served_wsgi(mainstay.WSGIMiddleware(flask(), health=health)),
    "guarded asgi": lambda health: served_asgi(mainstay.Guard(starlette(), health=health)),
    "guarded wsgi": lambda health: served_wsgi(mainstay.Guard(flask(), health=health)),
}
each_way = pytest.mark.parametrize("served", WAYS.values(), ids=WAYS)


def scraped(port: int) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by its name and its labels without the process, read by Prometheus' parser."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    connection.request("GET", "/api/metrics")
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.getheader("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.getheader("cache-control") == "no-store"
    text = answer.read().decode()
    connection.close()
    return parsed(text)


def parsed(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        assert family.type in ("gauge", "counter", "histogram")
        for sample in family.samples:
            labels = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "pid"))
            assert (sample.name, labels) not in found
            found[sample.name, labels] = sample.value
    return found


def requests(method: str, status: int) -> tuple[str, tuple[tuple[str, str], ...]]:
    return "http_requests_total", (("method", method), ("status", str(status)))


@each_way
def test_requests_errors_and_durations_are_counted_and_probes_are_not(served: Served) -> None:
    health = mainstay.Health(version="1.4.2")
    with served(health) as port:
        for path, method in (
            ("/200", "GET"), ("/200", "GET"), ("/404", "GET"), ("/201", "POST"), ("/503", "GET"),
            ("/200", "PROPFIND"), ("/api/health", "GET"), ("/api/metrics", "GET"),
        ):  # fmt: skip
            ask(port, path, method)
        eventually(lambda: scraped(port)["http_request_duration_seconds_count", ()] == 6)
        told = scraped(port)

    assert {key: value for key, value in told.items() if key[0] == "http_requests_total"} == {
        requests("GET", 200): 2,
        requests("GET", 404): 1,
        requests("POST", 201): 1,
        requests("GET", 503): 1,
        requests("_OTHER", 405): 1,
    }
    assert told["http_request_errors_total", ()] == 1
    assert told["http_request_duration_seconds_bucket", (("le", "+Inf"),)] == 6
    assert 0 < told["http_request_duration_seconds_sum", ()] < PATIENCE_SECONDS
    assert told["app_info", (("version", "1.4.2"),)] == 1
    assert told["app_processes", ()] == 1
    assert told["process_resident_memory_bytes", ()] > 10_000_000
    assert 0 < told["app_memory_used_ratio", ()] < 1
    assert told["app_uptime_seconds", ()] >= 0


def a_metrics(folder: Path | None = None, **options: Any) -> Metrics:
    calm: dict[str, Any] = {
        "clock": Clock(wall=lambda: NOON),
        "version": None,
        "records": None,
        "memory_percent": lambda: 40.0,
    }
    return Metrics(**{**calm, **options}, folder=folder)


def test_a_duration_is_in_every_bucket_that_it_fits_into() -> None:
    metrics = a_metrics()
    for seconds in (0.0, 0.005, 0.0051, 0.3, 10.0, 10.1, 3_600.0):
        metrics.count("GET", 200, seconds)
    told = parsed(metrics.tell(None))

    bucket = "http_request_duration_seconds_bucket"
    bounds = [(le, told[bucket, (("le", le),)]) for le in ("0.005", "0.01", "0.5", "10", "+Inf")]
    assert bounds == [("0.005", 2), ("0.01", 3), ("0.5", 4), ("10", 5), ("+Inf", 7)]
    assert told["http_request_duration_seconds_sum", ()] == pytest.approx(3_620.4101)


def test_threads_lose_no_count() -> None:
    metrics = a_metrics()

    def many() -> None:
        for _ in range(5_000):
            metrics.count("GET", 200, 0.001)

    with ThreadPoolExecutor(8) as threads:
        for _ in range(8):
            threads.submit(many)

    assert parsed(metrics.tell(None))[requests("GET", 200)] == 40_000


@pytest.mark.parametrize("status", [0, 99, 600, 999, -5])
def test_a_status_that_is_none_takes_no_room(status: int) -> None:
    metrics = a_metrics()
    metrics.count("GET", status, 0.1)

    assert parsed(metrics.tell(None))["http_request_duration_seconds_count", ()] == 1


async def records_later() -> dict[str, int]:
    await asyncio.sleep(0)
    return {"articles": 7}


@each_way
@pytest.mark.parametrize("records", [lambda: {"articles": 7}, records_later])
def test_the_app_says_how_many_records_it_has(served: Served, records: Any) -> None:
    with served(mainstay.Health(records=records, timeout_seconds=PATIENCE_SECONDS)) as port:
        told = scraped(port)

    assert told["app_records", (("kind", "articles"),)] == 7
    assert told["app_records_up", ()] == 1


@pytest.mark.parametrize("said", [None, 7, {"a": "many"}, {str(n): n for n in range(201)}])
def test_records_that_cannot_be_told_are_down_and_all_else_is_told(said: Any) -> None:
    with WAYS["wsgi"](mainstay.Health(records=lambda: said)) as port:
        told = scraped(port)

    assert told["app_records_up", ()] == 0
    assert ("http_request_errors_total", ()) in told


def test_records_are_asked_once_a_minute_and_waited_for_within_the_time() -> None:
    now, released, asked = [100.0], threading.Event(), []

    def records() -> dict[str, int]:
        asked.append(1)
        if len(asked) == 2:
            released.wait(PATIENCE_SECONDS)
        return {'a "kind"\\\n': len(asked)}

    clock = Clock(wall=lambda: NOON, monotonic=lambda: now[0])
    health = mainstay.Health(records=records, timeout_seconds=0.2, clock=clock)
    kind = (("kind", 'a "kind"\\\n'),)
    with WAYS["wsgi"](health) as port:
        eventually(lambda: scraped(port)["app_records_up", ()] == 1)
        assert len(asked) == 1
        now[0] += 60
        told = scraped(port)
        assert told["app_records_up", ()] == 0, "it hangs"
        assert told["app_records", kind] == 1, "what it said last"
        now[0] += 60
        scraped(port)
        assert len(asked) == 2, "one that hangs costs one thread"
        released.set()
        eventually(lambda: scraped(port)["app_records", kind] > 1)


@each_way
def test_with_a_token_only_its_bearer_may_read_metrics_and_everybody_health(served: Served) -> None:
    with served(mainstay.Health(metrics_token="a secret")) as port:
        for headers in (
            {},
            {"Authorization": "Bearer another"},
            {"Authorization": "Basic a secret"},
        ):
            status, body = ask(port, "/api/metrics", headers=headers)
            assert status == 401
            assert b"token-missing" in body
        assert ask(port, "/api/metrics", headers={"Authorization": "Bearer a secret"})[0] == 200
        assert ask(port, "/api/health")[0] == 200


def test_an_empty_token_is_a_mistake_and_not_an_open_door() -> None:
    with pytest.raises(ValueError, match="empty"):
        mainstay.Health(metrics_token="")


def test_metrics_may_be_elsewhere_or_nowhere() -> None:
    with WAYS["asgi"](mainstay.Health(metrics_path="/metrics")) as port:
        assert (ask(port, "/metrics")[0], ask(port, "/api/metrics")[0]) == (200, 404)
        assert ask(port, "/metrics", "HEAD") == (200, b"")
    with WAYS["asgi"](mainstay.Health(metrics_path=None)) as port:
        assert ask(port, "/api/metrics")[0] == 404


def test_processes_with_a_folder_count_together_and_no_sum_ever_goes_back(tmp_path: Path) -> None:
    mine = a_metrics(tmp_path)
    mine.count("GET", 200, 0.1)
    count = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1]);"
        "from mainstay._internal.metrics import Metrics;"
        "from mainstay._internal.clock import Clock;"
        "m = Metrics(clock=Clock(), version=None, records=None, memory_percent=lambda: 1.0,"
        " folder=pathlib.Path(sys.argv[2]));"
        "m.count('GET', 200, 0.1); m.count('GET', 500, 0.1); print('counted', flush=True); input()"
    )
    for round_ in (1, 2, 3):
        command = [
            sys.executable,
            "-c",
            count,
            str(Path(mainstay.__file__).parents[1]),
            str(tmp_path),
        ]
        others = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        assert [other.stdout.readline() for other in others if other.stdout] == ["counted\n"] * 2
        told = parsed(mine.tell(None))
        assert told["app_processes", ()] == 3
        for other in others:
            other.communicate("\n")
        gone = parsed(mine.tell(None))

        for sums in (told, gone):
            assert sums[requests("GET", 200)] == 1 + 2 * round_
            assert sums["http_request_errors_total", ()] == 2 * round_
        assert gone["app_processes", ()] == 1
        assert told["process_resident_memory_bytes", ()] > gone["process_resident_memory_bytes", ()]
    assert len(list(tmp_path.iterdir())) == 3, "who comes later goes on in a file that is free"


def test_after_a_fork_parent_and_child_count_each_their_own(tmp_path: Path) -> None:
    alone, together = a_metrics(), a_metrics(tmp_path)
    for metrics in (alone, together):
        metrics.count("GET", 200, 0.1)
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        try:
            # What mainstay.Health does in every child.
            for metrics in (alone, together):
                metrics.begin_anew()
                metrics.count("GET", 200, 0.1)
            told = [parsed(m.tell(None))[requests("GET", 200)] for m in (alone, together)]
            os.write(writes, repr(told).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)

    assert os.read(reads, 100) == b"[1, 2]"
    assert parsed(alone.tell(None))[requests("GET", 200)] == 1
    assert parsed(together.tell(None))[requests("GET", 200)] == 2
    os.close(reads)
    os.close(writes)


def test_a_folder_that_fills_up_is_said_and_each_counts_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mainstay._internal.slots._MOST_PROCESSES", 1)
    first, second = a_metrics(tmp_path), a_metrics(tmp_path)
    for metrics in (first, second):
        metrics.count("GET", 200, 0.1)

    assert parsed(second.tell(None))[requests("GET", 200)] == 1
    assert "each process alone" in caplog.text


APP = """
import mainstay
async def app(scope, receive, send):
    if scope["type"] == "http":
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
app = mainstay.ASGIMiddleware(app, health=mainstay.Health(metrics_folder="counts"))
"""


@contextmanager
def two_workers(folder: Path) -> Iterator[int]:
    (folder / "app.py").write_text(APP)
    command = [sys.executable, "-m", "uvicorn", "app:app", "--workers", "2", "--port", "0"]
    log = folder / "log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [*command, "--lifespan", "off", "--no-access-log"],
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(Path(mainstay.__file__).parents[1])},
        )
        try:
            eventually(lambda: log.read_text().count("Started server process") == 2)
            line = next(one for one in log.read_text().splitlines() if "running on" in one)
            yield int(line.split("127.0.0.1:")[1].split()[0])
        finally:
            server.terminate()
            server.wait(PATIENCE_SECONDS)


@pytest.mark.slow
def test_whichever_of_two_workers_of_uvicorn_answers_it_tells_of_both(tmp_path: Path) -> None:
    with two_workers(tmp_path) as port:
        for _ in range(100):
            assert ask(port, "/anything")[0] == 200
        eventually(lambda: scraped(port).get(requests("GET", 200)) == 100)
        assert [scraped(port)[requests("GET", 200)] for _ in range(10)] == [100] * 10
