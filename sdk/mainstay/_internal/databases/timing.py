"""How long the app's queries take, by what they have in common, without the values in them."""

import contextlib
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event

from mainstay._internal.clock import Clock
from mainstay._internal.databases.exposition import metric_lines
from mainstay._internal.databases.pools import PoolStatistics, PoolWatch
from mainstay._internal.databases.shapes import Histogram, shape_of
from mainstay._internal.guard.passage import CURRENT
from mainstay._internal.shield import SHIELD, logger

_MOST_WAITING = 64
_MOST_TEXTS = 2_000
_LONGEST_TEXT_KEPT = 20_000
_MOST_SHAPES_OF_REQUEST = 500
_WATCHED: Final[ContextVar["dict[str, int] | None"]] = ContextVar("mainstay_watch", default=None)


@dataclass(frozen=True)
class QueryStatistics:
    """What is known of the statements of one shape. Times are in seconds.

    ``repeated`` counts the requests that ran it more often than ``repeats_allowed``.
    """

    statement: str
    count: int
    errors: int
    total_seconds: float
    max_seconds: float
    p50_seconds: float
    p95_seconds: float
    repeated: int


@dataclass(frozen=True)
class SlowQuery:
    """One execution that took too long: its shape, never its values."""

    statement: str
    seconds: float


@dataclass(frozen=True)
class RepeatedQuery:
    """A statement that one request has just run for the ``times``-th time, once too often."""

    statement: str
    times: int


class _Shape:
    """What is counted of one shape.

    Durations wait in a deque, which takes them without a lock, and are counted some at a time.
    """

    __slots__ = (
        *("count", "errors", "histogram", "longest", "repeated", "seen", "statement", "total"),
        "waiting",
    )

    def __init__(self, statement: str) -> None:
        self.statement = statement
        self.count = self.errors = self.repeated = 0
        self.total = self.longest = self.seen = 0.0
        self.histogram = Histogram()
        self.waiting: deque[float] = deque()

    def fold(self) -> None:
        """Count what waits; called by one thread at a time."""
        waiting, add = self.waiting, self.histogram.add
        for _ in range(len(waiting)):
            seconds = waiting.popleft()
            self.count += 1
            self.total += seconds
            self.longest = max(self.longest, seconds)
            add(seconds)


