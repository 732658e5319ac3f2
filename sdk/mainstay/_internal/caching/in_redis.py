"""The layer in Redis, on cashews, and what Redis tells of other processes' changes."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, Final

from cashews.backends.redis import Redis
from cashews.exceptions import CacheError
from cashews.serialize import Serializer
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from mainstay._internal.caching.keys import redis_glob
from mainstay._internal.caching.layer import AWAY, Entry, MemoryLayer
from mainstay._internal.caching.listening import CLOSING_SECONDS, invalidations
from mainstay._internal.caching.packing import pack, unpack
from mainstay._internal.shield import SHIELD, logger

_AWAY_ERRORS = (CacheError, RedisError, OSError, asyncio.TimeoutError, EOFError)
_PAUSE_SECONDS = 0.5
_SILENCE_SECONDS = 0.5
_PATIENCE_SECONDS = 60.0
_TAGS_KEPT_SECONDS = 8 * 86_400
_MOST_OWED = 10_000
_BATCH = 500

Owed = tuple[str, str]  # what to delete once Redis is back: ("key" | "pattern" | "tag", which)


class _AsTheyAre(Serializer):
    """No pickle: cashews' own default would run whatever somebody put into Redis."""

    async def encode(self, backend: Any, key: Any, value: Any, expire: Any) -> Any:  # noqa: ANN401, ARG002 - cashews' own
        return value

    async def decode(self, backend: Any, key: Any, value: Any, default: Any) -> Any:  # noqa: ANN401, ARG002 - cashews' own
        return value


_AS_THEY_ARE: Final = _AsTheyAre()  # type: ignore[no-untyped-call]


