"""What errors do by the clock: finish after crashes, and bring ignored issues back in time."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from mainstay_server.kernel.area import Loop, StopSignal
from mainstay_server.kernel.jobs import job

from .service import finishing, issues
from .service.intake import close_intake


@job(every=timedelta(seconds=20), in_transaction=False, at_start=True)
def finish_crashed(*, now: datetime) -> None:
    """Count what was stored right before a crash."""
    finishing.finish_crashed(now=now)


@job(every=timedelta(hours=6), task="cleanup")
def forget_intakes(session: Session, *, now: datetime) -> None:
    """Forget the names of intakes that ended long ago."""
    finishing.forget_names(session, now=now)


@job(every=timedelta(minutes=1))
def reopen_due(session: Session, *, now: datetime) -> None:
    """Reopen what was ignored until now."""
    issues.reopen_due(session, now=now)


async def _end_in_order(stop: StopSignal) -> None:
    """Wait for the end, then store and count what waits: no crash has to be mended after a stop."""
    await stop.wait()
    await run_in_threadpool(close_intake)


intake_end = Loop(name="error-intake", role="web", run=_end_in_order)
