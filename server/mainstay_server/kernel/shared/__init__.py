"""Counters and fan-out between the processes of one installation: in memory, or through Redis."""

import importlib
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol, cast

from mainstay_server.kernel.shared.in_memory import MemoryShared

MAX_KEY_CHARACTERS = 512
MAX_PAYLOAD_BYTES = 1_048_576

Callback = Callable[[bytes], None]


class Shared(Protocol):
    """What a backend does; both give the same answers."""

    def increment(self, key: str, by: int, expires_after: timedelta) -> int: ...  # noqa: D102  the functions below promise it
    def get(self, key: str) -> bytes | None: ...  # noqa: D102  same
    def put(self, key: str, value: bytes, expires_after: timedelta) -> None: ...  # noqa: D102  same
    def delete(self, key: str) -> bool: ...  # noqa: D102  same
    def publish(self, channel: str, payload: bytes) -> bool: ...  # noqa: D102  same
    def subscribe(self, channel: str, callback: Callback) -> Callable[[], None]: ...  # noqa: D102  same
    def healthy(self) -> bool: ...  # noqa: D102  same
    def close(self) -> None: ...  # noqa: D102  same


_open: list[Shared] = []


def open_shared(url: str) -> None:
    """Open `memory://` or `redis://[user:secret@]host[:port][/db]` (`rediss://` with TLS).

    Redis need not be there yet: `healthy` tells. Raises `ValueError` for any other URL.
    """
    assert not _open, "shared is open already"
    if url.startswith("memory:"):
        _open.append(MemoryShared())
    elif url.startswith(("redis://", "rediss://")):
        # Loaded when chosen: 6 MiB and a twentieth of a second that embedded stores never need.
        chosen = importlib.import_module(".in_redis", __package__)
        _open.append(cast("Shared", chosen.RedisShared(url)))
    else:
        raise ValueError("MAINSTAY_SHARED_URL must be memory:// or redis://host:6379/0")


def close_shared() -> None:
    """Close it; subscriptions end, and what was in memory is gone."""
    while _open:
        _open.pop().close()


def _now() -> Shared:
    assert _open, "call open_shared first"
    return _open[0]


def _checked(key: str) -> str:
    if not 0 < len(key) <= MAX_KEY_CHARACTERS:
        raise ValueError(f"A key has 1 to {MAX_KEY_CHARACTERS} characters, not {len(key)}")
    return key


def _bounded(payload: bytes) -> bytes:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"{len(payload)} bytes are too many to share; put them into a blob")
    return payload


def increment(key: str, by: int = 1, *, expires_after: timedelta) -> int:
    """Add to the counter and return its new value; concurrent calls never see the same one.

    The time to live starts with the first increment and is not prolonged by later ones. Raises
    `Unavailable` when Redis is away; so do `get`, `put` and `delete`.
    """
    return _now().increment(_checked(key), by, expires_after)


def get(key: str) -> bytes | None:
    """Return the value, or None when there is none or its time is over."""
    return _now().get(_checked(key))


def put(key: str, value: bytes, *, expires_after: timedelta) -> None:
    """Keep the value until its time is over; a store that is short of room may drop it sooner."""
    _now().put(_checked(key), _bounded(value), expires_after)


def delete(key: str) -> bool:
    """Forget the value or counter; return whether there was one."""
    return _now().delete(_checked(key))


def publish(channel: str, payload: bytes) -> bool:
    """Tell every process that listens now; return whether it went out.

    At most once: a process that is away or slow misses it, so what is told must be a hint whose
    loss costs time, not truth. Never raises because Redis is away; `healthy` shows it.
    """
    return _now().publish(_checked(channel), _bounded(payload))


def subscribe(channel: str, callback: Callback) -> Callable[[], None]:
    """Call back with every payload of the channel, in order, in a thread of ours.

    A waiting room of 1,000 payloads is kept for all callbacks together; beyond it the oldest is
    dropped. After Redis was away the subscription resumes by itself, and the callback is called
    once with an empty payload: something may have been missed. An exception of the callback is
    logged with its trace and does not end the subscription. Returns how to unsubscribe.
    """
    return _now().subscribe(_checked(channel), callback)


def healthy() -> bool:
    """Tell whether the last word from Redis was a good one; memory always is."""
    return _now().healthy()
