"""What the app did, as Prometheus reads it (text format 0.0.4)."""

import math
import os
import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any, Final

from mainstay._internal.checks import call
from mainstay._internal.clock import Clock
from mainstay._internal.memory import resident_bytes
from mainstay._internal.message import METHODS, OTHER_METHOD
from mainstay._internal.runs import Loop
from mainstay._internal.shield import SHIELD, logger
from mainstay._internal.slots import Cells, Slot, Slots

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# The boundaries of OpenTelemetry's http.server.request.duration.
_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_METHODS: Final = (*sorted(METHODS), OTHER_METHOD)
_LEAST_STATUS, _MOST_STATUS, _FIRST_ERROR = 100, 599, 500
_STATUSES = _MOST_STATUS - _LEAST_STATUS + 1
# In a process' cells: the sum of durations in µs, the histogram, and a row for each method.
_SUM, _BUCKETS = 0, 1
_ROWS = _BUCKETS + len(_BOUNDS) + 1
_CELLS: Final = _ROWS + len(_METHODS) * _STATUSES
_ROW: Final = {method: _ROWS + n * _STATUSES - _LEAST_STATUS for n, method in enumerate(_METHODS)}
_MOST_RECORDS = 200
_RECORDS_HOLD_SECONDS = 60.0

Records = Callable[[], object]
Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counts requests, a microsecond each, and tells of them.

    Without a ``folder`` it counts for this process alone and says so with the label ``pid``:
    where several answer behind one address, each has series of its own, and none goes back and
    forth. With a folder, the processes of the app count together.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        version: str | None,
        records: "RecordCounts | None",
        memory_percent: Callable[[], float | None],
        folder: Path | None = None,
        more: Sequence[Callable[[], Sequence[str]]] = (),
    ) -> None:
        self._clock = clock
        self._more = tuple(more)
        self._version = version
        self._records = records
        self._memory_percent = memory_percent
        self._slots = None if folder is None else Slots(folder, _CELLS)
        self._cells: Cells | None = None
        self.begin_anew()

    def begin_anew(self) -> None:
        """Count from nothing, with a lock of this process."""
        self._lock = threading.Lock()
        self._cells = None
        self._started = self._clock.wall()
        if self._slots is not None:
            self._slots.let_go()
        if self._records is not None:
            self._records.forget()

    def count(self, method: str, status: int, seconds: float) -> None:
        """Count a request; methods and statuses that are none count as such and take no room."""
        row = _ROW.get(method) or _ROW[OTHER_METHOD]
        with self._lock:
            cells = self._cells if self._cells is not None else self._begin()
            cells[_SUM] += int(seconds * 1_000_000)
            cells[_BUCKETS + bisect_left(_BOUNDS, seconds)] += 1
            cells[row + min(max(status, _LEAST_STATUS), _MOST_STATUS)] += 1

    def tell(self, loop: Loop | None) -> str:
        """Return all of it as text."""
        with self._lock:
            if self._cells is None:
                self._begin()
        slots = self._all()
        alive = [slot for slot in slots if slot.pid]
        sums = [sum(column) for column in zip(*(slot.cells for slot in slots), strict=True)]
        labels: Labels = (("pid", str(os.getpid())),) if self._slots is None else ()
        started = min((slot.started_us / 1_000_000 for slot in alive), default=self._started)
        lines = [
            *_gauge("app_info", "The version of the app.", 1, (("version", self._version or ""),)),
            *_gauge("app_processes", "Processes that are counted here.", len(alive), labels),
            *_gauge(
                "app_uptime_seconds",
                "Seconds since the app started.",
                max(self._clock.wall() - started, 0.0),
                labels,
            ),
            *_requests(sums, labels),
            *self._memory([slot.pid for slot in alive], labels),
        ]
        if self._records is not None:
            lines += self._records.tell(loop)
        for tell in self._more:
            with SHIELD:  # what the app adds may break, and the rest is told all the same
                lines += tell()
        return "\n".join(lines) + "\n"

    def _begin(self) -> Cells:
        """Start late: a process that only forks others counts nothing and needs no file."""
        self._cells = array("Q", bytes(8 * _CELLS))
        if self._slots is not None:
            try:
                self._cells = self._slots.take(now=self._started)
            except (OSError, ValueError) as error:
                self._slots = None
                logger.warning("Requests are counted for each process alone: %s.", error)
        return self._cells

    def _all(self) -> list[Slot]:
        if self._slots is not None:
            return list(self._slots.all())
        assert self._cells is not None
        return [Slot(os.getpid(), int(self._started * 1_000_000), array("Q", self._cells))]

    def _memory(self, pids: Iterable[int], labels: Labels) -> list[str]:
        sizes = [size for size in map(resident_bytes, pids) if size is not None]
        percent = self._memory_percent()
        lines = []
        if sizes:
            told = "Resident memory of the processes."
            lines += _gauge("process_resident_memory_bytes", told, sum(sizes), labels)
        if percent is not None:
            told = "Memory in use, of the container's limit or else of the machine, 0 to 1."
            lines += _gauge("app_memory_used_ratio", told, percent / 100, ())
        return lines


