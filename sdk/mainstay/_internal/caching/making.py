"""How a value is found, made once, and kept: written once for threads and for coroutines.

A plan is a generator. It yields what has to be waited for and gets the result back: a future, a
number of seconds to sleep, or None for the value to be made. `run` carries plans out in a thread,
`run_async` in a coroutine.
"""

import asyncio
import inspect
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any, Final

from mainstay._internal.caching.codec import Codec, Unreadable
from mainstay._internal.caching.flight import Flights, came_to_nothing
from mainstay._internal.caching.layer import AWAY, Entry, MemoryLayer
from mainstay._internal.clock import Clock
from mainstay._internal.shield import logger

if TYPE_CHECKING:
    from mainstay._internal.caching.in_redis import RedisLayer

Steps = Generator["Future[Any] | float | None", Any, Any]

LONGEST_LIFETIME_SECONDS: Final = 7 * 86_400
MOST_TAGS: Final = 32
_TOO_LONG = (FutureTimeoutError, asyncio.TimeoutError)
_MISSING: Final = object()
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.01, 0.2


class Making:
    """The plans of one cache."""

    def __init__(
        self,
        memory: MemoryLayer,
        shared: "RedisLayer | None",
        *,
        secret: str | bytes | None,
        wait_seconds: float,
        early: float,
        clock: Clock,
    ) -> None:
        self._memory = memory
        self._shared = shared
        self._codec = Codec(secret)
        self._wait_seconds = wait_seconds
        self._early = early
        self._clock = clock
        self.begin_anew()

    def begin_anew(self) -> None:
        """Begin with locks of this process."""
        self._lock = threading.Lock()
        self._flights = Flights()
        self._counts: Counter[str] = Counter()

    def counts(self) -> "Counter[str]":
        """Return how often what happened."""
        with self._lock:
            return Counter(self._counts)

    def get(self, key: str, default: object) -> Steps:
        """Find a value."""
        _, value = yield from self._find(key)
        self._count("misses" if value is _MISSING else "hits")
        return default if value is _MISSING else value

    def set(self, key: str, value: object, lifetime: float, tags: Sequence[str]) -> Steps:
        """Keep a value."""
        yield from self._keep(key, self._entry(key, value, lifetime, tags))

    def get_or_make(self, key: str, lifetime: float, tags: Sequence[str]) -> Steps:
        """Find a value, or make it: one caller asks Redis and makes it, the others wait."""
        while True:
            entry, value = self._in_memory(key)
            if value is _MISSING:
                flight, is_mine = self._flights.join(key)
                if not is_mine:
                    self._count("waited")
                    content = yield from self._awaited(flight)
                    if came_to_nothing(content):
                        continue
                    if content is not AWAY:
                        self._count("hits")
                        return self._codec.decode(key, content)
                    # Whoever makes it takes too long: better twice than not at all.
                    flight = Future()
                entry, value = yield from self._find_or_make(key, flight, lifetime, tags)
                if entry is None:
                    return value
            self._count("hits")
            if entry.expires_at - self._clock.wall() > self._early * lifetime:
                return value
            return (yield from self._make_early(key, value, lifetime, tags))

    def delete(self, keys: Sequence[str]) -> Steps:
        """Forget keys."""
        shared = self._shared
        asked = None if shared is None else shared.delete(keys)
        return (yield from self._forget(asked, lambda: self._memory.delete(keys)))

    def delete_pattern(self, pattern: str) -> Steps:
        """Forget what matches."""
        asked = None if self._shared is None else self._shared.delete_pattern(pattern)
        return (yield from self._forget(asked, lambda: self._memory.delete_pattern(pattern)))

    def delete_tagged(self, tag: str) -> Steps:
        """Forget what has the tag."""
        asked = None if self._shared is None else self._shared.delete_tagged(tag)
        return (yield from self._forget(asked, lambda: self._memory.delete_tagged(tag)))

    def _forget(self, asked: "Future[Any] | None", forget: Callable[[], int]) -> Steps:
        """Forget in Redis first: what somebody reads there meanwhile, the second spoils."""
        deleted: Any = AWAY
        if asked is not None:
            deleted = yield from self._awaited(asked)
        there = forget()
        if deleted is not AWAY:
            there = int(deleted)
        self._count("deletes", there)
        return there

    def _make_early(self, key: str, value: Any, lifetime: float, tags: Sequence[str]) -> Steps:  # noqa: ANN401 - any value
        """Make a value anew that still holds; whoever is not the one goes on with what there is."""
        if self._flights.is_made_here(key):
            return value
        flight, is_mine = self._flights.join(key)
        if not is_mine:
            return value
        token = secrets.token_hex(8)
        try:
            if self._shared is not None:
                locked = self._shared.lock(key, token, self._wait_seconds)
                if (yield from self._awaited(locked)) is False:
                    return value
            self._count("early")
            return (yield from self._make_alone(key, flight, lifetime, tags))
        except Exception as error:  # noqa: BLE001 - the old value holds; the next one tries again
            logger.warning("%s could not be made anew: %s.", key, type(error).__name__)
            return value
        finally:
            self._end(key, flight, token)

    def _find_or_make(
        self, key: str, flight: "Future[Any]", lifetime: float, tags: Sequence[str]
    ) -> Steps:
        """Return the entry and the value of Redis, or None and a value that was made."""
        token = secrets.token_hex(8)
        try:
            if self._shared is not None:
                found = yield from self._in_redis(self._shared, key)
                if found[1] is _MISSING:
                    found = yield from self._made_elsewhere(self._shared, key, token)
                if found[1] is not _MISSING:
                    flight.set_result(found[0].content)
                    return found
            self._count("misses")
            return None, (yield from self._make_alone(key, flight, lifetime, tags))
        finally:
            self._end(key, flight, token)

    def _make_alone(
        self, key: str, flight: "Future[Any]", lifetime: float, tags: Sequence[str]
    ) -> Steps:
        mark = self._flights.mark(key)
        try:
            value = yield None
        except Exception as error:
            flight.set_exception(error)
            raise
        finally:
            self._flights.unmark(mark)
        self._count("computed")
        entry = self._entry(key, value, lifetime, tags)
        yield from self._keep(key, entry)
        flight.set_result(entry.content)
        return value

    def _made_elsewhere(self, shared: "RedisLayer", key: str, token: str) -> Steps:
        """Wait for another process that makes the value, or take the right to make it."""
        pause = _FIRST_PAUSE_SECONDS
        until = self._clock.monotonic() + self._wait_seconds
        while self._clock.monotonic() < until:
            is_free = yield from self._awaited(shared.lock(key, token, self._wait_seconds))
            if is_free is AWAY:
                break
            # Also when it is free: somebody may have made it between our look and our lock.
            found = yield from self._in_redis(shared, key)
            if is_free or found[1] is not _MISSING:
                return found
            yield pause
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        return None, _MISSING

    def _end(self, key: str, flight: "Future[Any]", token: str) -> None:
        if self._shared is not None:
            # Nobody waits for it: a right that is not given back ends by itself.
            self._shared.unlock(key, token)
        self._flights.land(key, flight)

    def _find(self, key: str) -> Steps:
        """Return the entry and its value, or None and _MISSING."""
        found = self._in_memory(key)
        if found[1] is _MISSING and self._shared is not None:
            found = yield from self._in_redis(self._shared, key)
        return found

    def _in_memory(self, key: str) -> tuple[Any, Any]:
        if self._shared is not None and not self._shared.may_trust_memory:
            return None, _MISSING
        found = self._read(key, self._memory.find(key, now=self._clock.wall()))
        self._count("memory_misses" if found[1] is _MISSING else "memory_hits")
        return found

    def _in_redis(self, shared: "RedisLayer", key: str) -> Steps:
        """Return the entry and its value, which the memory takes over, or None and _MISSING."""
        now = self._clock.wall()
        entry: Any = None
        kept = None
        self._memory.begin_reading(key)
        try:
            entry = yield from self._awaited(shared.read(key))
            if isinstance(entry, Entry) and entry.expires_at > now:
                kept = entry
        finally:
            self._memory.end_reading(key, kept, now=now)
        if entry is AWAY:
            return self._read(key, self._memory.find(key, now=now))
        found = self._read(key, kept)
        self._count("redis_misses" if found[1] is _MISSING else "redis_hits")
        return found

    def _read(self, key: str, entry: Entry | None) -> tuple[Entry | None, Any]:
        if entry is not None:
            try:
                return entry, self._codec.decode(key, entry.content)
            except Unreadable:
                logger.warning("What is cached as %s is not readable, and counts as none.", key)
        return None, _MISSING

    def _entry(self, key: str, value: object, lifetime: float, tags: Sequence[str]) -> Entry:
        if not 0 < lifetime <= LONGEST_LIFETIME_SECONDS:
            raise ValueError(f"a lifetime is above 0 and at most {LONGEST_LIFETIME_SECONDS} s")
        if isinstance(tags, str) or len(tags) > MOST_TAGS:
            raise ValueError(f"tags are a list of at most {MOST_TAGS}")
        now = self._clock.wall()
        return Entry(self._codec.encode(key, value), now, now + lifetime, tuple(tags))

    def _keep(self, key: str, entry: Entry) -> Steps:
        """Keep an entry in Redis, or in memory when there is none.

        The memory takes it from Redis when it is asked for next: so it never holds what another
        process has overwritten between the two.
        """
        self._count("writes")
        now = self._clock.wall()
        written = AWAY
        if self._shared is not None:
            written = yield from self._awaited(self._shared.write(key, entry, now=now))
        if written is AWAY:
            self._memory.put(key, entry, now=now)
        else:
            self._memory.delete([key])

    def _awaited(self, future: "Future[Any]") -> Steps:
        """Wait for an answer; AWAY when there is none in time."""
        try:
            return (yield future)
        except _TOO_LONG:
            return AWAY

    def _count(self, what: str, by: int = 1) -> None:
        with self._lock:
            self._counts[what] += by


