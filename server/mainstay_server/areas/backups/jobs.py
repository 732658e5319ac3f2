"""What backups do at set times."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.kernel.jobs import job

from .service import keeping


@job(every=timedelta(hours=1), task="cleanup", in_transaction=False)
def remove_old_backups(*, now: datetime) -> None:
    """Remove the copies of backups that no rule of retention keeps any more."""
    keeping.remove_old(now=now)


@job(cron="41 3 * * *", task="cleanup")
def forget_old_runs(session: Session, *, now: datetime) -> None:
    """Forget runs of more than 400 days ago of which no copy is left."""
    keeping.forget_history(session, now=now)
