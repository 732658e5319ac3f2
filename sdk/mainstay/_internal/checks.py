"""Run the checks of a health object, all at once and each within its time."""

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, wait
from typing import Any

from mainstay._internal.clock import Clock

PASS, WARN, FAIL = "pass", "warn", "fail"
# What the worst check makes of the whole, worst last.
OVERALL = {PASS: "healthy", WARN: "degraded", FAIL: "unhealthy"}
_WORSE_LAST = tuple(OVERALL)

Check = Callable[[], object]
CheckResult = dict[str, Any]


def worst(statuses: list[str]) -> str:
    """Return the worst of the statuses, and a pass when there are none."""
    return max(statuses, key=_WORSE_LAST.index, default=PASS)


class Checks:
    """The checks of one app.

    Each run of a check has its own daemon thread, because a thread pool would let a check that
    hangs hold up the end of the process. A check that still hangs from before is not started
    again, so that a hanging dependency costs one thread however often it is probed.
    """

    def __init__(
        self, checks: Mapping[str, Check], *, timeout_seconds: float, clock: Clock
    ) -> None:
        self._checks = dict(checks)
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._running: dict[str, Future[CheckResult]] = {}

    def forget_running(self) -> None:
        """Forget the threads of the parent process, which a fork does not copy."""
        self._running.clear()

    def run(self, loop: asyncio.AbstractEventLoop | None) -> dict[str, CheckResult]:
        """Run all checks in parallel and return their results; takes one time-out at most.

        Async checks run on ``loop``, where the app's connections live, or on a loop of their own
        when there is none. Called by one thread at a time.
        """
        started = {name: self._start(name, check, loop) for name, check in self._checks.items()}
        wait([future for future in started.values() if future], timeout=self._timeout_seconds)
        return {name: self._result(future) for name, future in started.items()}

    def _start(
        self, name: str, check: Check, loop: asyncio.AbstractEventLoop | None
    ) -> Future[CheckResult] | None:
        before = self._running.get(name)
        if before is not None and not before.done():
            return None
        future: Future[CheckResult] = Future()
        self._running[name] = future
        threading.Thread(
            target=self._run_one,
            args=(check, loop, future),
            name=f"mainstay-check-{name}",
            daemon=True,
        ).start()
        return future

    def _run_one(
        self,
        check: Check,
        loop: asyncio.AbstractEventLoop | None,
        future: "Future[CheckResult]",
    ) -> None:
        started = self._clock.monotonic()
        result: CheckResult = {}
        try:
            result["status"] = _status_of(call(check, loop, self._timeout_seconds))
        except BaseException as error:  # noqa: BLE001 - whatever a check raises is its answer
            # The class name only: the text may hold a password, and anybody may ask.
            result["status"] = FAIL
            result["error"] = type(error).__name__
        result["responseTime"] = round((self._clock.monotonic() - started) * 1000, 1)
        future.set_result(result)

    def _result(self, future: "Future[CheckResult] | None") -> CheckResult:
        if future is not None and future.done():
            return future.result()
        milliseconds = self._timeout_seconds * 1000
        return {"status": FAIL, "error": "TimeoutError", "responseTime": milliseconds}


def call(ask: Check, loop: asyncio.AbstractEventLoop | None, timeout_seconds: float) -> object:
    """Return what a callable of the app says, plain or async; the latter within the time."""
    answer = ask()
    if not inspect.isawaitable(answer):
        return answer
    bounded = _within(answer, timeout_seconds)
    if loop is None or loop.is_closed():
        return asyncio.run(bounded)
    return asyncio.run_coroutine_threadsafe(bounded, loop).result(timeout_seconds)


async def _within(answer: Awaitable[object], timeout_seconds: float) -> object:
    return await asyncio.wait_for(answer, timeout_seconds)


def _status_of(answer: object) -> str:
    """Read what a check returned: a status by name, False for a failure, all else for a pass."""
    if isinstance(answer, str) and answer in _WORSE_LAST:
        return answer
    return FAIL if answer is False else PASS
