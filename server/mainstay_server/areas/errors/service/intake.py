"""The intake: error events wait for a moment, and are then stored together."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from uuid import uuid4

from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from mainstay_server.areas.errors.columns import ERROR_EVENTS
from mainstay_server.areas.errors.models import IntakeName
from mainstay_server.areas.errors.settings import MIB, ErrorsSettings
from mainstay_server.kernel import clock, columns, database, settings
from mainstay_server.kernel.leases import this_process
from mainstay_server.kernel.problems import Invalid, Problem, TooManyRequests, Unavailable
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.senders import Sender, instance_for

from .counting import Counting
from .decoding import decode_event
from .framing import normal_event_id
from .kinds import Kinds
from .rows import Row, encode_rows, row_of

log = logging.getLogger(__name__)

BATCH_EVENTS = 2_000
BATCH_BYTES = 8 * MIB
GATHER_SECONDS = 0.04
WORTH_A_BATCH_BYTES = 4 * MIB
"""A batch costs about 10 ms of processor time however small it is, as much as storing 2 MiB: how
many events share it decides what an event costs. From this size on it is not worth waiting for."""

MOST_IDS_REMEMBERED = 100_000
REMEMBERED_ACROSS_RESTARTS = timedelta(minutes=10)
NAME_KEPT = timedelta(days=1)
FULL_RETRY_AFTER_SECONDS = 2.0
BROKEN_RETRY_AFTER_SECONDS = 5.0


@dataclass(slots=True, eq=False)
class Arrived:
    """An error event whose sender waits; `event_id` is empty when the payload's own counts."""

    sender: Sender
    event_id: str
    payload: bytes
    received_at: datetime
    loop: asyncio.AbstractEventLoop
    done: "asyncio.Future[None]"
    refusal: Problem | None = None


Stored = tuple[Arrived, Row, InstanceRef]


class Full(TooManyRequests):
    """More events wait to be stored than the waiting room holds."""

    code = "errors-full"


