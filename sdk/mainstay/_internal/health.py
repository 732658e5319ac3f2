"""The health of the app, served by the middleware that measures it."""

import asyncio
import json
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from concurrent.futures import Future
from http import HTTPStatus
from typing import Any, Final

from mainstay._internal.checks import FAIL, OVERALL, PASS, WARN, Check, Checks, worst
from mainstay._internal.clock import Clock, rfc3339
from mainstay._internal.memory import used_percent
from mainstay._internal.shield import logger

_CACHE_SECONDS = 1.0
_MEMORY_DEGRADED_PERCENT = 75.0
_MEMORY_UNHEALTHY_PERCENT = 90.0

Report = dict[str, Any]


class Health:
    """What an app's health consists of; give it to one of the two middlewares.

    ``GET /api/health`` answers with the overall status, the version, the uptime in seconds and
    one entry per check: 200 when healthy or degraded, 503 when unhealthy. ``/api/health/ready``
    answers whether the app should get traffic (503 while unhealthy), ``/api/health/live`` that
    the process answers at all; it runs no check, so a broken database restarts no process.

    A check is a callable without arguments, plain or async. It fails (and the app is unhealthy)
    when it raises, of which only the name of the exception's class is shown, returns False or
    "fail", or takes longer than ``timeout_seconds``. It warns (degraded) when it returns "warn";
    any other answer is a pass. Memory warns above 75 % and fails above 90 %;
    ``required_environment`` names the environment variables that must be set. All checks run at
    once and a result holds for one second: a stampede of probes costs one run.

    Probes are not counted among the app's requests.
    """

    def __init__(  # noqa: PLR0913 - options, each with a default that works
        self,
        *,
        version: str | None = None,
        checks: Mapping[str, Check] | None = None,
        required_environment: Sequence[str] = (),
        path: str = "/api/health",
        timeout_seconds: float = 5.0,
        clock: Clock | None = None,
        memory_percent: Callable[[], float | None] = used_percent,
    ) -> None:
        self._version = version
        self._clock = clock or Clock()
        self._checks = Checks(checks or {}, timeout_seconds=timeout_seconds, clock=self._clock)
        self._required_environment = tuple(required_environment)
        self._memory_percent = memory_percent
        self._started = self._clock.monotonic()
        self._answers: Final[dict[str, Callable[[Report], tuple[int, Report]]]] = {
            path: _full_answer,
            f"{path}/ready": _ready_answer,
        }
        self._live_path = f"{path}/live"
        self._said_missing = False
        self._lock = threading.Lock()
        self._run: Future[Report] | None = None
        self._made = 0.0
        _forget_runs_after_fork(self)

    async def answer_asgi(
        self,
        scope: MutableMapping[str, Any],
        send: Callable[[MutableMapping[str, Any]], Any],
    ) -> bool:
        """Answer an ASGI request if it asks for health; return whether it did."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if scope["method"] not in ("GET", "HEAD") or not self._serves(path):
            return False
        report = {}
        if path != self._live_path:
            future = self._report(asyncio.get_running_loop())
            report = await asyncio.wrap_future(future)
        status, body = self._answer(path, report)
        headers = [(k.lower().encode(), v.encode()) for k, v in _headers(body)]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": body})
        return True

    def answer_wsgi(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes] | None:
        """Answer a WSGI request if it asks for health, else return None."""
        path = environ.get("PATH_INFO", "")
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD") or not self._serves(path):
            return None
        report = {} if path == self._live_path else self._report(None).result()
        status, body = self._answer(path, report)
        start_response(f"{status} {HTTPStatus(status).phrase}", _headers(body))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _serves(self, path: str) -> bool:
        return path in self._answers or path == self._live_path

    def _answer(self, path: str, report: Report) -> tuple[int, bytes]:
        if path == self._live_path:
            now = rfc3339(self._clock.wall())
            status, answer = 200, {"status": "alive", "timestamp": now, "uptime": self._uptime()}
        else:
            status, answer = self._answers[path](report)
        return status, json.dumps(answer, separators=(",", ":")).encode()

    def _report(self, loop: asyncio.AbstractEventLoop | None) -> "Future[Report]":
        """Return the report of the last second, the one being made, or start a new one.

        The one who starts it does not make it: a probe that hangs up must not take the report
        away from the others who wait for it.
        """
        with self._lock:
            now = self._clock.monotonic()
            if self._run is None or (self._run.done() and now - self._made >= _CACHE_SECONDS):
                self._run = Future()
                self._run.set_running_or_notify_cancel()
                threading.Thread(
                    target=self._make,
                    args=(self._run, loop),
                    name="mainstay-health",
                    daemon=True,
                ).start()
            return self._run

    def _make(self, run: "Future[Report]", loop: asyncio.AbstractEventLoop | None) -> None:
        try:
            report = self._make_report(loop)
        except BaseException as error:  # noqa: BLE001 - whoever waits must hear of it
            run.set_exception(error)
            return
        self._made = self._clock.monotonic()
        run.set_result(report)

    def _make_report(self, loop: asyncio.AbstractEventLoop | None) -> Report:
        checks = self._checks.run(loop)
        checks.setdefault("memory", _memory(self._memory_percent()))
        checks.setdefault("environment", self._environment())
        return {
            "status": OVERALL[worst([check["status"] for check in checks.values()])],
            "timestamp": rfc3339(self._clock.wall()),
            "version": self._version,
            "uptime": self._uptime(),
            "checks": checks,
        }

    def _uptime(self) -> float:
        return round(self._clock.monotonic() - self._started, 3)

    def _environment(self) -> dict[str, Any]:
        missing = [name for name in self._required_environment if not os.environ.get(name)]
        if missing and not self._said_missing:
            # The names go to the log only: what is missing is nobody else's business.
            self._said_missing = True
            logger.warning("Environment variables are missing: %s.", ", ".join(missing))
        return {"status": FAIL if missing else PASS}

    def _forget_runs(self) -> None:
        self._lock = threading.Lock()
        self._run = None
        self._checks.forget_running()


def _forget_runs_after_fork(health: Health) -> None:
    """A run that was under way in the parent never ends in the child."""
    if hasattr(os, "register_at_fork"):
        reference = weakref.ref(health)

        def forget() -> None:
            alive = reference()
            if alive is not None:
                alive._forget_runs()  # noqa: SLF001 - its own module

        os.register_at_fork(after_in_child=forget)


def _memory(percent: float | None) -> dict[str, Any]:
    status = PASS
    if percent is not None and percent > _MEMORY_UNHEALTHY_PERCENT:
        status = FAIL
    elif percent is not None and percent > _MEMORY_DEGRADED_PERCENT:
        status = WARN
    return {"status": status, "usage": {"percentage": percent}}


def _full_answer(report: Report) -> tuple[int, Report]:
    return (503 if report["status"] == OVERALL[FAIL] else 200), report


def _ready_answer(report: Report) -> tuple[int, Report]:
    ready = report["status"] != OVERALL[FAIL]
    answer = {"status": "ready" if ready else "not_ready", "timestamp": report["timestamp"]}
    return (200 if ready else 503), answer


def _headers(body: bytes) -> list[tuple[str, str]]:
    return [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
    ]
