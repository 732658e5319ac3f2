"""How tests wait: for what happened, never for a time in which it should have happened.

Other programs may hold the processors for many seconds while a test runs. So a deadline only says
when to give up on what will never happen, and is far away; that something is quick or comes in
time is told by what the program itself plans and writes down, by a clock that the test turns, or
by a `CalmClock`, which leaves out the seconds in which anybody had to wait for the machine.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 90.0
PRESSURE = Path("/proc/pressure")


class CalmClock:
    """Counts the seconds since it was made in which nothing on the machine waited for it.

    Waiting for a processor or a disk is what Linux calls pressure and adds up
    (https://docs.kernel.org/accounting/psi.html). On a system that does not tell it nothing counts:
    then only what never happens fails.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._stalled_before = _stalled_seconds()

    @property
    def seconds(self) -> float:
        """The calm seconds so far; never more than have passed."""
        before, now = self._stalled_before, _stalled_seconds()
        if before is None or now is None:
            return 0.0
        return max(0.0, time.monotonic() - self._began - (now - before))


def _stalled_seconds() -> float | None:
    """How long anything has waited for a processor or a disk since the machine began."""
    found = 0.0
    with suppress(OSError):
        for resource in ("cpu", "io"):
            total = (PRESSURE / resource).read_text().splitlines()[0].rpartition("=")[2]
            found += int(total) / 1e6
        return found
    return None


def eventually(
    ask: Callable[[], Any],
    *,
    within_seconds: float = PATIENCE_SECONDS,
    calm: CalmClock | None = None,
    every_seconds: float = 0.1,
) -> Any:
    """What `ask` returns once it is true; fails with its last answer when the time is over.

    With a calm clock it is over when so many calm seconds have passed, or when patience ends.
    """
    deadline = time.monotonic() + max(PATIENCE_SECONDS if calm else 0, within_seconds)
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline or (calm and calm.seconds > within_seconds):
            shown = json.dumps(answer, default=str)
            raise AssertionError(f"not within {within_seconds} s; the last answer was {shown}")
        time.sleep(every_seconds)
