"""Requests waiting to be sent: a bounded queue that forgets the oldest and counts it."""

import threading
from collections import deque

from mainstay._internal.message import MeasuredRequest


class Backlog:
    """At most ``limit`` requests, newest kept.

    The lock is reentrant, because a signal handler or a finalizer may measure a request in the
    middle of an append of the same thread, and a plain lock would then wait for itself.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[MeasuredRequest] = deque()
        self._dropped = 0
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._items)

    def add(self, request: MeasuredRequest) -> None:
        """Keep the request; when full, forget the oldest one and count it as dropped."""
        with self._lock:
            if len(self._items) >= self._limit:
                self._items.popleft()
                self._dropped += 1
            self._items.append(request)

    def take(self, most: int) -> tuple[list[MeasuredRequest], int]:
        """Take the oldest requests out, with the number dropped since the last take."""
        with self._lock:
            taken = [self._items.popleft() for _ in range(min(most, len(self._items)))]
            dropped, self._dropped = self._dropped, 0
        return taken, dropped

    def put_back(self, requests: list[MeasuredRequest], dropped: int) -> None:
        """Undo a take that could not be delivered, as far as there is still room."""
        with self._lock:
            room = max(self._limit - len(self._items), 0)
            kept = requests[len(requests) - min(room, len(requests)) :]
            self._items.extendleft(reversed(kept))
            self._dropped += dropped + len(requests) - len(kept)

    def count_dropped(self, number: int) -> None:
        """Add requests that are lost for good to the count of the next batch."""
        with self._lock:
            self._dropped += number