class Intake:
    """One thread that stores the error events of this process.

    A batch is decoded and grouped, inserted into the columns and answered; `Counting` folds it into
    the counts a moment later. An event that comes to a quiet intake goes at once, and so do those
    of a sender who is alone. Under load a batch begins when as many wait as were answered with the
    last one or waited behind it, and `GATHER_SECONDS` later at most: senders who wait for their
    answers send the next event then. Else 200 of them fall into two groups that wait for each
    other, every batch has half the size, and an event costs a third more processor time.

    The process may die anywhere in between. Before the insert nothing was answered and nothing is
    there. After it, `finish_crashed` finds the rows by the intake's name and the batch's number
    and folds them, once. When an insert or fold fails while the process lives, the intake takes a
    new name, so that the order within a name holds and the same job finishes the old one.
    """

    def __init__(self, *, waiting_bytes: int) -> None:
        self.engine: Engine = database.engine()
        self._limit_bytes = waiting_bytes
        self._waiting: deque[Arrived] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._expected_events = 0
        self._closing = False
        self._owner = str(this_process())
        self._recent: dict[str, None] | None = None
        self._kinds = Kinds()
        self._take_new_name(clock.utc_now())
        self._counting = Counting(owner=self._owner, broke=self._stop_taking)
        self._thread = threading.Thread(target=self._run, name="errors-intake", daemon=True)
        self._thread.start()

    def store(
        self, sender: Sender, payload: bytes, *, event_id: str, received_at: datetime
    ) -> "asyncio.Future[None]":
        """Store one error event; done means that it will be counted too, whatever happens.

        An id that was stored for the project before is taken for a repetition and changes nothing.

        Raises `Full` at once when too much waits, `Invalid` when it is no JSON object, and
        `Unavailable` when it could not be stored for now.
        """
        loop = asyncio.get_running_loop()
        arrived = Arrived(sender, event_id, payload, received_at, loop, loop.create_future())
        self._put(arrived)
        return arrived.done

    @property
    def is_running(self) -> bool:
        """Whether events are still taken."""
        return not self._closing

    def close(self) -> None:
        """Store and count what waits, then end."""
        self._stop_taking()
        self._thread.join()
        self._counting.close()

    def wait_until_counted(self) -> None:
        """Return when all events whose senders were answered are in the counts."""
        self._counting.wait_until_counted()

    def _stop_taking(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()

    def _put(self, arrived: Arrived) -> None:
        with self._changed:
            if self._closing:
                raise Unavailable("The server is stopping; send it again.", retry_after_seconds=2)
            if self._waiting_bytes + len(arrived.payload) > self._limit_bytes:
                raise Full(
                    "More error events wait to be stored than fit; send it again in a moment.",
                    retry_after_seconds=FULL_RETRY_AFTER_SECONDS,
                )
            self._waiting.append(arrived)
            self._waiting_bytes += len(arrived.payload)
            if len(self._waiting) == 1 or self._is_worth_a_batch():
                self._changed.notify()

    def _run(self) -> None:
        begin = 0.0
        while self._wait_for_work(until=begin):
            self._counting.wait_for_room()
            batch = self._take()
            try:
                self._store(batch)
            except BaseException as bug:
                self._give_up(batch, bug)
                raise
            self._answer(batch)
            begin = time.monotonic() + GATHER_SECONDS

    def _give_up(self, batch: Sequence[Arrived], bug: BaseException) -> None:
        """End by a bug, but leave nobody waiting for ever."""
        with self._changed:
            self._closing = True
            left = [*batch, *self._waiting]
            self._waiting.clear()
        self._refuse(left, bug)
        self._answer(left)

    def _wait_for_work(self, *, until: float) -> bool:
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            while not self._closing and not self._is_worth_a_batch():
                left_seconds = until - time.monotonic()
                if left_seconds <= 0:
                    break
                self._changed.wait(left_seconds)
            return bool(self._waiting)

    def _is_worth_a_batch(self) -> bool:
        everybody = len(self._waiting) >= self._expected_events
        return everybody or self._waiting_bytes >= WORTH_A_BATCH_BYTES

    def _take(self) -> list[Arrived]:
        batch: list[Arrived] = []
        size_bytes = 0
        with self._changed:
            while self._waiting and len(batch) < BATCH_EVENTS and size_bytes < BATCH_BYTES:
                first = self._waiting.popleft()
                size_bytes += len(first.payload)
                batch.append(first)
        return batch

    def _store(self, batch: Sequence[Arrived]) -> None:
        recent = self._recent_ids()
        rows: list[Stored] = []
        here: dict[str, None] = {}
        for arrived in batch:
            try:
                row, instance = _row_of(arrived)
            except (Problem, SQLAlchemyError) as error:
                arrived.refusal = error if isinstance(error, Problem) else _refusal_of(error)
                continue
            key = row.project_id + row.event_id
            if key not in recent and key not in here:
                here[key] = None
                rows.append((arrived, row, instance))
        if rows:
            self._store_rows(rows)
            self._remember(
                row.project_id + row.event_id for arrived, row, _ in rows if not arrived.refusal
            )

    def _store_rows(self, rows: Sequence[Stored]) -> None:
        """Insert, and have it counted; a row that the engine will not have is refused alone."""
        now = clock.utc_now()
        try:
            self._kinds.divert((row for _, row, _ in rows), now=now)
            self._number_batch(rows, now)
            columns.append_blocking(
                ERROR_EVENTS, encode_rows([row for _, row, _ in rows]), rows=len(rows)
            )
            self._counting.add(
                self._name, self._number, ((row, instance) for _, row, instance in rows)
            )
        except Invalid as problem:
            if len(rows) == 1:
                rows[0][0].refusal = problem
                return
            self._store_rows(rows[: len(rows) // 2])
            self._store_rows(rows[len(rows) // 2 :])
        except (Problem, SQLAlchemyError) as error:
            log.warning("a batch of error events was not stored: %s", error)
            self._refuse([arrived for arrived, _, _ in rows], error)
            self._take_new_name(now)

    def _number_batch(self, rows: Sequence[Stored], now: datetime) -> None:
        """Give the batch its number; the database knows the name before its first batch is there.

        A name is not kept for ever, as names that nobody uses are forgotten.
        """
        if now - self._named_at > NAME_KEPT or self._counting.is_broken(self._name):
            self._take_new_name(now)
        if self._number == 0:
            with database.transaction() as session:
                session.add(IntakeName(id=self._name, owner=self._owner, folded=0, folded_at=now))
        self._number += 1
        for _, row, _ in rows:
            row.intake, row.batch = self._name, self._number

    def _take_new_name(self, now: datetime) -> None:
        self._name, self._number, self._named_at = database.new_id(), 0, now

    def _refuse(self, batch: Sequence[Arrived], error: BaseException) -> None:
        for arrived in batch:
            if arrived.refusal is None:
                arrived.refusal = _refusal_of(error)

    def _answer(self, batch: Sequence[Arrived]) -> None:
        with self._changed:
            self._waiting_bytes -= sum(len(arrived.payload) for arrived in batch)
            self._expected_events = len(batch) + len(self._waiting)
        by_loop: dict[asyncio.AbstractEventLoop, list[Arrived]] = {}
        for arrived in batch:
            by_loop.setdefault(arrived.loop, []).append(arrived)
        for loop, group in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_finish, group)

    def _recent_ids(self) -> dict[str, None]:
        if self._recent is None:
            since = clock.utc_now() - REMEMBERED_ACROSS_RESTARTS
            found = columns.query(
                "SELECT concat(project_id, event_id) AS id FROM error_events"
                " WHERE received_at >= {since:DateTime64(3)} ORDER BY received_at DESC"
                " LIMIT {most:UInt32}",
                since=since,
                most=MOST_IDS_REMEMBERED,
            )
            self._recent = {row["id"]: None for row in reversed(found)}
        return self._recent

    def _remember(self, keys: Iterable[str]) -> None:
        recent = self._recent_ids()
        recent.update(dict.fromkeys(keys))
        for oldest in list(islice(recent, max(0, len(recent) - MOST_IDS_REMEMBERED))):
            del recent[oldest]


class _Open:
    """The intake of this process, begun by its first event."""

    intake: Intake | None = None
    lock = threading.Lock()


def intake() -> Intake:
    """The intake of this process; a new one when there is none yet or it was ended by a bug."""
    found = _Open.intake
    if found is not None and found.is_running and found.engine is database.engine():
        return found
    with _Open.lock:
        found = _Open.intake
        if found is None or not found.is_running or found.engine is not database.engine():
            if found is not None:
                found.close()
            limit = settings.of(ErrorsSettings).errors_waiting_mib * MIB
            found = _Open.intake = Intake(waiting_bytes=limit)
        return found


def close_intake() -> None:
    """Store what waits and end the intake; the next event begins another."""
    with _Open.lock:
        if _Open.intake is not None:
            _Open.intake.close()
        _Open.intake = None


def _row_of(arrived: Arrived) -> tuple[Row, InstanceRef]:
    event, payload = decode_event(arrived.payload)
    event_id = arrived.event_id or normal_event_id(event.event_id) or uuid4().hex
    instance = instance_for(arrived.sender, event.environment or "")
    row = row_of(
        event, payload, event_id=event_id, instance=instance, received_at=arrived.received_at
    )
    return row, instance


def _refusal_of(error: BaseException) -> Problem:
    """A refusal for one sender: each gets its own, as it grows a traceback."""
    if isinstance(error, columns.EngineRefused | Unavailable):
        seconds = error.retry_after_seconds or BROKEN_RETRY_AFTER_SECONDS
        return Unavailable(error.detail, retry_after_seconds=seconds)
    return Unavailable(
        "The event could not be stored for now; send it again later.",
        retry_after_seconds=BROKEN_RETRY_AFTER_SECONDS,
    )


def _finish(batch: Sequence[Arrived]) -> None:
    for arrived in batch:
        if arrived.done.done():
            continue  # its sender went away
        if arrived.refusal is None:
            arrived.done.set_result(None)
        else:
            arrived.done.set_exception(arrived.refusal)
