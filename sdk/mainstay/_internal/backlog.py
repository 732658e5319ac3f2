"""Requests waiting to be sent: a bounded queue that forgets the oldest and counts it."""

import threading
from collections import deque

from mainstay._internal.message import (
    SDK_NAME,
    SDK_VERSION,
    MeasuredRequest,
    Origin,
    encode_requests,
)

_BATCH = 1_000


class Backlog:
    """At most ``limit`` requests, newest kept.

    The lock is reentrant, because a signal handler or a finalizer may measure a request in the
    middle of an append of the same thread, and a plain lock would then wait for itself.
    """

    name = "requests"

    def __init__(self, limit: int, *, path: str, key: str, origin: Origin) -> None:
        self.path = path
        self.headers = {
            "X-Sentry-Auth": (
                f"Sentry sentry_key={key}, sentry_version=7, sentry_client={SDK_NAME}/{SDK_VERSION}"
            )
        }
        self.origin = origin
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

    def take(self) -> "_Taken":
        """Take the oldest requests out, with the number dropped since the last take."""
        with self._lock:
            taken = [self._items.popleft() for _ in range(min(_BATCH, len(self._items)))]
            dropped, self._dropped = self._dropped, 0
        return _Taken(self, taken, dropped)

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


class _Taken:
    """A batch of requests out of the backlog."""

    __slots__ = ("_backlog", "_dropped", "_requests")

    def __init__(self, backlog: Backlog, requests: list[MeasuredRequest], dropped: int) -> None:
        self._backlog = backlog
        self._requests = requests
        self._dropped = dropped

    def encode(self, sent_at: float) -> bytes:
        return encode_requests(
            self._requests, origin=self._backlog.origin, dropped=self._dropped, sent_at=sent_at
        )

    def put_back(self) -> None:
        self._backlog.put_back(self._requests, self._dropped)

    def give_up(self) -> None:
        self._backlog.count_dropped(len(self._requests) + self._dropped)
