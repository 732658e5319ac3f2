"""How the connections of one process are used, and how long it waits for them."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.pool import Pool, QueuePool


@dataclass(frozen=True)
class PoolStatistics:
    """The pool of one engine in this process; None where its kind has no such number.

    ``size`` connections are kept open, up to ``capacity`` are opened, ``checked_out`` are in use,
    ``overflow`` of the open ones are beyond ``size``. ``waits`` counts those who found every
    connection in use, ``timeouts`` those of them who got none. ``wait_seconds`` is what they waited
    together, ``max_wait_seconds`` the longest.
    """

    size: int | None
    capacity: int | None
    checked_out: int | None
    overflow: int | None
    waits: int
    timeouts: int
    wait_seconds: float
    max_wait_seconds: float


class PoolWatch:
    """Counts who waits for a connection.

    SQLAlchemy tells who got one, not who waits; so the pool's ``connect`` is wrapped, and again
    when ``engine.dispose()`` makes a new pool.
    """

    def __init__(self, engine: sa.Engine, now: Callable[[], float]) -> None:
        self._engine = engine
        self._now = now
        self._lock = threading.Lock()
        self._waits = self._timeouts = 0
        self._waited = self._longest = 0.0
        self._wrap(engine)
        event.listen(engine, "engine_disposed", self._wrap)

    def statistics(self) -> PoolStatistics:
        """Tell how it stands now, and who waited so far."""
        pool = self._engine.pool
        size = capacity = checked_out = overflow = None
        if isinstance(pool, QueuePool):
            size, checked_out = pool.size(), pool.checkedout()
            overflow, capacity = max(0, pool.overflow()), _capacity(pool)
        with self._lock:
            return PoolStatistics(
                size=size,
                capacity=capacity,
                checked_out=checked_out,
                overflow=overflow,
                waits=self._waits,
                timeouts=self._timeouts,
                wait_seconds=self._waited,
                max_wait_seconds=self._longest,
            )

    def close(self) -> None:
        """Leave the pool as it was."""
        if event.contains(self._engine, "engine_disposed", self._wrap):
            event.remove(self._engine, "engine_disposed", self._wrap)
        vars(self._engine.pool).pop("connect", None)

    def _wrap(self, engine: sa.Engine) -> None:
        pool: Pool = engine.pool
        capacity = _capacity(pool) if isinstance(pool, QueuePool) else None
        if not isinstance(pool, QueuePool) or capacity is None:
            return
        connect, queue = pool.connect, pool

        def connect_and_count() -> Any:  # noqa: ANN401 - what the pool gives
            if queue.checkedout() < capacity:
                return connect()
            return self._wait(connect)

        vars(pool)["connect"] = connect_and_count

    def _wait(self, connect: Callable[[], Any]) -> Any:  # noqa: ANN401 - as above
        began, timed_out = self._now(), 0
        try:
            return connect()
        except exc.TimeoutError:
            timed_out = 1
            raise
        finally:
            seconds = self._now() - began
            with self._lock:
                self._waits += 1
                self._timeouts += timed_out
                self._waited += seconds
                self._longest = max(self._longest, seconds)


def _capacity(pool: QueuePool) -> int | None:
    overflow = pool._max_overflow  # noqa: SLF001 - no other way to ask
    return None if overflow < 0 else pool.size() + overflow
