"""What quotas do at set times: forget which reports were counted."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.kernel.jobs import job

from .service import counting


@job(cron="25 3 * * *", task="cleanup")
def forget_counted_reports(session: Session, *, now: datetime) -> int:
    """Forget which reports were counted more than a week ago."""
    return counting.forget_batches(session, now=now)
