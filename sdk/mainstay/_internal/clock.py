"""The two clocks of a request: when it began, and how long it took."""

import time
from collections.abc import Callable
from datetime import datetime, timezone
from functools import lru_cache
from typing import NamedTuple


class Clock(NamedTuple):
    """Where time comes from, so that a test can say what time it is.

    ``wall`` gives Unix seconds and names a moment; ``monotonic`` gives seconds from an
    unknown start and measures durations, because the wall clock may be set back.
    """

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.perf_counter


def rfc3339(unix_seconds: float) -> str:
    """Return the moment in UTC with milliseconds and ``Z`` (RFC 3339)."""
    seconds, milliseconds = divmod(round(unix_seconds * 1_000_000) // 1000, 1000)
    return f"{_second(seconds)}.{milliseconds:03d}Z"


@lru_cache(maxsize=16)
def _second(unix_seconds: int) -> str:
    """Return a whole second; those of one batch are few."""
    moment = datetime.fromtimestamp(unix_seconds, tz=timezone.utc)
    return moment.isoformat(timespec="seconds").removesuffix("+00:00")
