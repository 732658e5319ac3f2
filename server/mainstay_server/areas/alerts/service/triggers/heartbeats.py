"""Jobs that went silent, as alerts: one at most per heartbeat, that ends when it reports again."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import AlertType, Severity
from mainstay_server.areas.alerts.service.firing import (
    Firing,
    find_active,
    fire,
    identity_of,
    resolve,
)
from mainstay_server.contracts.heartbeats import (
    HeartbeatDegraded,
    HeartbeatFlapping,
    HeartbeatMoved,
    HeartbeatRecovered,
    HeartbeatStopped,
)
from mainstay_server.tenancy.subjects import find_instance

from .health_checks import is_newest

KIND = AlertType.HEARTBEAT_MISSED
DEGRADED = "degraded"
FLAPPING = "flapping"
HOW = {"": "is missed", DEGRADED: "reports, but not well", FLAPPING: "is flapping"}
BECAUSE = {"": "It is missed now.", DEGRADED: "It reports again, but not well.",
           FLAPPING: "It is flapping now."}  # fmt: skip


def record_missed(session: Session, event: HeartbeatMoved, *, now: datetime) -> None:
    """A job is silent, failed, reports badly or flaps: that alert in place of any other of it."""
    instance = find_instance(session, event.instance_id)
    newest = is_newest(session, event.heartbeat_id, event.instance_id, since=event.since)
    if instance is None or not newest:
        return
    what = _what(event)
    others = [one for one in HOW if one != what]
    active = (find_active(session, instance.id, _identity(event, one)) for one in others)
    before = next((alert for alert in active if alert is not None), None)
    alert_id = fire(
        session,
        instance,
        Firing(
            type=KIND,
            about=_about(event, what),
            title=f"{instance.project_slug} {instance.environment}: {event.name} {HOW[what]}",
            message=event.reason,
            severity=Severity.WARNING if what == DEGRADED else None,
            supersedes=before.id if before else "",
        ),
        now=now,
    )
    for other in others:
        resolve(
            session,
            instance.id,
            _identity(event, other),
            resolution=BECAUSE[what],
            superseded_by=alert_id or "",
            quiet=alert_id is None,
            now=now,
        )


def record_reported(session: Session, event: HeartbeatRecovered, *, now: datetime) -> None:
    """A job reports as it should again."""
    minutes = round((event.since - event.troubled_since).total_seconds() / 60)
    lasted = f"{minutes} min" if minutes else "less than a minute"
    _end(session, event, f"It reports again after {lasted}.", now=now)


def record_unwatched(session: Session, event: HeartbeatStopped, *, now: datetime) -> None:
    """Nobody waits for a job any more."""
    _end(session, event, f"Nobody waits for it now: {event.reason}.", now=now)


def _end(session: Session, event: HeartbeatMoved, resolution: str, *, now: datetime) -> None:
    if not is_newest(session, event.heartbeat_id, event.instance_id, since=event.since):
        return
    for what in HOW:
        identity = _identity(event, what)
        resolve(session, event.instance_id, identity, resolution=resolution, now=now)


def _what(event: HeartbeatMoved) -> str:
    if isinstance(event, HeartbeatFlapping):
        return FLAPPING
    return DEGRADED if isinstance(event, HeartbeatDegraded) else ""


def _about(event: HeartbeatMoved, what: str) -> str:
    return f"{event.heartbeat_id}:{what}" if what else event.heartbeat_id


def _identity(event: HeartbeatMoved, what: str) -> str:
    return identity_of(KIND, _about(event, what))
