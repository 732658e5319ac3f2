"""What alerts do at set times: look at error rates, settle what is over, forget what is old."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.contracts.requests import count_requests
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.jobs import job
from mainstay_server.kernel.settings import of

from .service import conditions, guard_conditions, history, key_conditions, rules, silences
from .settings import AlertSettings


@job(every=timedelta(minutes=1), in_transaction=False)
def watch_error_rates(*, now: datetime) -> None:
    """Open and end alerts of failing requests.

    The column store is asked before the transaction begins, so that writers wait for no query. Run
    twice it finds what it opened and opens nothing again.
    """
    with reading() as session:
        windows = rules.windows_in_use(session)
    counts = {
        window: count_requests(since=now - timedelta(seconds=window), until=now)
        for window in sorted(windows)
    }
    with transaction() as session:
        conditions.judge_error_rates(session, counts, now=now)


@job(every=timedelta(minutes=5))
def settle_issue_alerts(session: Session, *, now: datetime) -> int:
    """End floods of issues that are over, and what stood for a day."""
    return conditions.settle_issues(session, now=now)


@job(every=timedelta(minutes=15))
def settle_key_reminders(session: Session, *, now: datetime) -> int:
    """End reminders about API keys that stood for a day."""
    return key_conditions.settle_reminders(session, now=now)


@job(every=timedelta(minutes=5))
def settle_limit_alerts(session: Session, *, now: datetime) -> int:
    """End alerts of rate limits that refused nobody for a while."""
    return guard_conditions.settle_limits(session, now=now)


@job(cron="40 3 * * *", task="cleanup")
def forget_old_alerts(session: Session, *, now: datetime) -> int:
    """Delete alerts that were resolved long ago, with their delivery history, and old silences."""
    keep = timedelta(days=of(AlertSettings).alerts_keep_days)
    silences.forget_ended(session, before=now - keep)
    return history.forget_resolved(session, before=now - keep)
