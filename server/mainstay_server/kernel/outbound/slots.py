"""How many calls may be under way at once, in all and per host, over all threads and loops."""

import asyncio
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager

from mainstay_server.kernel.outbound.errors import OutboundError

MAX_WAITING = 10_000


class Slots:
    """Hand out at most `total` slots, and at most `per_host` of them for one host.

    First come, first served per host. A host that is full does not hold up the others. Calls may
    come from any thread and any event loop: asyncio's own semaphore belongs to one loop only.
    """

    def __init__(self, *, total: int, per_host: int) -> None:
        self._total = total
        self._per_host = per_host
        self._lock = threading.Lock()
        self._taken = 0
        self._taken_by_host: Counter[str] = Counter()
        self._waiting = 0
        self._behind_host: dict[str, deque[Future[None]]] = {}
        self._behind_total: deque[tuple[str, Future[None]]] = deque()

    @property
    def taken(self) -> int:
        """How many calls are under way."""
        return self._taken

    @asynccontextmanager
    async def one_for(self, host: str, *, wait_seconds: float) -> AsyncIterator[None]:
        """Hold one slot; raise `OutboundError` of kind timeout when none was free in time."""
        turn = self._take_or_queue(host)
        if turn is not None:
            await self._wait(host, turn, wait_seconds)
        try:
            yield
        finally:
            self._give_back(host)

    async def _wait(self, host: str, turn: Future[None], wait_seconds: float) -> None:
        try:
            async with asyncio.timeout(wait_seconds):
                await asyncio.wrap_future(turn)
        except BaseException as error:
            # Cancelling fails when the turn came in this very moment: then the slot is ours.
            if not turn.cancel() and not turn.cancelled():
                self._give_back(host)
            if isinstance(error, TimeoutError):
                raise self._too_busy(host, wait_seconds) from None
            raise
        finally:
            with self._lock:
                self._waiting -= 1

    def _too_busy(self, host: str, wait_seconds: float) -> OutboundError:
        return OutboundError(
            "timeout",
            f"Waited {wait_seconds:g} s for one of our own {self._per_host} connections to {host} "
            f"({self._total} in all); call it less often, or allow more at once.",
            own_limit=True,
        )

    def _take_or_queue(self, host: str) -> Future[None] | None:
        with self._lock:
            if self._has_room(host):
                self._take(host)
                return None
            if self._waiting >= MAX_WAITING:
                raise self._too_busy(host, 0)
            self._waiting += 1
            turn: Future[None] = Future()
            self._queue(host, turn)
            return turn

    def _has_room(self, host: str) -> bool:
        return self._taken < self._total and self._taken_by_host[host] < self._per_host

    def _take(self, host: str) -> None:
        self._taken += 1
        self._taken_by_host[host] += 1

    def _queue(self, host: str, turn: Future[None]) -> None:
        if self._taken_by_host[host] >= self._per_host:
            self._behind_host.setdefault(host, deque()).append(turn)
        else:
            self._behind_total.append((host, turn))

    def _give_back(self, host: str) -> None:
        with self._lock:
            self._taken -= 1
            self._taken_by_host[host] -= 1
            if not self._taken_by_host[host]:
                del self._taken_by_host[host]
            self._free_one_behind(host)
            self._grant()

    def _free_one_behind(self, host: str) -> None:
        """Let the next live waiter for the host stand in line for the total."""
        queue = self._behind_host.get(host)
        while queue:
            turn = queue.popleft()
            if not turn.cancelled():
                self._behind_total.append((host, turn))
                break
        if queue is not None and not queue:
            del self._behind_host[host]

    def _grant(self) -> None:
        while self._behind_total and self._taken < self._total:
            host, turn = self._behind_total.popleft()
            if self._taken_by_host[host] >= self._per_host:
                self._behind_host.setdefault(host, deque()).append(turn)
            elif turn.set_running_or_notify_cancel():
                self._take(host)
                turn.set_result(None)
            else:
                self._free_one_behind(host)  # it stopped waiting; its room goes to the next
