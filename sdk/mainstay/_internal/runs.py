"""Make something for everybody who asks, once at a time."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from mainstay._internal.clock import Clock

T = TypeVar("T")
Loop = asyncio.AbstractEventLoop


class OneAtATime(Generic[T]):
    """Whoever asks gets what was made within the last ``holds_seconds``, or what is being made.

    The one who has it started does not make it: a probe that hangs up must not take it away from
    the others who wait for it. What the making raises is raised by the futures.
    """

    def __init__(
        self, make: Callable[[Loop | None], T], *, name: str, holds_seconds: float, clock: Clock
    ) -> None:
        self._making = make
        self._name = name
        self._holds_seconds = holds_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._run: Future[T] | None = None
        self._made = 0.0

    def get(self, loop: Loop | None) -> "Future[T]":
        """Return what will be there; ``loop`` is where coroutines of the app may run."""
        with self._lock:
            run = self._run
            is_over = run is not None and run.done()
            if run is None or (
                is_over and self._clock.monotonic() - self._made >= self._holds_seconds
            ):
                run = Future()
                self._run = run
                run.set_running_or_notify_cancel()
                threading.Thread(
                    target=self._make, args=(run, loop), name=self._name, daemon=True
                ).start()
            return run

    def forget(self) -> None:
        """Forget a run of the parent process, which never ends in a child."""
        self._lock = threading.Lock()
        self._run = None

    def _make(self, run: "Future[T]", loop: Loop | None) -> None:
        try:
            made = self._making(loop)
        except BaseException as error:  # noqa: BLE001 - whoever waits must hear of it
            run.set_exception(error)
            return
        self._made = self._clock.monotonic()
        run.set_result(made)
