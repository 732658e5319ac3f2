"""Group commit: what arrives for a table is gathered for a moment and inserted at once."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from mainstay_server.kernel.problems import Problem

from .engines import Engine, Inserter
from .refusals import EngineError, EngineRefused, Fault, Full, refusal_of_append
from .tables import Encoding, Table

GATHER_SECONDS = 0.020
BATCH_BYTES = 8 << 20
BATCH_ROWS = 50_000
WORTH_AN_INSERT_BYTES = 128 << 10
"""An insert costs about 5 ms of processor time, as much as reading this many bytes of rows."""

FULL_RETRY_AFTER_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Waiting:
    """An append that its caller waits for."""

    body: bytes
    rows: int
    done: "Future[None]"


class WaitingRoom:
    """Counts the bytes that wait to be stored, over all tables, against one bound."""

    def __init__(self, *, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._bytes = 0

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait now, those that are being inserted included."""
        return self._bytes

    def enter(self, size_bytes: int) -> bool:
        """Take room for a body; False when there is none."""
        with self._lock:
            if self._bytes + size_bytes > self.limit_bytes:
                return False
            self._bytes += size_bytes
            return True

    def leave(self, size_bytes: int) -> None:
        """Give the room of a body back."""
        with self._lock:
            self._bytes -= size_bytes


@dataclass(kw_only=True)
class Counts:
    """What became of the appends of a table, since the store was opened."""

    rows: int = 0
    bytes: int = 0
    batches: int = 0
    refused_full: int = 0
    refused_invalid: int = 0
    refused_engine: int = 0
    insert_seconds: float = 0.0


