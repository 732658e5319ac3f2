"""What objectives do at set times: judge each, and let old sums go."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.jobs import job

from .service import judging, measuring


@job(every=timedelta(minutes=1), in_transaction=False)
def judge_objectives(*, now: datetime) -> int:
    """Judge every objective, each in a transaction of its own; returns how many."""
    with reading() as session:
        ids = judging.due(session, now=now)
    for objective_id in ids:
        with transaction() as session:
            judging.judge_one(session, objective_id, now=now)
    return len(ids)


@job(cron="50 3 * * *", task="cleanup")
def forget_hours(session: Session, *, now: datetime) -> None:
    """Let go of hourly sums of requests that no period and no report reaches."""
    measuring.forget_hours(session, now=now)
