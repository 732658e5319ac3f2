"""Counters and fan-out inside one process."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta

from mainstay_server.kernel.shared.fanout import Callback, Fanout

MAX_KEYS = 100_000
SWEPT_PER_WRITE = 2


class MemoryShared:
    """A bounded dictionary with times to live, safe for threads.

    Every write looks at the two keys that were looked at longest ago and drops them when their
    time is over, so that dead keys leave faster than new ones come. When it is full all the same,
    the key that was looked at longest ago leaves.
    """

    def __init__(self, *, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._fanout = Fanout()

    def __len__(self) -> int:
        return len(self._entries)

    def increment(self, key: str, by: int, expires_after: timedelta) -> int:
        """Add to the counter."""
        with self._lock:
            expires_at, value = self._live(key) or (_moment(expires_after), b"0")
            total = int(value) + by
            self._write(key, expires_at, b"%d" % total)
            return total

    def get(self, key: str) -> bytes | None:
        """Return the value; a counter comes as its digits."""
        with self._lock:
            found = self._live(key)
            return None if found is None else found[1]

    def put(self, key: str, value: bytes, expires_after: timedelta) -> None:
        """Keep the value."""
        with self._lock:
            self._write(key, _moment(expires_after), bytes(value))

    def delete(self, key: str) -> bool:
        """Forget the key."""
        with self._lock:
            found = self._live(key)
            self._entries.pop(key, None)
            return found is not None

    def publish(self, channel: str, payload: bytes) -> bool:
        """Tell who listens in this process."""
        self._fanout.tell(channel, payload)
        return True

    def subscribe(self, channel: str, callback: Callback) -> Callable[[], None]:
        """Add a listener."""
        self._fanout.add(channel, callback)

        def unsubscribe() -> None:
            self._fanout.remove(channel, callback)

        return unsubscribe

    def healthy(self) -> bool:
        """Tell that memory is there."""
        return True

    def close(self) -> None:
        """End the thread and forget everything."""
        self._fanout.close()
        self._entries.clear()

    def _live(self, key: str) -> tuple[float, bytes] | None:
        found = self._entries.get(key)
        if found is not None and found[0] <= time.monotonic():
            del self._entries[key]
            return None
        return found

    def _write(self, key: str, expires_at: float, value: bytes) -> None:
        self._entries[key] = (expires_at, value)
        self._entries.move_to_end(key)
        for _ in range(SWEPT_PER_WRITE):
            oldest = next(iter(self._entries))
            if self._live(oldest) is None or oldest == key:
                continue
            self._entries.move_to_end(oldest)
        while len(self._entries) > self._max_keys:
            self._entries.popitem(last=False)


def _moment(expires_after: timedelta) -> float:
    return time.monotonic() + expires_after.total_seconds()
