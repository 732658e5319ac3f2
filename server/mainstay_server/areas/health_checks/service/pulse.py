"""The pulse of the watch: whether it keeps up, for those who watch the watcher."""

import threading
import time
from collections import deque
from dataclasses import dataclass

KEPT_STARTS = 2_000
RECENT_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class PulseReading:
    """How the watch is: seconds since its last turn of work, and how late questions began.

    `lag_seconds` is the 99th percentile of the last two minutes, or how long the watch itself has
    been silent, whichever is worse.
    """

    silent_seconds: float
    lag_seconds: float
    begun: int
    recorded: int
    stalls: int


class Pulse:
    """What one process's watch notes of itself; read from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._starts: deque[tuple[float, float]] = deque(maxlen=KEPT_STARTS)
        self._beat: float | None = None
        self._begun = self._recorded = self._stalls = 0

    def beat(self, *, recorded: int = 0) -> None:
        """The watch exchanged with the database just now."""
        with self._lock:
            self._beat = time.monotonic()
            self._recorded += recorded

    def began(self, *, late_seconds: float) -> None:
        """A question began so late after its turn."""
        with self._lock:
            self._begun += 1
            self._starts.append((time.monotonic(), max(late_seconds, 0.0)))

    def stalled(self) -> None:
        """The watch stood still for so long that somebody wrote it down."""
        with self._lock:
            self._stalls += 1

    def rest(self) -> None:
        """The watch ended in order: nobody expects anything of it any more."""
        with self._lock:
            self._beat = None
            self._starts.clear()

    def read(self) -> PulseReading | None:
        """How it is now; None where this process watches nothing."""
        with self._lock:
            if self._beat is None:
                return None
            now = time.monotonic()
            silent = now - self._beat
            lags = sorted(lag for at, lag in self._starts if now - at <= RECENT_SECONDS)
            worst = lags[int(len(lags) * 0.99)] if lags else 0.0
            return PulseReading(
                silent_seconds=silent,
                lag_seconds=max(worst, silent - 1.0 if silent > 1.0 else 0.0),
                begun=self._begun,
                recorded=self._recorded,
                stalls=self._stalls,
            )


pulse = Pulse()
