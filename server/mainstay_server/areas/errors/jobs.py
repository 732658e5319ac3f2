"""What errors do by the clock: finish after crashes, and bring ignored issues back in time."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.kernel.jobs import job

from .service import finishing, issues


@job(every=timedelta(minutes=1), in_transaction=False, at_start=True)
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
