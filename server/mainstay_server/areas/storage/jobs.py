"""What storage does at set times: settle uploads, follow the stores, keep history, forget."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.kernel.blob_files import sweep_unfinished
from mainstay_server.kernel.jobs import job

from .providers.server import PREFIX
from .service import links, reconciling, uploads

UNFINISHED_STAY = timedelta(hours=1)
LINKS_KEPT = timedelta(days=7)


@job(every=timedelta(minutes=1), task="cleanup", in_transaction=False, at_start=True, is_long=True)
def settle_uploads(*, now: datetime) -> int:
    """Give back what was reserved and did not come; count what came unsaid."""
    return uploads.settle_uploads(now=now)


@job(every=timedelta(minutes=15), task="cleanup", in_transaction=False, is_long=True)
def reconcile(*, now: datetime) -> int:
    """Compare buckets with what their stores list, each every six hours."""
    return reconciling.reconcile_due(now=now)


@job(every=timedelta(minutes=15), task="cleanup", in_transaction=False, at_start=True, is_long=True)
def sweep(*, now: datetime) -> int:
    """Remove what crashed uploads left, untouched for an hour."""
    return sweep_unfinished(PREFIX, before=now - UNFINISHED_STAY)


@job(cron="50 3 * * *", task="cleanup", in_transaction=False, is_long=True)
def remove_lost_buckets(*, now: datetime) -> int:
    """Remove the bytes of buckets that went with their project or instance."""
    return reconciling.remove_lost_buckets(now=now)


@job(cron="55 23 * * *")
def record_day(session: Session, *, now: datetime) -> int:
    """Write down what each bucket holds today."""
    return reconciling.record_day(session, now=now)


@job(cron="35 3 * * *", task="cleanup")
def forget(session: Session, *, now: datetime) -> int:
    """Forget links and deleted files a week after their end."""
    return links.forget_links(session, before=now - LINKS_KEPT) + reconciling.forget_rows(
        session, now=now
    )
