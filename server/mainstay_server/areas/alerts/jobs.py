"""What alerts do at set times: tell what was gathered, look at error rates, settle and forget."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.contracts.requests import count_requests
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.jobs import job, last_finished
from mainstay_server.kernel.settings import of

from .service import (
    app_alerts,
    history,
    receiving,
    rules,
    silences,
)
from .service.measures import effective, judging, measuring
from .service.routing import flushing
from .service.triggers import error_rates, guard, issues, reminders
from .settings import AlertSettings

# Who sends alerts could reach nobody meanwhile: what was not sent again may well last.
STANDSTILL = timedelta(minutes=1)


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
        error_rates.judge_error_rates(session, counts, now=now)


@job(every=timedelta(minutes=1), in_transaction=False)
def judge_measure_rules(*, now: datetime) -> None:
    """Judge every rule over a measure, and open and end alerts by what changed.

    All is read before the transaction begins, each measure once for each window, so that writers
    wait for no query. Run twice it finds the standings that it wrote.
    """
    with reading() as session:
        found = effective.effective_rules(session)
        standings = measuring.load_standings(session)
        projects = measuring.projects_of_instances(session)
        readings = measuring.read_all(session, found, now=now)
    changes, first_seen, _ = judging.evaluate(found, readings, standings, projects, now=now)
    if changes or first_seen:
        with transaction() as session:
            measuring.record(session, changes, first_seen, now=now)


@job(every=timedelta(seconds=2), in_transaction=False)
def tell_gathered_alerts(*, now: datetime) -> int:
    """Tell what was gathered, or lasts and is to be told again.

    Of two workers one waits for the other's group, and then finds nothing due.
    """
    return flushing.tell_due(now=now)


@job(every=timedelta(seconds=10), in_transaction=False)
def tell_held_alerts(*, now: datetime) -> int:
    """Tell what was silenced, muted, inhibited or in maintenance and still lasts without that."""
    return flushing.release_held(now=now)


@job(every=timedelta(seconds=15))
def end_unsent_alerts(session: Session, *, now: datetime) -> int:
    """End alerts of other systems that nobody sent again in time.

    After a standstill of our own nothing ends yet: their senders had nobody to send them to.
    """
    before = last_finished(session, end_unsent_alerts)
    if before is not None and now - before > STANDSTILL:
        receiving.wait_for_senders(session, now=now)
        return 0
    return receiving.end_unsent(session, now=now)


@job(every=timedelta(minutes=5))
def settle_issue_alerts(session: Session, *, now: datetime) -> int:
    """End floods of issues that are over, and what stood for a day."""
    return issues.settle_issues(session, now=now)


@job(every=timedelta(minutes=15))
def settle_key_reminders(session: Session, *, now: datetime) -> int:
    """End reminders of what is due, of API keys and more, that stood for a day."""
    return reminders.settle_reminders(session, now=now)


@job(every=timedelta(minutes=5))
def settle_limit_alerts(session: Session, *, now: datetime) -> int:
    """End alerts of rate limits that refused nobody for a while."""
    return guard.settle_limits(session, now=now)


@job(every=timedelta(minutes=15))
def settle_app_alerts(session: Session, *, now: datetime) -> int:
    """End what apps sent and people did, when it was not said again for a day."""
    return app_alerts.settle(session, now=now)


@job(cron="40 3 * * *", task="cleanup")
def forget_old_alerts(session: Session, *, now: datetime) -> int:
    """Delete alerts that were resolved long ago, with their delivery history, and old silences."""
    keep = timedelta(days=of(AlertSettings).alerts_keep_days)
    silences.forget_ended(session, before=now - keep)
    flushing.forget_groups(session, before=now - timedelta(days=1))
    return history.forget_resolved(session, before=now - keep)
