"""What mail does at set times: send reports, and forget what is old."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.kernel.jobs import job

from .service import delivering, reports, sending


@job(every=timedelta(minutes=5), in_transaction=False, is_long=True)
def send_reports(*, now: datetime) -> int:
    """Send the weekly and monthly reports that are due, one for each person and period."""
    return reports.send_due(now=now)


@job(cron="50 3 * * *", task="cleanup")
def forget_old_emails(session: Session, *, now: datetime) -> int:
    """Forget what sent mails said, old mails, old reports, and keys that are over."""
    sending.forget_requests(session, now=now)
    reports.forget_sent(session, now=now)
    return delivering.forget_old(session, now=now)
