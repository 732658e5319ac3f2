"""The cache that apps use: memory over Redis, each value made once."""

import importlib
import os
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from mainstay._internal.caching.keys import bounded, build_key
from mainstay._internal.caching.layer import MemoryLayer
from mainstay._internal.caching.making import Making, Steps, run, run_async
from mainstay._internal.caching.statistics import LayerStatistics, Statistics
from mainstay._internal.caching.turns import Turns
from mainstay._internal.caching.wrapping import wrap
from mainstay._internal.checks import PASS, WARN
from mainstay._internal.clock import Clock

if TYPE_CHECKING:
    from mainstay._internal.caching.in_redis import RedisLayer

SHORT: Final = 60
MEDIUM: Final = 300
LONG: Final = 3_600
DAY: Final = 86_400

_Value = TypeVar("_Value")
_Function = TypeVar("_Function", bound=Callable[..., Any])


class Cache:
    """A cache in two layers: this process' memory, over a Redis that all processes share.

    ``Cache()`` is memory alone; ``Cache("redis://…")`` needs ``pip install 'mainstay[cache]'``
    and Redis 6 or newer. What a method promises holds for its twin with an ``a`` in front, which
    is for coroutines: a plain one that has to ask Redis would hold up the event loop.

    - A value is kept exactly, or refused with TypeError: plain data, dates, Decimal, UUID, bytes,
      tuples and sets. With a ``secret`` everything else is kept too, as signed pickles.
    - A value that another process overwrites or deletes is gone from this one's memory within a
      second, and mostly within milliseconds.
    - It never raises because Redis is away, and never waits for it longer than
      ``timeout_seconds``: the memory goes on alone. What was deleted or set meanwhile is deleted
      in Redis before that counts again.
    - Of many callers who miss a value one makes it, in all processes together; the others wait
      for it, ``wait_seconds`` at most, and then make it themselves. Within the last tenth of its
      lifetime (``early``) one caller makes it anew, and the others go on with what there is.
    - Memory is bounded by ``most_entries`` and ``most_bytes``; a lifetime ends after at most
      seven days.

    Raises ImportError when a URL is given and the extra is missing, ValueError for options that
    make no sense.
    """

    def __init__(  # noqa: PLR0913 - options, each with a default that works
        self,
        url: str | None = None,
        *,
        prefix: str = "cache",
        secret: str | bytes | None = None,
        most_entries: int = 10_000,
        most_bytes: int = 64 * 1024 * 1024,
        timeout_seconds: float = 0.25,
        wait_seconds: float = 10.0,
        early: float = 0.1,
        clock: Clock | None = None,
    ) -> None:
        if not prefix or any(c in prefix for c in "*: "):
            raise ValueError("a prefix is a word without star, colon and space")
        if not 0 <= early < 1:
            raise ValueError("early is a share of the lifetime, from 0 to below 1")
        self._clock = clock or Clock()
        self._memory = MemoryLayer(most_entries=most_entries, most_bytes=most_bytes)
        self._shared = None
        if url is not None:
            layer = _redis_layer()
            self._shared = layer(
                url, prefix=prefix, timeout_seconds=timeout_seconds, memory=self._memory
            )
        self._making = Making(
            self._memory,
            self._shared,
            secret=secret,
            wait_seconds=wait_seconds,
            early=early,
            clock=self._clock,
        )
        self._patience_seconds = wait_seconds
        self.clock = self._clock
        self.turns = Turns(self._shared, wait_seconds=wait_seconds, clock=self._clock)
        _begin_anew_after_fork(self)

    # -- verbs -----------------------------------------------------------------------------

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - any value
        """Return the value, or the default when there is none."""
        return self._run(self._making.get(bounded(key), default))

    async def aget(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - any value
        """Return the value, or the default when there is none."""
        return await self._arun(self._making.get(bounded(key), default))

    def set(
        self, key: str, value: object, lifetime: float = MEDIUM, *, tags: Sequence[str] = ()
    ) -> None:
        """Keep a value for ``lifetime`` seconds; ``delete_tagged`` finds it by its tags."""
        self._run(self._making.set(bounded(key), value, lifetime, tags))

    async def aset(
        self, key: str, value: object, lifetime: float = MEDIUM, *, tags: Sequence[str] = ()
    ) -> None:
        """Keep a value for ``lifetime`` seconds; ``delete_tagged`` finds it by its tags."""
        await self._arun(self._making.set(bounded(key), value, lifetime, tags))

    def get_or_set(
        self,
        key: str,
        make: Callable[[], _Value],
        lifetime: float = MEDIUM,
        *,
        tags: Sequence[str] = (),
    ) -> _Value:
        """Return the value, made by ``make`` when there is none; what that raises is raised."""
        steps = self._making.get_or_make(bounded(key), lifetime, tags)
        return cast("_Value", run(steps, make, self._patience_seconds))

    async def aget_or_set(
        self,
        key: str,
        make: Callable[[], Awaitable[_Value]],
        lifetime: float = MEDIUM,
        *,
        tags: Sequence[str] = (),
    ) -> _Value:
        """Return the value, made by ``make`` when there is none; what that raises is raised."""
        steps = self._making.get_or_make(bounded(key), lifetime, tags)
        return cast("_Value", await run_async(steps, make, self._patience_seconds))

    def cached(
        self, lifetime: float = MEDIUM, *, key: str | None = None, tags: Sequence[str] = ()
    ) -> Callable[[_Function], _Function]:
        """Wrap a function, plain or async, so that its answers are kept: ``@cache.cached(LONG)``.

        ``key`` is a template of its arguments (``"article:{number}"``); without one the key is
        the function's full name with all arguments. The function gets three more:
        ``key(…)`` is the key of a call, ``forget(…)`` deletes its answer, and ``aforget(…)``
        does so in a coroutine.
        """
        return lambda function: wrap(self, function, lifetime, key, tags)

    def delete(self, *keys: str) -> int:
        """Delete keys; return how many of them there were."""
        return int(self._run(self._making.delete([bounded(key) for key in keys])))

    async def adelete(self, *keys: str) -> int:
        """Delete keys; return how many of them there were."""
        return int(await self._arun(self._making.delete([bounded(key) for key in keys])))

    def delete_pattern(self, pattern: str) -> int:
        """Delete what matches (``"article:*"``: a star is anything); return how many it were."""
        return int(self._run(self._making.delete_pattern(pattern)))

    async def adelete_pattern(self, pattern: str) -> int:
        """Delete what matches (``"article:*"``: a star is anything); return how many it were."""
        return int(await self._arun(self._making.delete_pattern(pattern)))

    def delete_tagged(self, tag: str) -> int:
        """Delete what was set with the tag; return how many keys had it."""
        return int(self._run(self._making.delete_tagged(tag)))

    async def adelete_tagged(self, tag: str) -> int:
        """Delete what was set with the tag; return how many keys had it."""
        return int(await self._arun(self._making.delete_tagged(tag)))

    def clear(self) -> int:
        """Delete everything under this cache's prefix; return how many it were."""
        return self.delete_pattern("*")

    async def aclear(self) -> int:
        """Delete everything under this cache's prefix; return how many it were."""
        return await self.adelete_pattern("*")

    # -- care ------------------------------------------------------------------------------

    @staticmethod
    def key(*parts: object, **named: object) -> str:
        """Build a key of parts, none of which can pose as two: see ``mainstay.cache.key``."""
        return build_key(*parts, **named)

    def clean_up(self) -> int:
        """Throw expired entries out of the memory, and return how many.

        It happens by itself every 30 seconds while somebody writes; Redis does its own.
        """
        return self._memory.clean_up(now=self._clock.wall())

    def statistics(self) -> Statistics:
        """Return what this process' cache did since it was made."""
        counts, memory, shared = self._making.counts(), self._memory, self._shared
        entries, used = memory.size()
        return Statistics(
            hits=counts["hits"],
            misses=counts["misses"],
            memory=_layer(counts, "memory"),
            redis=_layer(counts, "redis"),
            writes=counts["writes"],
            deletes=counts["deletes"],
            computed=counts["computed"],
            waited=counts["waited"],
            early=counts["early"],
            invalidated=0 if shared is None else shared.invalidated,
            evicted=memory.evicted,
            expired=memory.expired,
            away=0 if shared is None else shared.away,
            entries=entries,
            bytes=used,
            is_shared=shared is not None and shared.is_up,
        )

    def check(self) -> str:
        """Tell ``mainstay.Health`` how it is: ``warn`` while Redis is away, else ``pass``."""
        return WARN if self._shared is not None and not self._shared.is_up else PASS

    def close(self) -> None:
        """Let go of Redis; the memory works on."""
        if self._shared is not None:
            self._shared.close()

    def _run(self, steps: Steps) -> Any:  # noqa: ANN401 - whatever the steps return
        return run(steps, None, self._patience_seconds)

    async def _arun(self, steps: Steps) -> Any:  # noqa: ANN401 - whatever the steps return
        return await run_async(steps, None, self._patience_seconds)

    def _begin_anew(self) -> None:
        self._memory.begin_anew()
        self._making.begin_anew()
        self.turns.begin_anew()
        if self._shared is not None:
            self._shared.begin_anew()


def _layer(counts: "Counter[str]", name: str) -> LayerStatistics:
    return LayerStatistics(hits=counts[f"{name}_hits"], misses=counts[f"{name}_misses"])


def _redis_layer() -> "type[RedisLayer]":
    """Find the layer on cashews; imported here, because that is an extra."""
    try:
        module = importlib.import_module("mainstay._internal.caching.in_redis")
    except ImportError as error:
        raise ImportError("A cache in Redis needs: pip install 'mainstay[cache]'") from error
    return cast("type[RedisLayer]", module.RedisLayer)


def _begin_anew_after_fork(cache: Cache) -> None:
    """Locks, threads and connections of the parent are of no use in the child."""
    if hasattr(os, "register_at_fork"):
        reference = weakref.ref(cache)

        def begin_anew() -> None:
            alive = reference()
            if alive is not None:
                alive._begin_anew()  # noqa: SLF001 - its own module

        os.register_at_fork(after_in_child=begin_anew)
