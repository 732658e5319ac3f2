"""Proving: one process's part in drills and restores, each in a thread that nobody waits for.

They take as long as a restore takes, hours perhaps: a process that is asked to end does not wait
for one. What it began ends with its thread, and another process takes it over or says so.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from mainstay_server.kernel.area import StopSignal

from . import drilling, restoring

log = logging.getLogger(__name__)

TICK_SECONDS = 2.0
AFTER_A_FAULT_SECONDS = 15.0


class RunNext(Protocol):
    """Carries out what has waited longest; returns its id, or None when nothing waits."""

    def __call__(self, *, now: datetime) -> str | None:
        """Do it."""


class Provers:
    """Looks for drills and for restores that wait; one of each at a time runs in a process."""

    def __init__(self, *, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._stop = threading.Event()

    async def run(self, stop: StopSignal) -> None:
        """Carry them out until `stop` is set."""
        for name, run_next in (("drills", drilling.run_next), ("restores", restoring.run_next)):
            threading.Thread(target=self._repeat, args=(run_next,), name=name, daemon=True).start()
        try:
            await stop.wait()
        finally:
            self._stop.set()
        await asyncio.sleep(0)

    def _repeat(self, run_next: RunNext) -> None:
        while not self._stop.is_set():
            pause = 0.0
            try:
                if run_next(now=self._clock()) is None:
                    pause = TICK_SECONDS
            except Exception:  # the thread's one place: the lease's end says what became of it
                log.exception("a drill or restore broke off")
                pause = AFTER_A_FAULT_SECONDS
            self._stop.wait(pause)