def run(steps: Steps, make: Callable[[], Any] | None, patience_seconds: float) -> Any:  # noqa: ANN401 - what the steps return
    """Carry out a plan in this thread."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            asked = steps.send(answer) if error is None else steps.throw(error)
        except StopIteration as end:
            return end.value
        answer = error = None
        try:
            if isinstance(asked, Future):
                answer = asked.result(patience_seconds)
            elif asked is not None:
                time.sleep(asked)
            elif make is not None:
                answer = make()
        except BaseException as caught:  # noqa: BLE001 - the plan says what becomes of it
            error = caught


async def run_async(
    steps: Steps,
    make: Callable[[], Any] | None,
    patience_seconds: float,
) -> Any:  # noqa: ANN401 - what the steps return
    """Carry out a plan in this coroutine."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            asked = steps.send(answer) if error is None else steps.throw(error)
        except StopIteration as end:
            return end.value
        answer = error = None
        try:
            if isinstance(asked, Future):
                # Shielded: one who hangs up must not end what the others wait for.
                waiting = asyncio.shield(asyncio.wrap_future(asked))
                answer = await asyncio.wait_for(waiting, patience_seconds)
            elif asked is not None:
                await asyncio.sleep(asked)
            elif make is not None:
                answer = make()
                if inspect.isawaitable(answer):
                    answer = await answer
        except BaseException as caught:  # noqa: BLE001 - the plan says what becomes of it
            error = caught
