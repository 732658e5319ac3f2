"""Hand payloads to callbacks in a thread of its own, so that no sender waits for a listener."""

import threading
from collections import deque
from collections.abc import Callable

import structlog

MAX_WAITING = 1_000
JOIN_SECONDS = 5.0

Callback = Callable[[bytes], None]

log = structlog.get_logger(__name__)


class Fanout:
    """Who listens to which channel, and the thread that tells them."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Callback]] = {}
        self._waiting: deque[tuple[str, bytes]] = deque(maxlen=MAX_WAITING)
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def add(self, channel: str, callback: Callback) -> bool:
        """Add a listener; return whether it is the channel's first."""
        with self._changed:
            listeners = self._listeners.setdefault(channel, [])
            listeners.append(callback)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="shared", daemon=True)
                self._thread.start()
            return len(listeners) == 1

    def remove(self, channel: str, callback: Callback) -> bool:
        """Remove a listener; return whether nobody listens to the channel any more."""
        with self._changed:
            listeners = self._listeners.get(channel, [])
            if callback in listeners:
                listeners.remove(callback)
            if not listeners:
                self._listeners.pop(channel, None)
            return not listeners

    def channels(self) -> list[str]:
        """Return the channels that somebody listens to."""
        with self._changed:
            return list(self._listeners)

    def tell(self, channel: str, payload: bytes) -> None:
        """Queue the payload; when the waiting room is full the oldest one leaves it."""
        with self._changed:
            if channel in self._listeners:
                self._waiting.append((channel, payload))
                self._changed.notify()

    def close(self) -> None:
        """End the thread after the callback that runs now."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(JOIN_SECONDS)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._waiting)
                if self._closed:
                    return
                channel, payload = self._waiting.popleft()
                listeners = list(self._listeners.get(channel, []))
            for callback in listeners:
                _call(channel, callback, payload)


def _call(channel: str, callback: Callback, payload: bytes) -> None:
    try:
        callback(payload)
    except Exception:
        log.exception("a listener failed", channel=channel)
