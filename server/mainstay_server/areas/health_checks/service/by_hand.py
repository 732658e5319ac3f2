"""Asking by hand: at most so many at once, since each keeps a thread that serves requests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mainstay_server.kernel.problems import TooManyRequests

# Of the 40 threads that serve all requests of a process.
MOST_AT_ONCE = 20
AGAIN_SECONDS = 2

_places = threading.BoundedSemaphore(MOST_AT_ONCE)


@contextmanager
def a_place() -> Iterator[None]:
    """Hold one of the places. Raises `TooManyRequests` when all are taken: nobody waits for one."""
    if not _places.acquire(blocking=False):
        raise TooManyRequests(
            f"{MOST_AT_ONCE} targets are being asked by hand already; try again in a moment.",
            retry_after_seconds=AGAIN_SECONDS,
        )
    try:
        yield
    finally:
        _places.release()
