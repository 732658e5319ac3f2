"""Counters and fan-out through a Redis (or Valkey) that all processes share."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.client import PubSub
from redis.retry import Retry

from mainstay_server.kernel.problems import Unavailable
from mainstay_server.kernel.shared.fanout import Callback, Fanout

PREFIX = "mainstay:"
CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 2.0
LISTEN_SECONDS = 0.1
CONFIRM_SECONDS = 2.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
JOIN_SECONDS = 5.0

# One script, so that no crash between the two commands can leave a counter that never expires.
INCREMENT = """
local value = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return value
"""


class RedisShared:
    """One client for commands and, once somebody listens, one thread for subscriptions."""

    def __init__(self, url: str) -> None:
        self._client: redis.Redis = redis.Redis.from_url(
            url,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            # Once more, at once: a resting connection may have died with the Redis before this one.
            retry=Retry(NoBackoff(), 1),
        )
        self._increment = self._client.register_script(INCREMENT)
        self._fanout = Fanout()
        self._lock = threading.Lock()
        self._listener: _Listener | None = None

    def increment(self, key: str, by: int, expires_after: timedelta) -> int:
        """Add to the counter, and start its time to live with the first."""
        with _told():
            return int(self._increment(keys=[PREFIX + key], args=[by, _millis(expires_after)]))

    def get(self, key: str) -> bytes | None:
        """Return the value; a counter comes as its digits."""
        with _told():
            value: Any = self._client.get(PREFIX + key)
            return None if value is None else bytes(value)

    def put(self, key: str, value: bytes, expires_after: timedelta) -> None:
        """Keep the value."""
        with _told():
            self._client.set(PREFIX + key, value, px=_millis(expires_after))

    def delete(self, key: str) -> bool:
        """Forget the key."""
        with _told():
            return bool(self._client.delete(PREFIX + key))

    def publish(self, channel: str, payload: bytes) -> bool:
        """Tell every process that listens; return False when Redis is away."""
        try:
            self._client.publish(PREFIX + channel, payload)
        except redis.RedisError:
            return False
        return True

    def subscribe(self, channel: str, callback: Callback) -> Callable[[], None]:
        """Add a listener; when this returns and Redis is there, it hears."""
        self._fanout.add(channel, callback)
        with self._lock:
            if self._listener is None:
                self._listener = _Listener(self._client, self._fanout)
            listener = self._listener
        listener.wait_for(channel)

        def unsubscribe() -> None:
            self._fanout.remove(channel, callback)

        return unsubscribe

    def healthy(self) -> bool:
        """Ask Redis now, and tell whether the subscriptions stand."""
        try:
            self._client.ping()
        except redis.RedisError:
            return False
        return self._listener is None or self._listener.connected

    def close(self) -> None:
        """End the threads and the connections."""
        if self._listener is not None:
            self._listener.close()
        self._fanout.close()
        self._client.close()


class _Listener:
    """The thread that holds the subscriptions, and renews them whenever they are lost."""

    def __init__(self, client: redis.Redis, fanout: Fanout) -> None:
        self.connected = True
        self._client = client
        self._fanout = fanout
        self._confirmed: set[str] = set()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shared-redis", daemon=True)
        self._thread.start()

    def wait_for(self, channel: str) -> None:
        """Wait until Redis has confirmed the subscription, but not for long."""
        with self._changed:
            self._changed.wait_for(
                lambda: channel in self._confirmed or not self.connected, CONFIRM_SECONDS
            )

    def close(self) -> None:
        self._closing.set()
        self._thread.join(JOIN_SECONDS)

    def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        lost = False
        while not self._closing.is_set():
            subscriptions = self._client.pubsub()  # type: ignore[no-untyped-call]  # redis-py's own gap
            try:
                self._listen(subscriptions, after_loss=lost)
            except (redis.RedisError, OSError):
                pause = (
                    FIRST_PAUSE_SECONDS if self.connected else min(pause * 2, LONGEST_PAUSE_SECONDS)
                )
                lost = True
                self._set(connected=False)
            finally:
                with contextlib.suppress(redis.RedisError, OSError):
                    subscriptions.close()
            if lost:
                self._closing.wait(pause)

    def _set(self, *, connected: bool) -> None:
        with self._changed:
            self.connected = connected
            if not connected:
                self._confirmed.clear()
            self._changed.notify_all()

    def _listen(self, subscriptions: PubSub, *, after_loss: bool) -> None:
        """Hear until Redis is lost; what was subscribed before a loss is told of the gap."""
        to_be_told = set(self._fanout.channels()) if after_loss else set()
        asked: set[str] = set()
        while not self._closing.is_set():
            wanted = set(self._fanout.channels())
            for channel in wanted - asked:
                subscriptions.subscribe(PREFIX + channel)
            for channel in asked - wanted:
                subscriptions.unsubscribe(PREFIX + channel)  # type: ignore[no-untyped-call]  # same
            asked = wanted
            if not asked:
                self._closing.wait(LISTEN_SECONDS)
                continue
            message = subscriptions.get_message(timeout=LISTEN_SECONDS)
            if message is not None:
                self._take(message, to_be_told)

    def _take(self, message: dict[str, Any], to_be_told: set[str]) -> None:
        channel = bytes(message["channel"]).decode().removeprefix(PREFIX)
        if message["type"] == "message":
            self._fanout.tell(channel, bytes(message["data"]))
        elif message["type"] == "subscribe":
            with self._changed:
                self._confirmed.add(channel)
            self._set(connected=True)
            if channel in to_be_told:
                to_be_told.discard(channel)
                self._fanout.tell(channel, b"")
        elif message["type"] == "unsubscribe":
            with self._changed:
                self._confirmed.discard(channel)


def _millis(duration: timedelta) -> int:
    return max(1, round(duration.total_seconds() * 1000))


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except redis.ResponseError as error:
        if "not an integer" in str(error):
            raise ValueError("The key holds a value that cannot be counted") from None
        raise
    except redis.RedisError as error:
        raise Unavailable(
            "Redis does not answer; check MAINSTAY_SHARED_URL and that it runs.",
            retry_after_seconds=5,
            code="shared-unavailable",
        ) from error