class QueryTiming:
    """Times every statement of an engine, in a few microseconds each.

    Statements are told apart by their shape: literals, parameters and lists of them are one ``?``.
    At most ``most_shapes`` are remembered; those not seen for longest make room. Parameters are
    never looked at.

    ``on_slow`` is called for what took ``slow_seconds`` or longer, else a line is logged.
    ``on_repeated`` is called once for each shape that one request runs more than
    ``repeats_allowed`` times, as a loop over lazily loaded objects does (N+1). A request is what
    `mainstay.Guard` passes on, or a ``with timing.request():`` of your own. Hooks run in the
    request that caused them; what they raise, and the queries they make, are their own.
    """

    def __init__(  # noqa: PLR0913 - options, each with a default that works
        self,
        engine: Any,  # noqa: ANN401 - an Engine, or an AsyncEngine without importing asyncio
        *,
        slow_seconds: float = 0.5,
        on_slow: Callable[[SlowQuery], object] | None = None,
        repeats_allowed: int = 10,
        on_repeated: Callable[[RepeatedQuery], object] | None = None,
        most_shapes: int = 500,
        clock: Clock | None = None,
    ) -> None:
        self._engine: sa.Engine = getattr(engine, "sync_engine", engine)
        self._slow_seconds = slow_seconds
        self._on_slow = on_slow or _log_slow
        self._repeats_allowed = repeats_allowed
        self._on_repeated = on_repeated or _log_repeated
        self._most_shapes = most_shapes
        self._now = (clock or Clock()).monotonic
        self._dialect = self._engine.dialect.name
        self._shapes: dict[str, _Shape] = {}
        self._texts: dict[str, _Shape] = {}
        self._lock = threading.Lock()
        self._hooked = threading.local()
        self.forgotten = 0
        self._pool = PoolWatch(self._engine, self._now)
        self._listeners: dict[str, Any] = {
            "before_cursor_execute": self._before,
            "after_cursor_execute": self._after,
            "handle_error": self._failed,
        }
        for name, listener in self._listeners.items():
            event.listen(self._engine, name, listener)
        _unlock_after_fork(self)

    def statistics(self) -> list[QueryStatistics]:
        """Tell about every shape, the one that took the most time in all first."""
        with self._lock:
            for shape in self._shapes.values():
                shape.fold()
            found = [_told(shape) for shape in self._shapes.values()]
        return sorted(found, key=lambda one: -one.total_seconds)

    def pool(self) -> PoolStatistics:
        """Tell how the connections of this process are used, and how long one waited for them."""
        return self._pool.statistics()

    def metrics(self, *, most: int = 50) -> list[str]:
        """Return lines for Prometheus: the pool, and the shapes that took the most time."""
        return metric_lines(self.statistics()[:most], self.pool())

    @contextlib.contextmanager
    def request(self) -> Iterator[dict[str, int]]:
        """Count what runs inside as one request; gives how often each shape ran."""
        counts: dict[str, int] = {}
        token = _WATCHED.set(counts)
        try:
            yield counts
        finally:
            _WATCHED.reset(token)

    def close(self) -> None:
        """Stop timing; what was counted stays."""
        for name, listener in self._listeners.items():
            if event.contains(self._engine, name, listener):
                event.remove(self._engine, name, listener)
        self._pool.close()

    # -- on the path of every statement, where each tenth of a microsecond counts -----------

    def _before(
        self,
        _connection: Any,  # noqa: ANN401 - same
        _cursor: Any,  # noqa: ANN401 - same
        _statement: str,
        _parameters: Any,  # noqa: ANN401 - same
        context: Any,  # noqa: ANN401 - same
        _many: bool,  # noqa: FBT001 - same
    ) -> None:
        if context is not None:
            context.mainstay_began = self._now()

    def _after(
        self,
        _connection: Any,  # noqa: ANN401 - same
        _cursor: Any,  # noqa: ANN401 - same
        statement: str,
        _parameters: Any,  # noqa: ANN401 - same
        context: Any,  # noqa: ANN401 - same
        _many: bool,  # noqa: FBT001 - same
    ) -> None:
        try:
            began = context.mainstay_began
        except AttributeError:  # begun before we listened
            return
        ended = self._now()
        shape = self._texts.get(statement)
        if shape is None:
            with SHIELD:
                self._count_first(statement, began, ended)
            return
        shape.seen = ended
        waiting = shape.waiting
        waiting.append(ended - began)
        if len(waiting) >= _MOST_WAITING:
            with self._lock:
                shape.fold()
        request = CURRENT.get()
        counts = _WATCHED.get()
        if request is not None or counts is not None or ended - began >= self._slow_seconds:
            with SHIELD:
                self._look_closer(shape, ended - began)

    def _failed(self, told: Any) -> None:  # noqa: ANN401 - an ExceptionContext
        began = getattr(told.execution_context, "mainstay_began", None)
        if began is None or told.statement is None:
            return
        with SHIELD:
            self._count_first(told.statement, began, self._now()).errors += 1

    def _count_first(self, statement: str, began: float, ended: float) -> _Shape:
        with self._lock:
            shape = self._texts.get(statement) or self._new_text(statement)
            shape.seen = ended
            shape.waiting.append(ended - began)
        self._look_closer(shape, ended - began)
        return shape

    def _look_closer(self, shape: _Shape, seconds: float) -> None:
        counts = _WATCHED.get()
        if counts is None:
            request = CURRENT.get()
            if request is not None:
                counts = request.__dict__.setdefault("_queries", {})
        if counts is not None:
            self._repeat(shape, counts)
        if seconds >= self._slow_seconds:
            self._call(self._on_slow, SlowQuery(shape.statement, seconds))

    def _new_text(self, statement: str) -> _Shape:
        text = shape_of(statement, self._dialect)
        shape = self._shapes.get(text)
        if shape is None:
            self._make_room()
            shape = self._shapes[text] = _Shape(text)
        if len(statement) <= _LONGEST_TEXT_KEPT:
            if len(self._texts) >= _MOST_TEXTS:
                self._texts = {}
            self._texts[statement] = shape
        return shape

    def _make_room(self) -> None:
        """Forget the tenth that was not seen for longest, so that most new shapes cost nothing."""
        if len(self._shapes) < self._most_shapes:
            return
        oldest = sorted(self._shapes.values(), key=lambda shape: shape.seen)
        gone = set(oldest[: self._most_shapes // 10 + 1])
        self._shapes = {text: one for text, one in self._shapes.items() if one not in gone}
        self._texts = {text: one for text, one in self._texts.items() if one not in gone}
        self.forgotten += len(gone)

    def _repeat(self, shape: _Shape, counts: dict[str, int]) -> None:
        times = counts.get(shape.statement, 0) + 1
        if times == 1 and len(counts) >= _MOST_SHAPES_OF_REQUEST:
            return
        counts[shape.statement] = times
        if times == self._repeats_allowed + 1:
            shape.repeated += 1
            self._call(self._on_repeated, RepeatedQuery(shape.statement, times))

    def _call(self, hook: Callable[[Any], object], found: object) -> None:
        if getattr(self._hooked, "is_running", False):
            return  # of a query that a hook itself makes
        self._hooked.is_running = True
        try:
            with SHIELD:
                hook(found)
        finally:
            self._hooked.is_running = False

    def _unlock(self) -> None:
        self._lock = threading.Lock()


def _told(shape: _Shape) -> QueryStatistics:
    return QueryStatistics(
        statement=shape.statement,
        count=shape.count,
        errors=shape.errors,
        total_seconds=shape.total,
        max_seconds=shape.longest,
        p50_seconds=shape.histogram.quantile(0.5, longest=shape.longest),
        p95_seconds=shape.histogram.quantile(0.95, longest=shape.longest),
        repeated=shape.repeated,
    )


def _log_slow(slow: SlowQuery) -> None:
    logger.warning("A query took %.3f s: %s", slow.seconds, slow.statement)


def _log_repeated(repeated: RepeatedQuery) -> None:
    logger.warning(
        "One request ran a query %d times; load what it needs at once: %s",
        repeated.times,
        repeated.statement,
    )


def _unlock_after_fork(timing: QueryTiming) -> None:
    """A lock that another thread of the parent held is held for ever in the child."""
    if hasattr(os, "register_at_fork"):
        reference = weakref.ref(timing)

        def unlock() -> None:
            alive = reference()
            if alive is not None:
                alive._unlock()  # noqa: SLF001 - its own module

        os.register_at_fork(after_in_child=unlock)
