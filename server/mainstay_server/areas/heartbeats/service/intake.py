"""The intake: reports wait for a moment and are then stored together, in one transaction."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from mainstay_server.areas.heartbeats.schemas.reports import Report, Result
from mainstay_server.areas.heartbeats.settings import HeartbeatSettings
from mainstay_server.kernel import clock, database, settings
from mainstay_server.kernel.problems import Problem, TooManyRequests, Unavailable

from .recording import record_reports

log = logging.getLogger(__name__)

BATCH_REPORTS = 1_000
GATHER_SECONDS = 0.005
MIB = 1 << 20
OVERHEAD_BYTES = 1_000  # what a report takes in memory beside its body
TRY_AGAIN_SECONDS = 2.0


class Full(TooManyRequests):
    """More reports wait to be stored than the waiting room holds."""

    code = "heartbeats-full"


@dataclass(slots=True, eq=False)
class Arrived:
    """A report whose sender waits."""

    report: Report
    loop: asyncio.AbstractEventLoop
    done: "asyncio.Future[Result]"
    result: Result | None = None
    refusal: Problem | None = None


class Intake:
    """One thread that stores the reports of this process.

    A report that comes to a quiet intake is stored at once. While a batch is stored the next one
    gathers, so that under load one transaction carries hundreds of reports: a transaction costs
    some milliseconds, a report in it some hundredths of one. What was answered is committed.
    """

    def __init__(self, *, waiting_bytes: int, kept: int) -> None:
        self.engine: Engine = database.engine()
        self._limit_bytes = waiting_bytes
        self._kept = kept
        self._waiting: deque[Arrived] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="heartbeats-intake", daemon=True)
        self._thread.start()

    def record(self, report: Report) -> "asyncio.Future[Result]":
        """Record one report; done means committed.

        Raises `Full` at once when too much waits; the future raises `Unavailable` when it could
        not be stored for now.
        """
        loop = asyncio.get_running_loop()
        arrived = Arrived(report, loop, loop.create_future())
        size = len(report.body) + OVERHEAD_BYTES
        with self._changed:
            if self._closing:
                raise Unavailable("The server is stopping; send it again.", retry_after_seconds=2)
            if self._waiting_bytes + size > self._limit_bytes:
                raise Full(
                    "More reports wait to be stored than fit; send it again in a moment.",
                    retry_after_seconds=TRY_AGAIN_SECONDS,
                )
            self._waiting.append(arrived)
            self._waiting_bytes += size
            if len(self._waiting) == 1:
                self._changed.notify()
        return arrived.done

    @property
    def is_running(self) -> bool:
        """Whether reports are still taken."""
        return not self._closing and self._thread.is_alive()

    def close(self) -> None:
        """Store what waits, then end."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                self._store(batch)
            except BaseException:
                self._give_up(batch)
                raise
            _answer(batch)
            if len(batch) > 1:
                time.sleep(GATHER_SECONDS)

    def _give_up(self, batch: list[Arrived]) -> None:
        """End by a bug, but leave nobody waiting for ever; the next report begins another."""
        with self._changed:
            self._closing = True
            left = [*batch, *self._waiting]
            self._waiting.clear()
        for arrived in left:
            arrived.refusal = _not_now()
        _answer(left)

    def _next_batch(self) -> list[Arrived]:
        """The oldest reports that wait; empty when there are none and none will come."""
        batch: list[Arrived] = []
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            while self._waiting and len(batch) < BATCH_REPORTS:
                first = self._waiting.popleft()
                self._waiting_bytes -= len(first.report.body) + OVERHEAD_BYTES
                batch.append(first)
        return batch

    def _store(self, batch: Sequence[Arrived]) -> None:
        """Store a batch; when something about it is wrong, each report by itself."""
        try:
            results = self._record([arrived.report for arrived in batch])
        except Problem as problem:
            for arrived in batch:
                arrived.refusal = Unavailable(
                    problem.detail, retry_after_seconds=problem.retry_after_seconds
                )
        except (SQLAlchemyError, ValueError, ArithmeticError):
            if len(batch) == 1:
                log.exception("a report could not be recorded")
                batch[0].refusal = _not_now()
                return
            for arrived in batch:
                self._store([arrived])
        else:
            for arrived, result in zip(batch, results, strict=True):
                arrived.result = result

    def _record(self, reports: Sequence[Report]) -> list[Result]:
        with database.transaction() as session:
            return record_reports(session, reports, kept=self._kept, now=clock.utc_now())


class _Open:
    """The intake of this process, begun by its first report."""

    intake: Intake | None = None
    lock = threading.Lock()


def intake() -> Intake:
    """The intake of this process; a new one when there is none yet or the database is another."""
    found = _Open.intake
    if found is not None and found.is_running and found.engine is database.engine():
        return found
    with _Open.lock:
        found = _Open.intake
        if found is None or not found.is_running or found.engine is not database.engine():
            if found is not None:
                found.close()
            options = settings.of(HeartbeatSettings)
            found = _Open.intake = Intake(
                waiting_bytes=options.heartbeats_waiting_mib * MIB,
                kept=options.heartbeats_pings_kept,
            )
        return found


def close_intake() -> None:
    """Store what waits and end the intake; the next report begins another."""
    with _Open.lock:
        if _Open.intake is not None:
            _Open.intake.close()
        _Open.intake = None


def _not_now() -> Unavailable:
    """A refusal for one sender: each gets its own, as it grows a traceback."""
    return Unavailable(
        "The report could not be stored for now; send it again later.",
        retry_after_seconds=TRY_AGAIN_SECONDS,
    )


def _answer(batch: Sequence[Arrived]) -> None:
    """Let the senders of a batch go on, with one wake-up of each event loop."""
    loops = {arrived.loop for arrived in batch}
    for loop in loops:
        mine = [arrived for arrived in batch if arrived.loop is loop]
        if not loop.is_closed():
            loop.call_soon_threadsafe(_finish, mine)


def _finish(batch: Sequence[Arrived]) -> None:
    for arrived in batch:
        if arrived.done.done():
            continue  # its sender went away
        if arrived.refusal is not None:
            arrived.done.set_exception(arrived.refusal)
        elif arrived.result is not None:
            arrived.done.set_result(arrived.result)
