"""The pulse of a run: renews its claim every second, and hears that it should end."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from mainstay_server.kernel.copies.running import Progress
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.problems import Problem

from .claims import Claim, TakenOver, renew

BEAT_SECONDS = 1.0
Clock = Callable[[], datetime]


class Cancelled(Exception):
    """Somebody wants the backup no longer."""


class Interrupted(Exception):
    """This process is about to end."""


class Pulse:
    """One run's; `check` raises what it heard, in the thread of the run.

    A database that is away is no reason to end: the lease lasts a while, and the fence decides.
    """

    def __init__(
        self, claim: Claim, *, clock: Clock, lease: timedelta, stop: threading.Event
    ) -> None:
        self._claim, self._clock, self._lease, self._stop = claim, clock, lease, stop
        self._progress: Progress | None = None
        self._step = ""
        self._is_cancelled = self._is_lost = False
        self._ended = threading.Event()

    def note(self, step: str, progress: Progress | None = None) -> None:
        """Remember how far it is, for the next beat; raises as `check` does."""
        self._step, self._progress = step, progress or self._progress
        self.check()

    def check(self) -> None:
        """Raise `TakenOver`, `Cancelled` or `Interrupted` when there is no reason to go on."""
        if self._is_lost:
            raise TakenOver(self._claim.backup_id)
        if self._is_cancelled:
            raise Cancelled
        if self._stop.is_set():
            raise Interrupted

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Beat from a thread of its own until the block ends."""
        thread = threading.Thread(
            target=self._beat_on, name=f"pulse-{self._claim.backup_id}", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _beat_on(self) -> None:
        while not self._ended.wait(BEAT_SECONDS) and not self._is_lost:
            self._beat()

    def _beat(self) -> None:
        try:
            with transaction() as session:
                self._is_cancelled = renew(
                    session,
                    self._claim,
                    step=self._step,
                    progress=self._progress,
                    now=self._clock(),
                    lease=self._lease,
                )
        except TakenOver:
            self._is_lost = True
        except (SQLAlchemyError, Problem):
            return