class RecordCounts:
    """How many records there are of what, as the app says.

    It is asked at most once a minute, because counting a table is work, by one thread at a time,
    and waited for within the time. While it does not answer, what it said last is told, and that
    it is not of now.
    """

    def __init__(self, ask: Records, *, timeout_seconds: float, clock: Clock) -> None:
        self._ask = ask
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Forget a thread of the parent process, which a fork does not copy."""
        self._running: Future[dict[str, float]] | None = None
        self._asked_at = -math.inf
        self._known: dict[str, float] = {}
        self._is_good = False

    def tell(self, loop: Loop | None) -> list[str]:
        """Return the lines about records; called by one thread at a time."""
        now = self._clock.monotonic()
        is_free = self._running is None or self._running.done()
        if is_free and now - self._asked_at >= _RECORDS_HOLD_SECONDS:
            self._start(loop)
            self._asked_at = now
        assert self._running is not None
        wait([self._running], self._timeout_seconds)
        self._is_good = self._running.done() and self._running.exception() is None
        if self._is_good:
            self._known = self._running.result()
        lines = _gauge(
            "app_records_up",
            "Whether the app could say how many records it has.",
            self._is_good,
            (),
        )
        if self._known:
            lines += _head("app_records", "gauge", "Records, as the app counted them last.")
            lines += [_line("app_records", (("kind", k),), v) for k, v in self._known.items()]
        return lines

    def _start(self, loop: Loop | None) -> None:
        running = self._running = Future()

        def ask() -> None:
            try:
                running.set_result(_checked(call(self._ask, loop, self._timeout_seconds)))
            except BaseException as error:  # noqa: BLE001 - whatever it raises, it did not say
                logger.warning("The app could not count its records: %s.", type(error).__name__)
                running.set_exception(error)

        threading.Thread(target=ask, name="mainstay-records", daemon=True).start()


def counted(
    records: Records | None, *, timeout_seconds: float, clock: Clock
) -> RecordCounts | None:
    """Return the counts of an app that gives some."""
    if records is None:
        return None
    return RecordCounts(records, timeout_seconds=timeout_seconds, clock=clock)


def _checked(said: Any) -> dict[str, float]:  # noqa: ANN401 - whatever the app says
    if not isinstance(said, Mapping) or len(said) > _MOST_RECORDS:
        raise ValueError(f"records must be a dict of at most {_MOST_RECORDS} numbers")
    return {str(kind): float(number) for kind, number in said.items()}


def _requests(sums: list[int], labels: Labels) -> list[str]:
    lines = _head("http_requests_total", "counter", "Requests that were answered.")
    errors = 0
    for method in _METHODS:
        for status in range(_LEAST_STATUS, _MOST_STATUS + 1):
            count = sums[_ROW[method] + status]
            if count:
                said = (("method", method), ("status", str(status)), *labels)
                lines.append(_line("http_requests_total", said, count))
                errors += count if status >= _FIRST_ERROR else 0
    lines += _head("http_request_errors_total", "counter", "Requests that failed: status 5xx.")
    lines.append(_line("http_request_errors_total", labels, errors))
    name = "http_request_duration_seconds"
    lines += _head(name, "histogram", "From the request to the last byte of its answer.")
    total = 0
    for n, bound in enumerate((*_BOUNDS, math.inf)):
        total += sums[_BUCKETS + n]
        le = "+Inf" if bound == math.inf else f"{bound:g}"
        lines.append(_line(f"{name}_bucket", (("le", le), *labels), total))
    lines.append(_line(f"{name}_sum", labels, sums[_SUM] / 1_000_000))
    lines.append(_line(f"{name}_count", labels, total))
    return lines


def _gauge(name: str, told: str, value: float, labels: Labels) -> list[str]:
    return [*_head(name, "gauge", told), _line(name, labels, value)]


def _head(name: str, kind: str, told: str) -> list[str]:
    return [f"# HELP {name} {told}", f"# TYPE {name} {kind}"]


def _line(name: str, labels: Labels, value: float) -> str:
    said = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
    number = repr(value + 0)  # a bool is 0 or 1 there
    return f"{name}{{{said}}} {number}" if said else f"{name} {number}"


def _escaped(text: str) -> str:
    clean = text.encode("utf-8", "replace").decode()
    return clean.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
