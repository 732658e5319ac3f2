"""Names of jobs and reactions: what the database knows them by, whatever room they stand in."""

from collections.abc import Callable
from typing import Any

AREAS = "areas"


def name_of(function: Callable[..., Any]) -> str:
    """The stable name of a declared function: its area, or else its module, and its own name.

    `…areas.alerts.reactions.open_down` is `alerts.open_down`, so that rows of the outbox and of
    the jobs survive a move between rooms.
    """
    parts = function.__module__.split(".")
    owner = parts[parts.index(AREAS) + 1] if AREAS in parts else parts[-1]
    return f"{owner}.{function.__qualname__}"
