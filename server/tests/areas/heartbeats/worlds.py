"""Small worlds for the tests of this area: a job that reports, and what it said."""

from datetime import UTC, datetime, timedelta
from typing import Any

from mainstay_server.areas.heartbeats.models import Heartbeat, HeartbeatDoors, Signal
from mainstay_server.areas.heartbeats.schemas.reports import Report, Result, Target
from mainstay_server.areas.heartbeats.service import overdue
from mainstay_server.areas.heartbeats.service.making import make_heartbeat
from mainstay_server.areas.heartbeats.service.recording import record_reports
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import find_instance
from sqlalchemy.orm import Session
from tests.world import a_project

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
KEPT = 500
LATER = 10 * SECOND  # silence is believed a few seconds after its moment


def an_instance(session: Session, *, number: int = 1) -> InstanceRef:
    """The production instance of a project of its own."""
    made = a_project(session, slug=f"shop-{number}", number=number, now=NOON)
    found = find_instance(session, made.id)
    assert found is not None
    return found


def a_heartbeat(session: Session, instance: InstanceRef | None = None, **values: Any) -> Heartbeat:
    """A nightly backup: reports every hour, ten minutes of grace, unless said otherwise."""
    given = {"name": "Nightly backup", "period_seconds": 3600, "grace_seconds": 600} | values
    return make_heartbeat(session, instance or an_instance(session), given, now=NOON)


def report(
    session: Session,
    heartbeat: Heartbeat,
    signal: Signal = Signal.SUCCESS,
    *,
    at: datetime = NOON,
    **more: Any,
) -> Result:
    """Let the job report once."""
    one = Report(target=Target(ping_id=heartbeat.ping_id), signal=signal, at=at, **more)
    (result,) = record_reports(session, [one], kept=KEPT, now=at)
    return result


def pass_time(session: Session, *, until: datetime) -> None:
    """Doors stay open until a moment, then silence is looked at."""
    note_open(session, at=until)
    overdue.mark_overdue(session, now=until)


def note_open(session: Session, *, at: datetime) -> None:
    """Doors were open all the time until a moment, without a gap."""
    row = session.get(HeartbeatDoors, overdue.THE_ROW)
    if row is None:
        session.add(HeartbeatDoors(id=overdue.THE_ROW, open_until=at))
    else:
        row.open_until = at
    session.flush()
