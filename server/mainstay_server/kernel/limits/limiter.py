"""The one that decides: the shared buckets while they answer, what was declared while they do not.

No verdict waits for a store that is away: after one failure it is left alone for a while, and then
asked by one request at a time.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from mainstay_server.kernel.problems import Unavailable

from .gcra import Bucket, OnError, Standing, Verdict
from .in_memory import MemoryBuckets

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
# A store that hangs holds up the verdict of one request for so long, and then of none.
ANSWER_SECONDS = 1.0
ASKED_AT_ONCE = 8
COUNTED = ("admitted", "refused", "local", "denied", "allowed")


class Buckets(Protocol):
    """A store of buckets; all make the same verdicts. `inline`: quick enough for the event loop."""

    @property
    def name(self) -> str: ...  # noqa: D102 - what /metrics calls it
    @property
    def inline(self) -> bool: ...  # noqa: D102 - the docstring of the class says it
    def take(self, buckets: Sequence[Bucket], *, cost: int, now_us: int) -> Verdict: ...  # noqa: D102 - the limiter promises it
    def close(self) -> None: ...  # noqa: D102 - same


@dataclass(frozen=True, kw_only=True)
class Stats:
    """What this process decided since its start; `local`, `denied` and `allowed` while degraded."""

    store: str
    degraded: bool
    admitted: int = 0
    refused: int = 0
    local: int = 0
    denied: int = 0
    allowed: int = 0


class Limiter:
    """Decides by one store of buckets, and by its own memory while that is away."""

    def __init__(self, store: Buckets | None = None) -> None:
        self._local = MemoryBuckets()
        self._store: Buckets = store or self._local
        self._breaker = _Breaker()
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(COUNTED, 0)
        self._threads = None if self._store.inline else ThreadPoolExecutor(ASKED_AT_ONCE, "limits")

    def take(self, buckets: Sequence[Bucket], *, cost: int = 1, now_us: int) -> Verdict:
        """Charge all of the buckets or none; waits for the store, but never long."""
        if self._threads is None:
            return self._counted(self._store.take(buckets, cost=cost, now_us=now_us))
        if not self._breaker.lets_through():
            return self._decided_alone(buckets, cost=cost, now_us=now_us)
        try:
            verdict = self._store.take(buckets, cost=cost, now_us=now_us)
        except Unavailable as error:
            self._lost(error)
            return self._decided_alone(buckets, cost=cost, now_us=now_us)
        return self._heard(buckets, verdict, now_us=now_us)

    async def take_async(self, buckets: Sequence[Bucket], *, cost: int = 1, now_us: int) -> Verdict:
        """The same without holding up the event loop; memory answers at once."""
        if self._threads is None:
            return self._counted(self._store.take(buckets, cost=cost, now_us=now_us))
        if not self._breaker.lets_through():
            return self._decided_alone(buckets, cost=cost, now_us=now_us)
        asked = asyncio.get_running_loop().run_in_executor(
            self._threads, self._asked, buckets, cost, now_us
        )
        try:
            verdict = await asyncio.wait_for(asked, ANSWER_SECONDS)
        except (Unavailable, TimeoutError) as error:
            self._lost(error)
            return self._decided_alone(buckets, cost=cost, now_us=now_us)
        return self._heard(buckets, verdict, now_us=now_us)

    def stats(self) -> Stats:
        """What was decided so far, and whether the store is away now."""
        with self._lock:
            counts = dict(self._counts)
        return Stats(store=self._store.name, degraded=self._breaker.is_open, **counts)

    def close(self) -> None:
        """End threads and connections."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
        self._store.close()

    def _asked(self, buckets: Sequence[Bucket], cost: int, now_us: int) -> Verdict:
        return self._store.take(buckets, cost=cost, now_us=now_us)

    def _heard(self, buckets: Sequence[Bucket], verdict: Verdict, *, now_us: int) -> Verdict:
        if self._breaker.record_answer():
            log.warning("limits: %s answers again", self._store.name)
        self._local.follow(buckets, verdict, now_us=now_us)
        return self._counted(verdict)

    def _lost(self, error: Exception) -> None:
        if self._breaker.record_failure():
            log.warning(
                "limits: %s is away, each limit does what it says for that: %s",
                self._store.name,
                str(error) or "no answer in time",
            )

    def _decided_alone(self, buckets: Sequence[Bucket], *, cost: int, now_us: int) -> Verdict:
        """What the buckets themselves say for this case, still as one decision."""
        if any(bucket.on_error is OnError.DENY for bucket in buckets):
            pause = Standing(0, round(self._breaker.pause_seconds * 1_000_000), 0)
            verdict = Verdict(
                admitted=False, standings=(pause,) * len(buckets), degraded=True, denied=True
            )
            return self._counted(verdict, "denied")
        here = [bucket for bucket in buckets if bucket.on_error is OnError.LOCAL]
        found = self._local.take(here, cost=cost, now_us=now_us)
        standings = iter(found.standings)
        verdict = Verdict(
            admitted=found.admitted,
            standings=tuple(
                next(standings)
                if bucket.on_error is OnError.LOCAL
                else Standing(bucket.rate.burst, 0, 0)
                for bucket in buckets
            ),
            degraded=True,
        )
        return self._counted(verdict, "local" if here else "allowed")

    def _counted(self, verdict: Verdict, how: str = "") -> Verdict:
        with self._lock:
            self._counts["admitted" if verdict.admitted else "refused"] += 1
            if how:
                self._counts[how] += 1
        return verdict


class _Breaker:
    """Leaves a store alone after a failure, longer each time, and then sends one to look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._closed_again_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the store was away when it was last asked."""
        return self._failures > 0

    @property
    def pause_seconds(self) -> float:
        """How long it is left alone at present."""
        return float(min(FIRST_PAUSE_SECONDS * 2**self._failures, LONGEST_PAUSE_SECONDS))

    def lets_through(self) -> bool:
        """Whether this request may ask. Of many who come after a pause, one may."""
        if not self._failures:
            return True
        with self._lock:
            now = time.monotonic()
            if self._failures and now < self._closed_again_at:
                return False
            self._closed_again_at = now + self.pause_seconds
            return True

    def record_failure(self) -> bool:
        """The store is away; tells whether that is news."""
        with self._lock:
            first = not self._failures
            self._failures = min(self._failures + 1, 10)
            self._closed_again_at = time.monotonic() + self.pause_seconds
            return first

    def record_answer(self) -> bool:
        """The store is there; tells whether that is news."""
        if not self._failures:
            return False
        with self._lock:
            self._failures = 0
            return True
