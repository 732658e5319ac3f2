"""What remediation does at set times: go on with what is due, forget what was long ago."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.kernel.jobs import job
from mainstay_server.kernel.settings import of

from .service import runs
from .settings import RemediationSettings


@job(every=timedelta(seconds=5), at_start=True)
def go_on_with_runs(session: Session, *, now: datetime) -> int:
    """Try again what is due, and give up what nobody fetched, reported or healed in its time."""
    return runs.tend(session, now=now)


@job(cron="55 3 * * *", task="cleanup")
def forget_old_runs(session: Session, *, now: datetime) -> int:
    """Delete runs that ended long ago, with their tries."""
    keep = timedelta(days=of(RemediationSettings).remediation_keep_days)
    return runs.forget_ended(session, before=now - keep)
