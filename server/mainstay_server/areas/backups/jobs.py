"""What backups do at set times, and the loops that make them, try them and restore them."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.kernel.area import Loop, StopSignal
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.jobs import job

from .service import (
    alarms,
    checking,
    claims,
    drills,
    due,
    keeping,
    sweeping,
)
from .service.proving import Provers
from .service.working import Workers


async def _work(stop: StopSignal) -> None:
    await Workers(clock=utc_now).run(stop)


work = Loop(name="backups.work", role="worker", run=_work)


async def _prove(stop: StopSignal) -> None:
    await Provers(clock=utc_now).run(stop)


prove = Loop(name="backups.prove", role="worker", run=_prove)


@job(every=timedelta(seconds=15), task="backup")
def queue_due_backups(session: Session, *, now: datetime) -> None:
    """Let every backup wait whose turn has come; the workers make them a few at a time."""
    due.queue_due(session, now=now)


@job(every=timedelta(seconds=15), at_start=True)
def end_broken_runs(session: Session, *, now: datetime) -> None:
    """End what killed processes were making: nothing stays running after its lease."""
    claims.fail_broken(session, now=now)


@job(every=timedelta(minutes=1), at_start=True, in_transaction=False, is_long=True)
def sweep_unfinished(*, now: datetime) -> None:
    """Remove what runs that have ended left unfinished at their destinations."""
    sweeping.sweep_unfinished(now=now)


@job(every=timedelta(minutes=5))
def tell_late_backups(session: Session, *, now: datetime) -> None:
    """Say which backups should be there by their schedules and are not, whoever is to blame."""
    alarms.tell_late(session, now=now)


@job(every=timedelta(minutes=1), in_transaction=False, is_long=True)
def check_copies(*, now: datetime) -> None:  # noqa: ARG001 - reading takes hours, and clocks go on
    """Read new copies, and those that were not read for a week, and compare them with the manifest.

    From outside, without any key: signature, size, SHA-256 and header. At most for ten minutes.
    """
    checking.check_due(clock=utc_now)


@job(every=timedelta(hours=1), task="cleanup", in_transaction=False, is_long=True)
def remove_old_backups(*, now: datetime) -> None:
    """Remove the copies of backups that no rule of retention keeps any more."""
    keeping.remove_old(now=now)


@job(cron="41 3 * * *", task="cleanup")
def forget_old_runs(session: Session, *, now: datetime) -> None:
    """Forget runs of more than 400 days ago of which no copy is left."""
    keeping.forget_history(session, now=now)


@job(every=timedelta(hours=1))
def plan_weekly_drills(session: Session, *, now: datetime) -> None:
    """Have backups tried of which somebody wants that weekly, once a week has gone by."""
    drills.plan_weekly(session, now=now)
