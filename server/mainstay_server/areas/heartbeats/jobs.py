"""Silence noticed, doors noted as open, and the intake ended in order."""

import asyncio
import logging
from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from mainstay_server.kernel.area import Loop, StopSignal
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.jobs import job
from mainstay_server.kernel.problems import Unavailable

from .service import overdue
from .service.intake import close_intake

log = logging.getLogger(__name__)

NOTE_EVERY_SECONDS = 2.0


@job(every=timedelta(seconds=5))
def mark_overdue_heartbeats(session: Session, *, now: datetime) -> None:
    """Mark who should have reported and did not, and say what was held back until now."""
    overdue.mark_overdue(session, now=now)
    overdue.tell_what_was_held(session, now=now)


async def _keep_doors_open(stop: StopSignal) -> None:
    while not stop.is_set():
        try:
            await run_in_threadpool(_note)
        except Unavailable:
            # Nobody can report while the database is away: that is the gap that the next note sees.
            log.warning("the database is away; what was due meanwhile will count as unknown")
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), timeout=NOTE_EVERY_SECONDS)
    await run_in_threadpool(close_intake)


def _note() -> None:
    with transaction() as session:
        overdue.note_doors_open(session, now=utc_now())


doors = Loop(name="heartbeats.doors", role="web", run=_keep_doors_open)
