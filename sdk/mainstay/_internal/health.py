"""The health of the app, served by the middleware that measures it."""

import asyncio
import hmac
import json
import os
import weakref
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple

from mainstay._internal import metrics
from mainstay._internal.checks import FAIL, OVERALL, PASS, WARN, Check, Checks, worst
from mainstay._internal.clock import Clock, rfc3339
from mainstay._internal.memory import used_percent
from mainstay._internal.runs import Loop, OneAtATime
from mainstay._internal.shield import logger

_CACHE_SECONDS = 1.0
_MEMORY_DEGRADED_PERCENT = 75.0
_MEMORY_UNHEALTHY_PERCENT = 90.0
_JSON = "application/json"

Report = dict[str, Any]


class _Reply(NamedTuple):
    status: int
    content_type: str
    body: bytes


class _Door(NamedTuple):
    """What has to be made for a path, if anything, and what is told of that."""

    source: "OneAtATime[Any] | None"
    tell: Callable[[Any], _Reply]


class Health:
    """What an app's health consists of; give it to one of the two middlewares or to the guard.

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

    ``GET /api/metrics`` (``metrics_path``; None for none) tells in Prometheus' text format of
    requests, errors, durations, uptime and memory, and of ``records``: a callable, plain or
    async, that returns how many there are of what (``{"articles": 7}``), asked at most once a
    minute within ``timeout_seconds``. With a ``metrics_token`` whoever asks must send it as
    ``Authorization: Bearer``. ``more_metrics`` are functions that return further lines, such as
    the ``metrics`` of a `mainstay.sqlalchemy.QueryTiming`. Requests are counted for each process,
    with the label ``pid``, or, with a ``metrics_folder`` that only this app's processes use, for
    all of them together.

    Probes are not counted among the app's requests.

    Raises ValueError for an empty token, and OSError for a folder that cannot be used.
    """

    def __init__(  # noqa: PLR0913 - options, each with a default that works
        self,
        *,
        version: str | None = None,
        checks: Mapping[str, Check] | None = None,
        required_environment: Sequence[str] = (),
        path: str = "/api/health",
        timeout_seconds: float = 5.0,
        metrics_path: str | None = "/api/metrics",
        metrics_token: str | None = None,
        metrics_folder: str | Path | None = None,
        records: metrics.Records | None = None,
        more_metrics: Sequence[Callable[[], Sequence[str]]] = (),
        clock: Clock | None = None,
        memory_percent: Callable[[], float | None] = used_percent,
    ) -> None:
        self._version = version
        self._clock = clock or Clock()
        self._checks = Checks(checks or {}, timeout_seconds=timeout_seconds, clock=self._clock)
        self._required_environment = tuple(required_environment)
        self._memory_percent = memory_percent
        self._started = self._clock.monotonic()
        self._metrics_path = metrics_path
        self._metrics_token = _not_empty(metrics_token)
        self.metrics = metrics.Metrics(
            clock=self._clock,
            version=version,
            records=metrics.counted(records, timeout_seconds=timeout_seconds, clock=self._clock),
            memory_percent=memory_percent,
            folder=None if metrics_folder is None else Path(metrics_folder),
            more=more_metrics,
        )
        self._reports = OneAtATime(
            self._make_report,
            name="mainstay-health",
            holds_seconds=_CACHE_SECONDS,
            clock=self._clock,
        )
        self._scrapes = OneAtATime(
            self.metrics.tell, name="mainstay-metrics", holds_seconds=0.0, clock=self._clock
        )
        self._doors: Final = {
            path: _Door(self._reports, _full_answer),
            f"{path}/ready": _Door(self._reports, _ready_answer),
            f"{path}/live": _Door(None, self._live_answer),
        }
        if metrics_path is not None:
            self._doors[metrics_path] = _Door(self._scrapes, _metrics_answer)
        self._said_missing = False
        _forget_runs_after_fork(self)

    async def answer_asgi(
        self,
        scope: MutableMapping[str, Any],
        send: Callable[[MutableMapping[str, Any]], Any],
    ) -> bool:
        """Answer an ASGI request if it asks for health; return whether it did."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        door = self._doors.get(path)
        if door is None or scope["method"] not in ("GET", "HEAD"):
            return False
        reply = _REFUSED
        if self._is_open(path, lambda: dict(scope["headers"]).get(b"authorization", b"")):
            made = None
            if door.source is not None:
                made = await asyncio.wrap_future(door.source.get(asyncio.get_running_loop()))
            reply = door.tell(made)
        headers = [(k.lower().encode(), v.encode()) for k, v in _headers(reply)]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else reply.body
        await send({"type": "http.response.body", "body": body})
        return True

    def answer_wsgi(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes] | None:
        """Answer a WSGI request if it asks for health, else return None."""
        path = environ.get("PATH_INFO", "")
        door = self._doors.get(path)
        if door is None or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return None
        reply = _REFUSED
        if self._is_open(path, lambda: environ.get("HTTP_AUTHORIZATION", "").encode("latin-1")):
            reply = door.tell(None if door.source is None else door.source.get(None).result())
        start_response(f"{reply.status} {HTTPStatus(reply.status).phrase}", _headers(reply))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [reply.body]

    def _is_open(self, path: str, credential: Callable[[], bytes]) -> bool:
        """Whether whoever asks may know: metrics may need a token, health never does."""
        if path != self._metrics_path or self._metrics_token is None:
            return True
        scheme, _, token = credential().partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(
            token.strip(), self._metrics_token.encode()
        )

    def _live_answer(self, _nothing: None) -> _Reply:
        now = rfc3339(self._clock.wall())
        return _json_reply(200, {"status": "alive", "timestamp": now, "uptime": self._uptime()})

    def _make_report(self, loop: Loop | None) -> Report:
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
        self._reports.forget()
        self._scrapes.forget()
        self._checks.forget_running()
        self.metrics.begin_anew()


def _forget_runs_after_fork(health: Health) -> None:
    """A run that was under way in the parent never ends in the child."""
    if hasattr(os, "register_at_fork"):
        reference = weakref.ref(health)

        def forget() -> None:
            alive = reference()
            if alive is not None:
                alive._forget_runs()  # noqa: SLF001 - its own module

        os.register_at_fork(after_in_child=forget)


def _not_empty(token: str | None) -> str | None:
    """Refuse a token that is none, as a setting that is empty gives it."""
    if token == "":
        raise ValueError("an empty metrics_token opens for everybody; leave it out for that")
    return token


def _memory(percent: float | None) -> dict[str, Any]:
    status = PASS
    if percent is not None and percent > _MEMORY_UNHEALTHY_PERCENT:
        status = FAIL
    elif percent is not None and percent > _MEMORY_DEGRADED_PERCENT:
        status = WARN
    return {"status": status, "usage": {"percentage": percent}}


def _json_reply(status: int, answer: Report) -> _Reply:
    return _Reply(status, _JSON, json.dumps(answer, separators=(",", ":")).encode())


def _full_answer(report: Report) -> _Reply:
    return _json_reply(503 if report["status"] == OVERALL[FAIL] else 200, report)


def _ready_answer(report: Report) -> _Reply:
    ready = report["status"] != OVERALL[FAIL]
    answer = {"status": "ready" if ready else "not_ready", "timestamp": report["timestamp"]}
    return _json_reply(200 if ready else 503, answer)


def _metrics_answer(text: str) -> _Reply:
    return _Reply(200, metrics.CONTENT_TYPE, text.encode())


_REFUSED: Final = _Reply(
    401,
    "application/problem+json",
    json.dumps(
        {
            "type": "about:blank",
            "title": "Unauthorized",
            "status": 401,
            "code": "token-missing",
            "detail": "Send the token of the metrics as Authorization: Bearer.",
        }
    ).encode(),
)


def _headers(reply: _Reply) -> list[tuple[str, str]]:
    headers = [
        ("Content-Type", reply.content_type),
        ("Content-Length", str(len(reply.body))),
        ("Cache-Control", "no-store"),
    ]
    return [*headers, ("WWW-Authenticate", "Bearer")] if reply is _REFUSED else headers
