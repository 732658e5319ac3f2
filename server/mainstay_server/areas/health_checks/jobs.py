"""The watch itself, the round that is asked for from outside, and the time nobody watched."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.kernel.area import Loop, StopSignal
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.jobs import job
from mainstay_server.kernel.settings import of

from .service import asking, beating, evidence, parts, probes, recording, telling
from .service.pulse import pulse
from .service.watching import Watch
from .settings import HealthCheckSettings


async def _watch(stop: StopSignal) -> None:
    await Watch(of(HealthCheckSettings), clock=utc_now).run(stop)


async def _beat(stop: StopSignal) -> None:
    await beating.beat(of(HealthCheckSettings), pulse, stop)


watch = Loop(name="health_checks.watch", role="probe", run=_watch)
heartbeat = Loop(name="health_checks.heartbeat", role="probe", run=_beat)


@job(cron="17 4 * * *", task="health", in_transaction=False)
def ask_everything(*, now: datetime) -> None:  # noqa: ARG001 - a probe reads the clock as it goes
    """Ask every check that is not paused, now.

    For `/api/cron?task=health`, where something outside sets the pace. The watch does not need
    it: its own daily turn is only there because every job has one.
    """
    asking.ask_everything_now(clock=utc_now)


@job(every=timedelta(minutes=1))
def mark_unwatched(session: Session, *, now: datetime) -> None:
    """Mark as unknown what no probe process has asked for too long: our outage, not the app's."""
    recording.mark_unwatched(session, now=now)


@job(every=timedelta(seconds=10))
def tell_held_back(session: Session, *, now: datetime) -> None:
    """Tell of trouble that has now lasted long enough, or outlasted its maintenance."""
    telling.tell_held_back(session, now=now)


@job(every=timedelta(minutes=1))
def mark_silent_probes(session: Session, *, now: datetime) -> None:
    """Miss probes elsewhere that were not heard of for 90 seconds, and say so once."""
    probes.mark_silent(session, now=now)


@job(cron="41 3 * * *", task="cleanup")
def forget_the_past(session: Session, *, now: datetime) -> None:
    """Remove what browsers showed more than 30 days ago, and what parts were 90 days ago."""
    evidence.remove_old_screenshots(session, now=now)
    parts.forget_old_spells(session, now=now)
