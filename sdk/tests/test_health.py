"""Health over real sockets: the answers a probe decides by, and what probes must not cause."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import mainstay
import pytest
from flask import Flask
from mainstay._internal.clock import Clock
from mainstay._internal.memory import used_percent
from starlette.applications import Starlette
from tests.app_servers import PATIENCE_SECONDS, ask, served_asgi, served_wsgi
from tests.capture_server import a_server

Served = Callable[[mainstay.Health], AbstractContextManager[int]]


def asgi(health: mainstay.Health) -> AbstractContextManager[int]:
    return served_asgi(mainstay.ASGIMiddleware(Starlette(), health=health))


def wsgi(health: mainstay.Health) -> AbstractContextManager[int]:
    return served_wsgi(mainstay.WSGIMiddleware(Flask("app"), health=health))


either = pytest.mark.parametrize("served", [asgi, wsgi])


def passes() -> None:
    pass


async def passes_later() -> None:
    await asyncio.sleep(0.01)


def warns() -> str:
    return "warn"


def says_no() -> bool:
    return False


def raises() -> None:
    raise ConnectionRefusedError("could not reach postgres://admin:hunter2@db")


def a_health(**options: Any) -> mainstay.Health:
    calm: dict[str, Any] = {"memory_percent": lambda: 40.0, "timeout_seconds": PATIENCE_SECONDS}
    return mainstay.Health(**{**calm, **options})


def answer(served: Served, health: mainstay.Health, path: str = "/api/health") -> tuple[int, Any]:
    with served(health) as port:
        status, body = ask(port, path)
        return status, json.loads(body)


@either
def test_a_healthy_app_answers_200_in_the_promised_shape(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://…")
    ticks = Clock(wall=lambda: 1_795_230_000.0, monotonic=lambda: 100.0)
    health = a_health(
        version="1.4.2",
        checks={"database": passes, "queue": passes_later},
        required_environment=("DATABASE_URL",),
        clock=ticks,
    )

    assert answer(served, health) == (
        200,
        {
            "status": "healthy",
            "timestamp": "2026-11-21T03:00:00.000Z",
            "version": "1.4.2",
            "uptime": 0.0,
            "checks": {
                "database": {"status": "pass", "responseTime": 0.0},
                "queue": {"status": "pass", "responseTime": 0.0},
                "memory": {"status": "pass", "usage": {"percentage": 40.0}},
                "environment": {"status": "pass"},
            },
        },
    )


@either
@pytest.mark.parametrize(
    ("options", "status", "overall", "ready"),
    [
        ({"checks": {"a": passes}}, 200, "healthy", 200),
        ({"checks": {"a": passes, "b": warns}}, 200, "degraded", 200),
        ({"checks": {"a": warns, "b": says_no}}, 503, "unhealthy", 503),
        ({"checks": {"a": raises}}, 503, "unhealthy", 503),
        ({"memory_percent": lambda: 75.0}, 200, "healthy", 200),
        ({"memory_percent": lambda: 75.1}, 200, "degraded", 200),
        ({"memory_percent": lambda: 90.1}, 503, "unhealthy", 503),
        ({"memory_percent": lambda: None}, 200, "healthy", 200),
        ({"required_environment": ("MAINSTAY_TEST_NOT_SET",)}, 503, "unhealthy", 503),
    ],
)
def test_the_worst_check_decides(
    served: Served, options: dict[str, Any], status: int, overall: str, ready: int
) -> None:
    with served(a_health(**options)) as port:
        got, body = ask(port, "/api/health")
        assert (got, json.loads(body)["status"]) == (status, overall)
        assert ask(port, "/api/health/ready")[0] == ready
        assert ask(port, "/api/health/live")[0] == 200
        assert ask(port, "/api/health", method="HEAD") == (status, b"")


@either
def test_of_an_error_only_the_class_is_shown(served: Served) -> None:
    _, body = answer(served, a_health(checks={"database": raises}))

    assert body["checks"]["database"]["error"] == "ConnectionRefusedError"
    assert "hunter2" not in json.dumps(body)


def test_what_is_missing_from_the_environment_is_told_to_the_log_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, body = answer(wsgi, a_health(required_environment=("MAINSTAY_TEST_NOT_SET",)))

    assert body["checks"]["environment"] == {"status": "fail"}
    assert "MAINSTAY_TEST_NOT_SET" in caplog.text


@either
def test_checks_run_at_once_and_a_hanging_one_is_given_up(served: Served) -> None:
    released = threading.Event()
    all_run = threading.Barrier(3, timeout=PATIENCE_SECONDS)

    def hangs() -> None:
        all_run.wait()
        released.wait(120)

    async def hangs_later() -> None:
        await asyncio.to_thread(all_run.wait)
        await asyncio.sleep(120)

    health = a_health(
        checks={
            "hangs": hangs,
            "hangs_later": hangs_later,
            "fine": lambda: bool(all_run.wait() + 1),
        },
        timeout_seconds=2.0,
    )
    with served(health) as port:
        status, text = ask(port, "/api/health")
        released.set()

    checks = json.loads(text)["checks"]
    assert status == 503
    assert {name: checks[name]["status"] for name in ("hangs", "hangs_later", "fine")} == {
        "hangs": "fail",
        "hangs_later": "fail",
        "fine": "pass",
    }
    assert checks["hangs"]["error"] == "TimeoutError"


@either
def test_a_stampede_of_probes_costs_one_run(served: Served) -> None:
    runs = []

    def counted() -> None:
        runs.append(1)
        time.sleep(0.1)

    at_one_moment = Clock(wall=lambda: 1_795_230_000.0, monotonic=lambda: 100.0)
    health = a_health(checks={"counted": counted}, clock=at_one_moment)
    with served(health) as port, ThreadPoolExecutor(16) as probes:
        statuses = list(probes.map(lambda _: ask(port, "/api/health")[0], range(32)))

    assert statuses == [200] * 32
    assert len(runs) == 1


def test_a_result_holds_for_one_second_and_no_longer() -> None:
    runs = []
    now = [100.0]
    health = a_health(
        checks={"counted": lambda: runs.append(1)},
        clock=Clock(wall=lambda: 1_795_230_000.0, monotonic=lambda: now[0]),
    )
    with wsgi(health) as port:
        for moment in (100.0, 100.9, 101.0, 101.9):
            now[0] = moment
            ask(port, "/api/health")

    assert len(runs) == 2


def test_a_check_that_hangs_costs_one_thread_however_often_it_is_probed() -> None:
    released = threading.Event()
    runs = []

    def hangs() -> None:
        runs.append(1)
        released.wait(30)

    now = [0.0]
    health = a_health(
        checks={"hangs": hangs},
        timeout_seconds=0.05,
        clock=Clock(wall=lambda: 1_795_230_000.0, monotonic=lambda: now[0]),
    )
    with wsgi(health) as port:
        for second in range(5):
            now[0] = second * 2.0
            assert ask(port, "/api/health")[0] == 503
        released.set()

    assert len(runs) == 1


def test_an_async_check_runs_on_the_loop_of_the_app() -> None:
    loops = []

    async def notes_its_loop() -> None:
        loops.append(asyncio.get_running_loop())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        loops.append(asyncio.get_running_loop())

    wrapped = mainstay.ASGIMiddleware(app, health=a_health(checks={"a": notes_its_loop}))
    with served_asgi(wrapped, lifespan="off") as port:
        ask(port, "/api/health")
        ask(port, "/anything")

    assert len(loops) == 2
    assert loops[0] is loops[1]


@either
def test_probes_are_not_counted_as_requests_and_other_paths_reach_the_app(served: Served) -> None:
    with a_server() as server:
        mainstay.init(server.dsn)
        with served(a_health()) as port:
            ask(port, "/api/health")
            assert ask(port, "/api/health/other")[0] == 404
            assert ask(port, "/api/health", method="POST")[0] == 404
        assert mainstay.flush(PATIENCE_SECONDS)

    assert sorted(request["method"] for request in server.requests) == ["GET", "POST"]


def test_memory_is_measured_against_the_limit_of_the_container(tmp_path: Path) -> None:
    a_file(tmp_path / "proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 900 kB\n")
    a_file(tmp_path / "proc/self/cgroup", "0::/pod/app\n")
    group = tmp_path / "sys/fs/cgroup/pod/app"
    a_file(group / "memory.max", "1000\n")
    a_file(group / "memory.current", "950\n")
    a_file(group / "memory.stat", "anon 600\ninactive_file 250\n")

    assert used_percent(tmp_path) == 70.0


def test_memory_without_a_limit_is_that_of_the_machine(tmp_path: Path) -> None:
    a_file(tmp_path / "proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 350 kB\nNote: x\n")
    a_file(tmp_path / "proc/self/cgroup", "0::/\n")
    a_file(tmp_path / "sys/fs/cgroup/memory.max", "max\n")
    a_file(tmp_path / "sys/fs/cgroup/memory.current", "950\n")

    assert used_percent(tmp_path) == 65.0


def test_memory_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    assert used_percent(tmp_path) is None
    assert 0 < (used_percent() or 0) < 100


def a_file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