class Writer:
    """One thread that inserts what arrives for one table in one encoding.

    An append that comes when the table was quiet for `GATHER_SECONDS` is inserted at once. Else
    inserts begin at least that far apart, and what arrives in between goes together: an insert
    costs about 5 ms of processor time however few rows it has, so this bounds what single rows can
    cost (to a quarter of one core, where inserting each at once took a whole one at 200 a second).
    Nothing is waited for once enough has arrived to be worth an insert, nor for the next append of
    a caller who is alone (the last insert held one append, and none came during it): as it waits
    for each answer, pausing would save no insert. An insert goes into every roll-up that is on
    insert too, so that as many times as long is gathered.
    """

    def __init__(
        self, engine: Engine, table: Table, encoding: Encoding, *, room: WaitingRoom, counts: Counts
    ) -> None:
        self._table = table
        self._encoding = encoding
        self._room = room
        self._counts = counts
        self._waiting: deque[Waiting] = deque()
        self._waiting_bytes = 0
        self._inserts = 1 + sum(roll_up.on_insert for roll_up in table.roll_ups)
        self._changed = threading.Condition()
        self._closing = False
        self._was_alone = False
        self._inserter: Inserter = engine.inserter()
        self._thread = threading.Thread(target=self._run, name=f"columns-{table.name}", daemon=True)
        self._thread.start()

    def put(self, body: bytes, *, rows: int) -> "Future[None]":
        """Let the body wait for the next insert. Raises Full or EngineRefused at once."""
        waiting = Waiting(body=body, rows=rows, done=Future())
        if not self._room.enter(len(body)):
            self._counts.refused_full += 1
            raise Full(
                "More data is waiting to be stored than fits; send it again in a moment.",
                retry_after_seconds=FULL_RETRY_AFTER_SECONDS,
            )
        with self._changed:
            if self._closing:
                self._room.leave(len(body))
                raise EngineRefused("The column store is closed; send it again after the restart.")
            self._waiting.append(waiting)
            self._waiting_bytes += len(body)
            if len(self._waiting) == 1 or self._is_worth_an_insert:
                self._changed.notify()
        return waiting.done

    def close(self) -> None:
        """Insert what waits, then end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._inserter.close()

    @property
    def is_running(self) -> bool:
        """Whether appends are still taken; a bug in here ends the writer, and a new one begins."""
        return not self._closing

    @property
    def _is_worth_an_insert(self) -> bool:
        return self._waiting_bytes >= WORTH_AN_INSERT_BYTES * self._inserts

    def _run(self) -> None:
        begin = 0.0
        while self._wait_for_work(until=begin):
            begin = time.monotonic() + GATHER_SECONDS * self._inserts
            batch = self._take_batch()
            try:
                self._store(batch)
            except BaseException:
                self._give_up(batch)
                raise
            if self._was_alone:
                begin = 0.0

    def _give_up(self, batch: Sequence[Waiting]) -> None:
        """End by a bug, but leave nobody waiting for ever."""
        with self._changed:
            self._closing = True
        left = [*batch, *self._take_batch(everything=True)]
        self._finish(left, refusal=lambda: EngineRefused("The insert broke; send it again later."))

    def _wait_for_work(self, *, until: float) -> bool:
        """Sleep until there is a batch; False when there is none and never will be."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            while not self._closing and not self._is_worth_an_insert:
                left_seconds = until - time.monotonic()
                if left_seconds <= 0:
                    break
                self._changed.wait(left_seconds)
            return bool(self._waiting)

    def _take_batch(self, *, everything: bool = False) -> list[Waiting]:
        """Take the oldest appends up to the bounds of a batch, and always one at least.

        Whoever stopped waiting is left out, and so is not stored.
        """
        batch: list[Waiting] = []
        size_bytes = rows = 0
        with self._changed:
            while self._waiting:
                first = self._waiting[0]
                size_bytes += len(first.body)
                rows += first.rows
                is_full = size_bytes > BATCH_BYTES or rows > BATCH_ROWS
                if batch and is_full and not everything:
                    break
                self._waiting.popleft()
                self._waiting_bytes -= len(first.body)
                if first.done.set_running_or_notify_cancel():
                    batch.append(first)
                else:
                    self._room.leave(len(first.body))
        return batch

    def _store(self, batch: Sequence[Waiting]) -> None:
        """Insert the batch; when its data is at fault, store all of it but the offenders.

        A refusal by the engine fails the whole batch at once. Nothing is kept to be tried again, as
        that would only move the queue from the senders into this process.
        """
        if not batch:
            return
        try:
            self._insert(batch)
        except EngineError as error:
            if error.fault is Fault.ENGINE or len(batch) == 1:
                cause = error
                self._finish(
                    batch, refusal=lambda: refusal_of_append(cause, table=self._table.name)
                )
                return
            middle = len(batch) // 2
            self._store(batch[:middle])
            self._store(batch[middle:])
        else:
            self._counts.batches += 1
            self._finish(batch)

    def _insert(self, batch: Sequence[Waiting]) -> None:
        separator = self._encoding.separator
        pieces: list[bytes] = []
        for waiting in batch:
            pieces.append(waiting.body)
            if not waiting.body.endswith(separator):
                pieces.append(separator)
        began = time.monotonic()
        try:
            self._inserter.insert(self._table, self._encoding, b"".join(pieces))
        finally:
            self._counts.insert_seconds += time.monotonic() - began
            # Asked before the caller is answered, who may come with the next append at once.
            self._was_alone = len(batch) == 1 and not self._waiting

    def _finish(
        self, batch: Sequence[Waiting], *, refusal: Callable[[], Problem] | None = None
    ) -> None:
        """Let the callers go on; each gets a refusal of its own, as it grows a traceback."""
        for waiting in batch:
            if waiting.done.done():
                continue  # answered before a bug broke the rest of its batch
            self._room.leave(len(waiting.body))
            if refusal is None:
                self._counts.rows += waiting.rows
                self._counts.bytes += len(waiting.body)
                waiting.done.set_result(None)
                continue
            problem = refusal()
            if isinstance(problem, EngineRefused):
                self._counts.refused_engine += 1
            else:
                self._counts.refused_invalid += 1
            waiting.done.set_exception(problem)
