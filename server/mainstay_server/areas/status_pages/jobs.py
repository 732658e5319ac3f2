"""What is done at set times: automatic reports, snapshots, clearing; and the loop that keeps."""

import asyncio
import contextlib
from datetime import datetime, timedelta

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from mainstay_server.kernel import shared
from mainstay_server.kernel.area import Loop, StopSignal
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.jobs import job

from .service import automatic, keeping, snapshots, subscribers
from .service.changing import CHANNEL

LOOK_EVERY_SECONDS = 1.0


@job(every=timedelta(seconds=30))
def tend_reports(session: Session, *, now: datetime) -> None:
    """Open a report for what has been down for the minutes of its page; close it on recovery."""
    automatic.tend_reports(session, now=now)


@job(every=timedelta(minutes=1), in_transaction=False)
def write_snapshots(*, now: datetime) -> None:
    """Copy every published page that changed to the blobs, for when the database is away."""
    snapshots.write_snapshots(now=now)


@job(every=timedelta(hours=1), task="cleanup")
def remove_unconfirmed(session: Session, *, now: datetime) -> None:
    """Forget sign-ups that nobody confirmed in time, and subscribers that fail again and again."""
    subscribers.remove_unconfirmed(session, now=now)
    subscribers.remove_old_notices(session, now=now)


async def _keep(stop: StopSignal) -> None:
    """Every second, and at once when somebody says that a page changed."""
    loop, changed = asyncio.get_running_loop(), asyncio.Event()

    def wake(_page_id: bytes) -> None:
        loop.call_soon_threadsafe(changed.set)

    unsubscribe = shared.subscribe(CHANNEL, wake)
    try:
        while not stop.is_set():
            changed.clear()
            await run_in_threadpool(keeping.refresh, now=utc_now())
            waiting = [asyncio.ensure_future(each) for each in (stop.wait(), changed.wait())]
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(
                    waiting, timeout=LOOK_EVERY_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
            for each in waiting:
                each.cancel()
    finally:
        unsubscribe()


keep_pages = Loop(name="status_pages.keep", role="web", run=_keep)
