"""The watchdog: notices when the watch stands still, and writes down where."""

import logging
import sys
import threading
import traceback

from typing_extensions import Self

from .pulse import Pulse

log = logging.getLogger(__name__)

STALLED_SECONDS = 10.0
LOOK_EVERY_SECONDS = 1.0
DEEPEST = 12


class Watchdog:
    """A thread beside the event loop that the watch runs on; told once of each stall.

    A loop that is held by a call that blocks cannot say so itself. Of a process that was stopped
    (SIGSTOP, a suspended machine) it tells the same, once it goes on.
    """

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._watched = threading.get_ident()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        """Begin to look at the loop of the thread that called this."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        told = False
        while not self._ended.wait(LOOK_EVERY_SECONDS):
            reading = self._pulse.read()
            silent = 0.0 if reading is None else reading.silent_seconds
            if silent < STALLED_SECONDS:
                told = False
            elif not told:
                told = True
                self._pulse.stalled()
                log.error(
                    "health checks: the watch has stood still for %.0f s; it is here:\n%s",
                    silent,
                    self._where(),
                )

    def _where(self) -> str:
        frame = sys._current_frames().get(self._watched)  # noqa: SLF001 - the documented way
        if frame is None:
            return "its thread is gone"
        return "".join(traceback.format_stack(frame)[-DEEPEST:]).rstrip()
