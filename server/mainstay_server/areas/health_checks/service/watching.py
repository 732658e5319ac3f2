"""The watch: claims turns, asks each at its moment, and writes down a second's results at once."""

import asyncio
import logging
import math
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from mainstay_server.areas.health_checks.columns import HEALTH_RESULTS
from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.schemas.orders import Finished, ProbeOrder
from mainstay_server.areas.health_checks.settings import HealthCheckSettings
from mainstay_server.kernel import columns, leases
from mainstay_server.kernel.area import StopSignal
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.watching import KNOWN

from .evidence import keep_screenshots
from .probing import Clock, ask_once_confirmed
from .pulse import pulse
from .recording import record_results, rows_of
from .rooms import Rooms
from .turns import (
    MOST_CLAIMED_AT_ONCE,
    claim_due,
    give_back,
    is_due,
    mend_future,
    release_dead_owners,
    renew,
)
from .uplink import Uplink
from .watchdog import Watchdog

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
MEND_SECONDS = 30.0
LOOK_AHEAD_SECONDS = 2.0  # turns are held before they begin, so a tick that is late delays none
SHORTEST_REST_SECONDS = 0.1
RENEW_SECONDS = 5.0
# A change of state costs about 4 ms on SQLite, whose write lock others wait for meanwhile; a
# result that changes nothing costs a hundredth of that.
MOST_CHANGED_AT_ONCE = 100
MOST_RECORDED_AT_ONCE = 2_000
EARLY_RESULTS = 100  # so many free places are filled before the second is over
CLOCK_JUMP_SECONDS = 2.0
GATHER_SECONDS = 5.0  # results that change nothing; a kill loses these rows, never a state
MOST_UNSTORED = 10_000


