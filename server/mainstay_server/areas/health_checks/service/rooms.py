"""Room per host: many questions at once, few of them to one host, no queue behind a hang.

A host that is asked for 500 things in one second must not take this for an attack. But a question
that hangs loads nobody: counted against the room, five of them would keep everything else of that
host from being asked. So it stops counting once it has hung for a while.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

HANGING_SECONDS = 2.0
MOST_HANGING_PER_ROOM = 10


class _Host:
    """Who is being asked at one host: those who count, all of them, and who waits."""

    __slots__ = ("counted", "held", "waiting")

    def __init__(self) -> None:
        self.counted = 0
        self.held = 0
        self.waiting: deque[asyncio.Future[None]] = deque()


class Rooms:
    """At most `per_host` questions at once to one host, first come, first served; of one loop.

    One that has lasted for two seconds does not count any more, up to ten times as many in all.
    """

    def __init__(self, *, per_host: int) -> None:
        self._per_host = per_host
        self._most = per_host * MOST_HANGING_PER_ROOM
        self._hosts: dict[str, _Host] = {}

    def waiting(self) -> int:
        """How many wait for room at all hosts."""
        return sum(len(host.waiting) for host in self._hosts.values())

    @asynccontextmanager
    async def one_at(self, name: str) -> AsyncIterator[None]:
        """Hold a place at a host, waiting for it as long as it takes; "" is no host: no limit."""
        if not name:
            yield
            return
        host = self._hosts.setdefault(name, _Host())
        await self._enter(host)
        counts = [True]
        ageing = asyncio.get_running_loop().call_later(HANGING_SECONDS, self._age, host, counts)
        try:
            yield
        finally:
            ageing.cancel()
            host.held -= 1
            host.counted -= counts[0]
            self._admit(host)
            if not host.held and not host.waiting:
                self._hosts.pop(name, None)

    async def _enter(self, host: _Host) -> None:
        if not host.waiting and self._has_room(host):
            self._take(host)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        host.waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # Its turn came in this very moment: the place goes to the next.
                host.held -= 1
                host.counted -= 1
            self._admit(host)
            raise

    def _age(self, host: _Host, counts: list[bool]) -> None:
        counts[0] = False
        host.counted -= 1
        self._admit(host)

    def _admit(self, host: _Host) -> None:
        while host.waiting and self._has_room(host):
            turn = host.waiting.popleft()
            if not turn.done():
                self._take(host)
                turn.set_result(None)

    def _has_room(self, host: _Host) -> bool:
        return host.counted < self._per_host and host.held < self._most

    def _take(self, host: _Host) -> None:
        host.counted += 1
        host.held += 1
