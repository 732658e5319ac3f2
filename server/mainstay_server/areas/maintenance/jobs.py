"""What maintenance does at set times: say what nears, begins and ends."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.kernel.jobs import job

from .service import telling


@job(every=timedelta(seconds=30), at_start=True)
def tell_windows(session: Session, *, now: datetime) -> int:
    """Say of each window that it nears, has begun or has ended, at most half a minute late."""
    return telling.tell_due(session, now=now)
