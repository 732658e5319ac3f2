"""Requests waiting to be sent: a bounded queue that forgets the oldest and counts it."""

import threading
import uuid
from collections import deque
from typing import NamedTuple

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
        # Batches whose answer never came. The server may have them, so they stay as they were.
        self._returned: deque[_Batch] = deque()
        self._waiting = 0
        self._dropped = 0
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return self._waiting

    def add(self, request: MeasuredRequest) -> None:
        """Keep the request; when full, forget the oldest and count it as dropped."""
        with self._lock:
            if self._waiting >= self._limit:
                self._forget_oldest()
            self._items.append(request)
            self._waiting += 1

    def take(self) -> "_Batch":
        """Take a batch that came back, or the oldest requests in a new one."""
        with self._lock:
            batch = self._returned.popleft() if self._returned else self._new_batch()
            self._waiting -= len(batch.requests)
        return batch

    def put_back(self, batch: "_Batch") -> None:
        """Keep a batch for later, or count it as dropped when newer ones need its room."""
        with self._lock:
            if self._waiting + len(batch.requests) > self._limit:
                self.count_dropped(batch)
            else:
                self._returned.appendleft(batch)
                self._waiting += len(batch.requests)

    def count_dropped(self, batch: "_Batch") -> None:
        """Add a batch that is lost for good to the count of the next one."""
        with self._lock:
            self._dropped += len(batch.requests) + batch.dropped

    def _forget_oldest(self) -> None:
        if self._returned:
            batch = self._returned.popleft()
            self._waiting -= len(batch.requests)
            self.count_dropped(batch)
        else:
            self._items.popleft()
            self._waiting -= 1
            self._dropped += 1

    def _new_batch(self) -> "_Batch":
        requests = [self._items.popleft() for _ in range(min(_BATCH, len(self._items)))]
        dropped, self._dropped = self._dropped, 0
        return _Batch(self, uuid.uuid4().hex, requests, dropped)


class _Batch(NamedTuple):
    """Some requests on their way, the same however often they are sent."""

    backlog: Backlog
    id: str
    requests: list[MeasuredRequest]
    dropped: int

    def encode(self, sent_at: float) -> bytes:
        return encode_requests(
            self.requests,
            origin=self.backlog.origin,
            batch_id=self.id,
            dropped=self.dropped,
            sent_at=sent_at,
        )

    def put_back(self) -> None:
        self.backlog.put_back(self)

    def give_up(self) -> None:
        self.backlog.count_dropped(self)
