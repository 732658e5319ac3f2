"""Asking: one turn of a check, with the second try that tells a lost packet from an outage."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime

from mainstay_server.areas.health_checks.models import HealthState
from mainstay_server.areas.health_checks.providers import OVERHEAD_SECONDS, PROVIDERS
from mainstay_server.areas.health_checks.schemas.orders import (
    Finished,
    ProbeOrder,
    ProbeResult,
)

from .judging import judged, with_domain
from .rooms import Rooms
from .uplink import Uplink

Clock = Callable[[], datetime]
STALLED_SECONDS = 3.0


async def ask_once_confirmed(
    order: ProbeOrder,
    *,
    clock: Clock,
    confirm_seconds: float,
    rooms: Rooms | None = None,
    uplink: Uplink | None = None,
) -> Finished:
    """Ask, and ask a failure once more after a moment unless the app is known to be down.

    The pause is at most a quarter of the interval. The result dates from the first try, unless
    that one was inconclusive: then nobody was watching until the second. Each try holds a place
    in the room of its host, the pause between them does not. A failure while our own uplink is down
    says nothing about the app.
    """
    began = time.monotonic()
    at, result = await _ask(order, clock=clock, rooms=rooms)
    tries = 1
    if not result.conclusive or (
        result.state == HealthState.UNHEALTHY and order.state != HealthState.UNHEALTHY
    ):
        await asyncio.sleep(min(confirm_seconds, order.interval_seconds / 4))
        again, tries, began = result.conclusive, 2, time.monotonic()
        second_at, result = await _ask(order, clock=clock, rooms=rooms)
        at = at if again else second_at
    failed = result.conclusive and result.state == HealthState.UNHEALTHY
    lost = failed and uplink is not None and not await uplink.is_up(after=began)
    return Finished(
        order=order,
        at=at,
        finished_at=clock(),
        result=result if result.conclusive and not lost else None,
        tries=tries,
        uplink_down=lost,
        why_not=_why_not(result, lost=lost),
    )


def _why_not(result: ProbeResult, *, lost: bool) -> str:
    if lost:
        return "not known: our own uplink is down"
    return "" if result.conclusive else result.reason


async def ask_all(
    orders: Sequence[ProbeOrder],
    *,
    clock: Clock,
    confirm_seconds: float,
    at_once: int,
    per_host: int = 10,
    uplink: Uplink | None = None,
) -> list[Finished]:
    """Ask many now, so many at once in all and of one host; in the order of the orders."""
    room, rooms = asyncio.Semaphore(at_once), Rooms(per_host=per_host)

    async def ask_in_room(order: ProbeOrder) -> Finished:
        async with room:
            return await ask_once_confirmed(
                order,
                clock=clock,
                confirm_seconds=confirm_seconds,
                rooms=rooms,
                uplink=uplink,
            )

    return list(await asyncio.gather(*(ask_in_room(order) for order in orders)))


async def _ask(
    order: ProbeOrder, *, clock: Clock, rooms: Rooms | None
) -> tuple[datetime, ProbeResult]:
    """Ask once, and say since when. A try that took much longer than it may is inconclusive.

    It says that this process was stopped or starved meanwhile, which is no fault of the app.
    """
    async with rooms.one_at(order.host) if rooms is not None else nullcontext():
        began = clock()
        result = await PROVIDERS[order.kind].ask(order)
        result = await with_domain(order, result)
    took = (clock() - began).total_seconds()
    allowed = order.timeout_seconds + STALLED_SECONDS + OVERHEAD_SECONDS.get(order.kind, 0.0)
    if took > allowed:
        result = replace(result, conclusive=False, reason="not asked: this process was stopped")
    return began, judged(order, result, now=began)
