"""What on call does at set times: the next steps, calendars of elsewhere, forgetting."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.kernel.jobs import job

from .service import calendars, escalating, telling


@job(every=timedelta(seconds=5))
def advance_escalations(session: Session, *, now: datetime) -> int:
    """Take the steps whose time has come, at most five seconds late, each once."""
    moved = escalating.advance_due(session, now=now)
    telling.flush_gathered(session, now=now)
    return moved


@job(every=timedelta(minutes=1), in_transaction=False, is_long=True)
def read_calendars(*, now: datetime) -> int:
    """Fetch and read the calendars of elsewhere that are due; each every 15 minutes."""
    return calendars.read_due(now=now)


@job(every=timedelta(hours=6), task="cleanup")
def forget_old_escalations(session: Session, *, now: datetime) -> int:
    """Forget escalations that ended over 400 days ago."""
    return escalating.forget_old(session, now=now)