class RedisLayer:
    """What all processes hold together.

    All of it runs on one thread with an event loop of its own, so that threads, and coroutines
    of any loop, share one small pool of connections. Each question has ``timeout_seconds``; when
    one is not answered in time, Redis counts as away and is left alone until a ping, in the
    background, is answered. What should have been deleted or overwritten meanwhile is deleted
    before Redis counts again, so that an old value cannot come back with it.

    Redis itself tells of every key under the prefix that changes, expires or is evicted
    (``CLIENT TRACKING`` in broadcast mode, Redis 6 or newer), whoever changed it. While nobody
    listens, what the memory holds is not trusted, unless Redis is away altogether.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str,
        timeout_seconds: float,
        memory: MemoryLayer,
    ) -> None:
        self._url = url
        self._prefix = f"{prefix}:"
        self._timeout_seconds = timeout_seconds
        self._memory = memory
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._backend: Redis | None = None
        self._owed: dict[Owed, None] = {}
        self._is_up = True
        self._is_recovering = False
        self._is_closed = False
        self.is_listening = False
        self.invalidated = 0
        self.away = 0

    def begin_anew(self) -> None:
        """Begin with a thread and connections of this process."""
        self._begin()

    @property
    def is_up(self) -> bool:
        """Whether Redis answered when it was asked last."""
        return self._is_up

    @property
    def may_trust_memory(self) -> bool:
        """Whether what the memory holds is current, or the best there is."""
        return self.is_listening or not self._is_up

    def read(self, key: str) -> "Future[Any]":
        """Find an `Entry`, None when there is none, or AWAY."""
        return self._ask(lambda backend: self._read(backend, key))

    def write(self, key: str, entry: Entry, *, now: float) -> "Future[Any]":
        """Keep an entry until its end; True, or AWAY."""
        seconds = max(entry.expires_at - now, 0.001)

        async def write(backend: Redis) -> bool:
            for tag in entry.tags:
                name = self._tag(tag)
                await backend.set_add(name, key, expire=_TAGS_KEPT_SECONDS)
            return await backend.set(self._prefix + key, pack(entry), expire=seconds)

        return self._ask(write, owes=[("key", key)])

    def delete(self, keys: Sequence[str]) -> "Future[Any]":
        """Forget keys; how many there were, or AWAY."""

        async def delete(backend: Redis) -> int:
            return sum([await backend.delete(self._prefix + key) for key in keys])

        return self._ask(delete, owes=[("key", key) for key in keys])

    def delete_pattern(self, pattern: str) -> "Future[Any]":
        """Forget what matches; how many there were, or AWAY."""
        return self._ask(
            lambda backend: self._delete_pattern(backend, pattern),
            owes=[("pattern", pattern)],
            seconds=_PATIENCE_SECONDS,
        )

    def delete_tagged(self, tag: str) -> "Future[Any]":
        """Forget what has the tag; how many there were, or AWAY."""
        return self._ask(
            lambda backend: self._delete_tagged(backend, tag),
            owes=[("tag", tag)],
            seconds=_PATIENCE_SECONDS,
        )

    def lock(self, key: str, token: str, seconds: float) -> "Future[Any]":
        """Take the right to make a value, for so long at most; whether it was free, or AWAY."""
        return self._ask(lambda backend: backend.set_lock(self._lock_of(key), token, seconds))

    def unlock(self, key: str, token: str) -> "Future[Any]":
        """Give the right back, if it is still this one's."""
        return self._ask(lambda backend: backend.unlock(self._lock_of(key), token))

    def close(self) -> None:
        """Close the connections and end the thread."""
        with self._lock:
            self._is_closed = True
            loop, thread, self._loop = self._loop, self._thread, None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._end(), loop)
        thread.join(5)

    # -- on any thread ---------------------------------------------------------------------

    def _ask(
        self,
        question: "Callable[[Redis], Coroutine[Any, Any, Any]]",
        *,
        owes: Sequence[Owed] = (),
        seconds: float | None = None,
    ) -> "Future[Any]":
        with self._lock:
            loop = self._running_loop()
            # While Redis comes back, changes go there again: what is owed must come to an end.
            may_ask = self._is_up or (self._is_recovering and bool(owes))
            if loop is None or not may_ask:
                self.away += 1
                self._owe(owes)
                answer: Future[Any] = Future()
                answer.set_result(AWAY)
                return answer
        answering = self._answered(question, owes, seconds or self._timeout_seconds)
        return asyncio.run_coroutine_threadsafe(answering, loop)

    def _running_loop(self) -> asyncio.AbstractEventLoop | None:
        if self._loop is None and not self._is_closed:
            loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=_run, args=(loop,), name="mainstay-cache", daemon=True
            )
            self._thread.start()
            self._loop = loop
            asyncio.run_coroutine_threadsafe(self._start(), loop)
        return self._loop

    def _owe(self, owes: Iterable[Owed]) -> None:
        self._owed.update(dict.fromkeys(owes))
        if len(self._owed) > _MOST_OWED:
            self._owed = {("pattern", "*"): None}

    # -- on our own thread -----------------------------------------------------------------

    async def _start(self) -> None:
        self._keeper = asyncio.ensure_future(self._keep_connected())

    async def _end(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError, *_AWAY_ERRORS):
                await self._keeper
        # Questions under way end first, and transports need a turn to close.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._disconnect()
        await asyncio.sleep(0.01)
        asyncio.get_running_loop().stop()

    async def _disconnect(self) -> None:
        backend, self._backend = self._backend, None
        if backend is not None:
            client: Any = backend._client  # noqa: SLF001 - its own close() calls what is deprecated
            with contextlib.suppress(*_AWAY_ERRORS):
                closing = client.aclose(close_connection_pool=True)
                await asyncio.wait_for(closing, CLOSING_SECONDS)

    async def _answered(
        self,
        question: "Callable[[Redis], Coroutine[Any, Any, Any]]",
        owes: Sequence[Owed],
        seconds: float,
    ) -> Any:  # noqa: ANN401 - whatever was asked
        with SHIELD:
            try:
                return await asyncio.wait_for(self._put_to_redis(question), seconds)
            except _AWAY_ERRORS as error:
                self._went_away(error, owes)
        return AWAY

    def _went_away(self, error: BaseException, owes: Sequence[Owed]) -> None:
        with self._lock:
            self.away += 1
            self._owe(owes)
            if self._is_up:
                self._is_up = False
                # The class only: the message may hold the address with its password.
                logger.warning(
                    "Redis is away (%s); the cache goes on in memory.", type(error).__name__
                )

    async def _put_to_redis(self, question: "Callable[[Redis], Coroutine[Any, Any, Any]]") -> Any:  # noqa: ANN401 - as above
        return await question(await self._connected())

    async def _connected(self) -> Redis:
        if self._backend is None:
            backend = Redis(
                self._url,
                suppress=False,
                serializer=_AS_THEY_ARE,
                client_name="mainstay-cache",
                socket_timeout=_PATIENCE_SECONDS,
                socket_connect_timeout=self._timeout_seconds,
                wait_for_connection_timeout=self._timeout_seconds,
                # One more try for a connection that died unnoticed; more would cost the caller.
                retry=Retry(NoBackoff(), 1),
            )
            await backend.init()  # type: ignore[no-untyped-call]
            self._backend = backend
        return self._backend

    async def _keep_connected(self) -> None:
        while True:
            with contextlib.suppress(*_AWAY_ERRORS):
                await self._listen()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _listen(self) -> None:
        url, seconds = self._url, self._timeout_seconds
        async with invalidations(url, prefix=self._prefix, timeout_seconds=seconds) as channel:
            # Whatever changed since nobody listened, nobody will tell.
            self._memory.clear()
            self.is_listening = True
            try:
                await self._hear(channel)
            finally:
                self.is_listening = False

    async def _hear(self, channel: Any) -> None:  # noqa: ANN401 - half typed
        is_asked = False
        while True:
            if not self._is_up:
                await self._recover()
            heard = await channel.get_message(timeout=_SILENCE_SECONDS)
            if heard is None and is_asked:
                raise ConnectionError
            is_asked = heard is None
            if is_asked:
                await asyncio.wait_for(channel.ping(), self._timeout_seconds)
            elif heard["type"] == "message":
                self._forget(heard["data"])

    def _forget(self, names: "list[bytes] | None") -> None:
        if names is None:  # FLUSHALL
            self.invalidated += self._memory.clear()
            return
        begin = len(self._prefix)
        keys = [name.decode("utf-8", "surrogateescape")[begin:] for name in names]
        self.invalidated += self._memory.delete(keys)

    async def _recover(self) -> None:
        """Pay what is owed to a Redis that answers again, and count on it from then on."""
        # With new connections: some of the old ones may still wait for a Redis that is gone.
        await self._disconnect()
        backend = await self._connected()
        await asyncio.wait_for(backend.ping(), self._timeout_seconds)
        self._is_recovering = True
        try:
            while self._still_owes():
                await self._pay_all(backend)
        finally:
            self._is_recovering = False

    def _still_owes(self) -> bool:
        with self._lock:
            if not self._owed:
                self._is_up = True
                logger.warning("Redis is back; the cache is shared again.")
            return bool(self._owed)

    async def _pay_all(self, backend: Redis) -> None:
        with self._lock:
            owed, self._owed = self._owed, {}
        try:
            await asyncio.wait_for(self._pay(backend, owed), _PATIENCE_SECONDS)
        except _AWAY_ERRORS:
            with self._lock:
                self._owe(owed)
            raise

    async def _pay(self, backend: Redis, owed: Iterable[Owed]) -> None:
        keys = [self._prefix + which for kind, which in owed if kind == "key"]
        for begin in range(0, len(keys), _BATCH):
            await _unlinked(backend, keys[begin : begin + _BATCH])
        for kind, which in owed:
            if kind == "pattern":
                await self._delete_pattern(backend, which)
            elif kind == "tag":
                await self._delete_tagged(backend, which)

    async def _read(self, backend: Redis, key: str) -> Entry | None:
        return unpack(await backend.get(self._prefix + key))

    async def _delete_pattern(self, backend: Redis, pattern: str) -> int:
        deleted = 0
        batch: list[str] = []
        async for key in backend.scan(redis_glob(self._prefix + pattern), batch_size=_BATCH):
            batch.append(key)
            if len(batch) >= _BATCH:
                deleted += await _unlinked(backend, batch)
                batch = []
        return deleted + await _unlinked(backend, batch)

    async def _delete_tagged(self, backend: Redis, tag: str) -> int:
        deleted = 0
        while True:
            keys = list(await backend.set_pop(self._tag(tag), _BATCH))
            if not keys:
                return deleted
            deleted += await _unlinked(backend, [self._prefix + key for key in keys])

    def _tag(self, tag: str) -> str:
        return f"{self._prefix[:-1]}-tag:{tag}"

    def _lock_of(self, key: str) -> str:
        return f"{self._prefix[:-1]}-lock:{key}"


async def _unlinked(backend: Redis, keys: Sequence[str]) -> int:
    """Remove keys; how many of them there were. A tag may name some that are gone already."""
    if not keys:
        return 0
    client: Any = backend._client  # noqa: SLF001 - its own delete_many does not tell how many
    return int(await client.unlink(*keys))


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()
