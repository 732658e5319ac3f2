"""What the audit log does at set times: sign what is new, look at itself, remove what is old."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.kernel.jobs import job
from mainstay_server.kernel.settings import of

from .service import checkpoints, removing, verifying
from .settings import AuditSettings


@job(every=timedelta(minutes=1))
def sign_checkpoints(session: Session, *, now: datetime) -> int:
    """Sign every log that has rows which no checkpoint covers yet."""
    return checkpoints.sign_all(session, now=now)


@job(every=timedelta(minutes=1), in_transaction=False)
def verify_logs(*, now: datetime) -> int:
    """Verify whole each log that was not for six hours, and keep what was found."""
    return verifying.verify_due(now=now)


@job(every=timedelta(hours=1), task="cleanup")
def remove_old_rows(session: Session, *, now: datetime) -> int:
    """Remove rows that are older than they are to be kept, with a signed note of each removal."""
    keep = timedelta(days=of(AuditSettings).audit_keep_days)
    return removing.remove_old(session, before=now - keep, now=now)
