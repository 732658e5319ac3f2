"""The layer in memory: bounded in entries and bytes, oldest use first out, safe between threads."""

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import Final, NamedTuple

from mainstay._internal.caching.keys import pattern_of

# What the layer in Redis answers when Redis did not.
AWAY: Final = object()

_SWEEP_SECONDS = 30.0
# What an entry costs beside its bytes and its name, measured with CPython 3.11.
_OVERHEAD_BYTES = 400


class Entry(NamedTuple):
    """A value as bytes, when it was made, until when it holds (Unix seconds), and its tags."""

    content: bytes
    made_at: float
    expires_at: float
    tags: tuple[str, ...] = ()


class MemoryLayer:
    """What this process holds itself.

    Values are kept as bytes: two callers never share a list that one of them changes, and the
    bound in bytes is what it says. Expired entries are thrown out when they are asked for, and
    all of them every 30 seconds, by whoever writes.
    """

    def __init__(self, *, most_entries: int, most_bytes: int) -> None:
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._forget_all()

    def _forget_all(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._tags: dict[str, set[str]] = {}
        self._reading: Counter[str] = Counter()
        self._spoilt: set[str] = set()
        self._bytes = 0
        self._next_sweep = 0.0
        self.evicted = 0
        self.expired = 0

    def begin_anew(self) -> None:
        """Forget everything, with a lock of this process; what was held may be half changed."""
        self._forget_all()

    def size(self) -> tuple[int, int]:
        """Return the number of entries and their bytes."""
        with self._lock:
            return len(self._entries), self._bytes

    def find(self, key: str, *, now: float) -> Entry | None:
        """Return what holds at this moment."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if entry.expires_at <= now:
                self._remove(key)
                self.expired += 1
                return None
            self._entries.move_to_end(key)
            return entry

    def put(self, key: str, entry: Entry, *, now: float) -> None:
        """Keep an entry; those not used for longest make room."""
        with self._lock:
            self._put(key, entry, now)

    def begin_reading(self, key: str) -> None:
        """Say that the value is being read elsewhere; each is ended by `end_reading`."""
        with self._lock:
            self._reading[key] += 1

    def end_reading(self, key: str, entry: Entry | None, *, now: float) -> None:
        """Keep what was read, unless it was invalidated while it was on its way."""
        with self._lock:
            spoilt = key in self._spoilt
            self._reading[key] -= 1
            if not self._reading[key]:
                del self._reading[key]
                self._spoilt.discard(key)
            if entry is not None and not spoilt:
                self._put(key, entry, now)

    def delete(self, keys: Iterable[str]) -> int:
        """Forget keys; return how many there were."""
        with self._lock:
            return self._delete(list(keys))

    def delete_pattern(self, pattern: str) -> int:
        """Forget what matches; return how many there were."""
        matches = pattern_of(pattern).fullmatch
        with self._lock:
            self._spoilt.update(key for key in self._reading if matches(key))
            return self._delete([key for key in self._entries if matches(key)])

    def delete_tagged(self, tag: str) -> int:
        """Forget what has the tag; return how many there were."""
        with self._lock:
            return self._delete(list(self._tags.get(tag, ())))

    def clear(self) -> int:
        """Forget everything; return how much it was."""
        with self._lock:
            self._spoilt.update(self._reading)
            return self._delete(list(self._entries))

    def clean_up(self, *, now: float) -> int:
        """Throw out what has expired; return how many."""
        with self._lock:
            return self._sweep(now)

    def _put(self, key: str, entry: Entry, now: float) -> None:
        if now >= self._next_sweep:
            self._sweep(now)
        self._remove(key)
        size = _size(key, entry)
        if size > self._most_bytes:
            return
        self._entries[key] = entry
        self._bytes += size
        for tag in entry.tags:
            self._tags.setdefault(tag, set()).add(key)
        while self._bytes > self._most_bytes or len(self._entries) > self._most_entries:
            self._remove(next(iter(self._entries)))
            self.evicted += 1

    def _sweep(self, now: float) -> int:
        over = [key for key, entry in self._entries.items() if entry.expires_at <= now]
        for key in over:
            self._remove(key)
        self.expired += len(over)
        self._next_sweep = now + _SWEEP_SECONDS
        return len(over)

    def _delete(self, keys: list[str]) -> int:
        self._spoilt.update(key for key in keys if key in self._reading)
        return sum(self._remove(key) for key in keys)

    def _remove(self, key: str) -> bool:
        entry = self._entries.pop(key, None)
        if entry is None:
            return False
        self._bytes -= _size(key, entry)
        for tag in set(entry.tags):
            self._tags[tag].discard(key)
            if not self._tags[tag]:
                del self._tags[tag]
        return True


def _size(key: str, entry: Entry) -> int:
    return len(key) + len(entry.content) + _OVERHEAD_BYTES
