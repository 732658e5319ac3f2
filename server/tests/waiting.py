"""How tests wait: for what happened, never for a time in which it should have happened.

Other programs may hold the processors for many seconds while a test runs. So a deadline only says
when to give up on what will never happen, and is far away; that something is quick or comes in
time is told by what the program itself plans and writes down, or by a clock that the test turns.
"""

import json
import time
from collections.abc import Callable
from typing import Any

PATIENCE_SECONDS = 90.0


def eventually(
    ask: Callable[[], Any],
    *,
    within_seconds: float = PATIENCE_SECONDS,
    every_seconds: float = 0.1,
) -> Any:
    """What `ask` returns once it is true; fails with its last answer when the time is over."""
    deadline = time.monotonic() + within_seconds
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            shown = json.dumps(answer, default=str)
            raise AssertionError(f"not within {within_seconds} s; the last answer was {shown}")
        time.sleep(every_seconds)