class Watch:
    """One process's part of the asking: what it holds, what it found and has not yet written.

    Once a second one exchange with the database records what was found and claims the turns of
    the next two, each of which then starts at its own moment. So a second costs one
    transaction, or none, however many results it has; and a target that hangs holds up nobody. An
    answer that changes what is known does not wait for the second to end.
    """

    def __init__(self, settings: HealthCheckSettings, *, clock: Clock) -> None:
        self._settings = settings
        self._grace_seconds = settings.health_checks_grace_seconds
        self._clock = clock
        self._owner = str(leases.this_process())
        self._asking: dict[str, asyncio.Task[Finished]] = {}
        self._fences: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._found: list[Finished] = []
        self._unstored: list[Finished] = []
        self._storing: asyncio.Task[None] | None = None
        self._stored = time.monotonic()
        self._renewed = time.monotonic()
        self._rooms = Rooms(per_host=settings.health_checks_per_host)
        self._uplink = Uplink(settings.uplink_targets)
        self._is_full = False
        self._pace = clock().timestamp() - time.monotonic()
        self._mended_until = -math.inf

    async def run(self, stop: StopSignal) -> None:
        """Watch until `stop` is set, then write down what was found and let go of the rest."""
        await asyncio.to_thread(_free_the_dead, self._clock())
        pulse.beat()
        try:
            with Watchdog(pulse):
                await self._tick_until(stop)
        finally:
            pulse.rest()
            await self._end()

    async def _tick_until(self, stop: StopSignal) -> None:
        while not stop.is_set():
            began = time.monotonic()
            await self._mind_the_clock()
            await self.tick()
            await self._rest(stop, TICK_SECONDS - (time.monotonic() - began))

    async def _mind_the_clock(self) -> None:
        """Where the clock was set back, bring back the turns that lie too far ahead now.

        Again for a while: what had been found before is recorded after, with turns that follow it.
        """
        pace = self._clock().timestamp() - time.monotonic()
        jumped, self._pace = pace - self._pace, pace
        if jumped < -CLOCK_JUMP_SECONDS:
            log.warning("health checks: the clock was set back by %.0f s", -jumped)
            self._mended_until = time.monotonic() + MEND_SECONDS
        if time.monotonic() < self._mended_until:
            await asyncio.to_thread(_free_the_dead, self._clock())

    async def _rest(self, stop: StopSignal, seconds: float) -> None:
        """Wait for the next second, or for an answer that changes what is known of an app."""
        await asyncio.sleep(SHORTEST_REST_SECONDS)
        wakers = [asyncio.ensure_future(w) for w in (stop.wait(), self._changed.wait())]
        await asyncio.wait(
            wakers,
            timeout=max(seconds - SHORTEST_REST_SECONDS, 0),
            return_when=asyncio.FIRST_COMPLETED,
        )
        for waker in wakers:
            waker.cancel()

    async def tick(self) -> None:
        """Exchange with the database once and begin what was claimed.

        When the database is away, nothing is lost: what was found waits for the next tick.
        """
        self._changed.clear()
        found = self._take_found()
        recorded = {one.order.check_id for one in found}
        # A copy made here: the exchange runs in a thread, and answers come in meanwhile.
        asked = {id_: fence for id_, fence in self._fences.items() if id_ not in recorded}
        try:
            counted, orders = await asyncio.to_thread(self._exchange, found, asked, self._clock())
        except (SQLAlchemyError, Problem):
            log.exception("health checks: the database did not take the results; trying again")
            self._found = found + self._found
            return
        pulse.beat(recorded=len(counted))
        self._keep(counted)
        for check_id in recorded:
            self._fences.pop(check_id, None)
        for order in orders:
            self._begin(order)

    def _take_found(self) -> list[Finished]:
        """What to record now: all that changes nothing, and so many changes as are quick."""
        taken: list[Finished] = []
        left: list[Finished] = []
        changes = 0
        for one in self._found:
            changes += _may_change(one)
            fits = changes <= MOST_CHANGED_AT_ONCE and len(taken) < MOST_RECORDED_AT_ONCE
            (taken if fits else left).append(one)
        self._found = left
        if left:
            self._changed.set()
        return taken

    def _exchange(
        self, found: Sequence[Finished], asked: Mapping[str, int], now: datetime
    ) -> tuple[list[Finished], list[ProbeOrder]]:
        until = now + timedelta(seconds=LOOK_AHEAD_SECONDS)
        room = self._settings.health_checks_at_once - len(asked)
        renewing = bool(asked) and time.monotonic() - self._renewed > RENEW_SECONDS
        if not found and not renewing and not _is_anything_due(until=until, now=now):
            return [], []
        with transaction() as session:
            counted = record_results(session, found, grace_seconds=self._grace_seconds)
            session.flush()
            if renewing:
                renew(session, asked, now=now)
                self._renewed = time.monotonic()
            if room <= 0:
                self._is_full = True
                return counted, []
            orders = claim_due(session, until=until, now=now, owner=self._owner, limit=room)
            self._is_full = len(orders) >= min(room, MOST_CLAIMED_AT_ONCE)
            return counted, orders

    def _begin(self, order: ProbeOrder) -> None:
        assert order.fence is not None, "what is claimed has a fence"
        self._fences[order.check_id] = order.fence
        before = self._asking.get(order.check_id)
        if before is not None:
            # Its lease ran out while it was asked (a starved process): the new turn counts.
            before.cancel()
        task = asyncio.create_task(self._ask(order))
        self._asking[order.check_id] = task
        task.add_done_callback(lambda done: self._asked(order, done))

    async def _ask(self, order: ProbeOrder) -> Finished:
        ahead_seconds = (order.at - self._clock()).total_seconds()
        # Never longer than it was claimed ahead: the clock may have been set back since.
        await asyncio.sleep(min(max(0.0, ahead_seconds), LOOK_AHEAD_SECONDS))
        pulse.began(late_seconds=(self._clock() - order.at).total_seconds())
        return await ask_once_confirmed(
            order,
            clock=self._clock,
            confirm_seconds=self._settings.health_checks_confirm_seconds,
            rooms=self._rooms,
            uplink=self._uplink,
        )

    def _asked(self, order: ProbeOrder, task: asyncio.Task[Finished]) -> None:
        if self._asking.get(order.check_id) is task:
            del self._asking[order.check_id]
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            one = task.result()
            self._found.append(one)
            known = order.state in KNOWN
            early = self._is_full and len(self._found) >= EARLY_RESULTS
            if early or one.uplink_down or (known and one.result is not None and _may_change(one)):
                self._changed.set()
            return
        # A bug of a probe: no longer renewed, the turn is free again when its lease runs out.
        log.error("health check %s could not be asked", order.check_id, exc_info=error)
        self._fences.pop(order.check_id, None)

    def _keep(self, counted: Sequence[Finished]) -> None:
        """Store results beside the ticks: a column store that is slow must not delay a state.

        What changes nothing is gathered for a few seconds: an insert costs the same for one row
        as for a thousand.
        """
        self._unstored.extend(counted)
        if not self._unstored or (self._storing is not None and not self._storing.done()):
            return
        waited = time.monotonic() - self._stored
        if waited >= GATHER_SECONDS or any(_may_change(one) for one in counted):
            self._stored = time.monotonic()
            self._storing = asyncio.create_task(self._store())

    async def _store(self) -> None:
        batch, self._unstored = self._unstored, []
        try:
            await columns.append(HEALTH_RESULTS, rows_of(batch), rows=len(batch))
        except Problem as problem:
            # States are in the database already; the rows wait, at most 10,000 of them.
            log.warning("health checks: results wait to be stored: %s", problem.detail)
            self._unstored = (batch + self._unstored)[-MOST_UNSTORED:]
            return
        if any(one.result is not None and one.result.screenshot for one in batch):
            try:
                await asyncio.to_thread(keep_screenshots, batch)
            except (Problem, OSError):
                log.exception("health checks: what browsers showed could not be kept")

    async def _end(self) -> None:
        for task in list(self._asking.values()):
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        if self._storing is not None:
            await self._storing
        recorded = {one.order.check_id for one in self._found}
        given_back = {id_: f for id_, f in self._fences.items() if id_ not in recorded}
        self._unstored.extend(await asyncio.to_thread(self._finish, given_back))
        if self._unstored:
            await self._store()

    def _finish(self, given_back: dict[str, int]) -> list[Finished]:
        with transaction() as session:
            counted = record_results(session, self._found, grace_seconds=self._grace_seconds)
            give_back(session, given_back)
        self._found = []
        return counted


def _is_anything_due(*, until: datetime, now: datetime) -> bool:
    """Asked without a write lock, so that a second without a turn costs others nothing."""
    with reading() as session:
        due = sa.select(HealthCheck.id).where(is_due(until=until, now=now)).limit(1)
        return session.scalar(due) is not None


def _may_change(one: Finished) -> bool:
    return one.result is None or one.result.state != one.order.state


def _free_the_dead(now: datetime) -> None:
    with transaction() as session:
        release_dead_owners(session)
        mend_future(session, now=now)
