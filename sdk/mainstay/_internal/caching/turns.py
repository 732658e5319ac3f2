"""Who makes an answer that is asked for by many: one caller in all processes, for a while."""

import asyncio
import contextlib
import secrets
import threading
from collections import OrderedDict
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mainstay._internal.caching.flight import Flights
from mainstay._internal.caching.making import Steps
from mainstay._internal.clock import Clock

if TYPE_CHECKING:
    from mainstay._internal.caching.in_redis import RedisLayer

_TOO_LONG: Final = (FutureTimeoutError, asyncio.TimeoutError)
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.01, 0.2
_MOST_REMEMBERED = 10_000
_REMEMBERED_SECONDS = 60.0


class Turn(NamedTuple):
    """The right to make something; whoever waited for it should look again first."""

    key: str
    flight: "Future[Any]"
    token: str
    has_waited: bool


class Turns:
    """Gives out turns.

    What turned out not to be kept is remembered for a minute, so that nobody queues for nothing.
    """

    def __init__(self, shared: "RedisLayer | None", *, wait_seconds: float, clock: Clock) -> None:
        self._shared = shared
        self.wait_seconds = wait_seconds
        self._clock = clock
        self.begin_anew()

    def begin_anew(self) -> None:
        """Begin with locks of this process."""
        self._flights = Flights()
        self._lock = threading.Lock()
        self._not_kept: OrderedDict[str, float] = OrderedDict()

    def is_pointless(self, key: str) -> bool:
        """Whether it was not kept when it was made last, a minute ago or less."""
        with self._lock:
            until = self._not_kept.get(key, 0.0)
        return until > self._clock.monotonic()

    def take(self, key: str) -> Steps:
        """Return a `Turn`, or None when somebody else had it and is done, or takes too long."""
        flight, is_mine = self._flights.join(key)
        if not is_mine:
            with contextlib.suppress(*_TOO_LONG):
                yield flight
            return None
        token, has_waited = secrets.token_hex(8), False
        try:
            if self._shared is not None:
                has_waited = yield from self._locked(self._shared, key, token)
        except BaseException:
            self._flights.land(key, flight)
            raise
        return Turn(key, flight, token, has_waited)

    def end(self, turn: Turn, *, is_kept: bool | None) -> None:
        """Let the others go on; None is for what tells nothing of the next time, as an error."""
        with self._lock:
            self._not_kept.pop(turn.key, None)
            if is_kept is False:
                self._not_kept[turn.key] = self._clock.monotonic() + _REMEMBERED_SECONDS
                while len(self._not_kept) > _MOST_REMEMBERED:
                    self._not_kept.popitem(last=False)
        if self._shared is not None:
            self._shared.unlock(turn.key, turn.token)
        self._flights.land(turn.key, turn.flight)

    def _locked(self, shared: "RedisLayer", key: str, token: str) -> Steps:
        """Wait for another process that makes it; return whether there was one."""
        pause = _FIRST_PAUSE_SECONDS
        until = self._clock.monotonic() + self.wait_seconds
        has_waited = False
        while self._clock.monotonic() < until:
            try:
                is_free = yield shared.lock(key, token, self.wait_seconds)
            except _TOO_LONG:
                break
            if is_free is not False:
                break
            has_waited = True
            yield pause
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        return has_waited
