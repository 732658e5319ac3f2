"""The two clocks of a request: when it began, and how long it took."""

import time
from collections.abc import Callable
from datetime import datetime, timezone
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
    moment = datetime.fromtimestamp(unix_seconds, tz=timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
