"""What incidents do at set times: forget what was long ago."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.kernel.jobs import job
from mainstay_server.kernel.settings import of

from .service import listing
from .settings import IncidentKeeping


@job(cron="50 3 * * *", task="cleanup")
def forget_old_incidents(session: Session, *, now: datetime) -> int:
    """Delete incidents that were resolved long ago, with their timelines and postmortems."""
    keep = timedelta(days=of(IncidentKeeping).incidents_keep_days)
    return listing.forget_resolved(session, before=now - keep)
