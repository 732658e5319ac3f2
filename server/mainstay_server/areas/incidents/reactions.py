"""What incidents do about what others say: alerts open and end them, timelines write themselves."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.contracts.alerts import (
    AlertAcknowledged,
    AlertOpened,
    AlertResolved,
)
from mainstay_server.contracts.health_checks import (
    HealthChanged,
    HealthCheckDegraded,
    HealthCheckFlapping,
    HealthCheckRecovered,
    HealthCheckWentDown,
)
from mainstay_server.contracts.heartbeats import (
    HeartbeatDegraded,
    HeartbeatMoved,
    HeartbeatRecovered,
    HeartbeatWentDown,
)
from mainstay_server.contracts.remediation import (
    RemediationFailed,
    RemediationStarted,
    RemediationSucceeded,
)
from mainstay_server.kernel.events import on

from .service import alerts, notes


@on(AlertOpened)
def follow_opened_alert(session: Session, event: AlertOpened, *, now: datetime) -> None:
    """An alert joins the incident of its instance, or opens one."""
    alerts.record_opened(session, event, now=now)


@on(AlertAcknowledged)
def follow_acknowledged_alert(session: Session, event: AlertAcknowledged, *, now: datetime) -> None:
    """Somebody took an alert in hand, and so its incident."""
    alerts.record_acknowledged(session, event, now=now)


@on(AlertResolved)
def follow_resolved_alert(session: Session, event: AlertResolved, *, now: datetime) -> None:
    """An alert is over, and its incident perhaps with it."""
    alerts.record_resolved(session, event, now=now)


@on(HealthCheckWentDown)
def note_down(session: Session, event: HealthCheckWentDown, *, now: datetime) -> None:
    """A check of an instance with an open incident is down."""
    _note_check(session, event, "is down", tone="critical", now=now)


@on(HealthCheckDegraded)
def note_degraded(session: Session, event: HealthCheckDegraded, *, now: datetime) -> None:
    """A check of an instance with an open incident is slow or not quite well."""
    _note_check(session, event, "is degraded", tone="warn", now=now)


@on(HealthCheckFlapping)
def note_flapping(session: Session, event: HealthCheckFlapping, *, now: datetime) -> None:
    """A check of an instance with an open incident goes back and forth."""
    _note_check(session, event, "goes back and forth", tone="warn", now=now)


@on(HealthCheckRecovered)
def note_recovered(session: Session, event: HealthCheckRecovered, *, now: datetime) -> None:
    """A check of an instance with an open incident is well again."""
    _note_check(session, event, "is healthy again", tone="ok", now=now)


@on(HeartbeatWentDown)
def note_missed(session: Session, event: HeartbeatWentDown, *, now: datetime) -> None:
    """A job of an instance with an open incident did not report."""
    _note_job(session, event, "did not report", tone="critical", now=now)


@on(HeartbeatDegraded)
def note_badly_reported(session: Session, event: HeartbeatDegraded, *, now: datetime) -> None:
    """A job of an instance with an open incident reports badly."""
    _note_job(session, event, "reports, but not as it should", tone="warn", now=now)


@on(HeartbeatRecovered)
def note_reported(session: Session, event: HeartbeatRecovered, *, now: datetime) -> None:
    """A job of an instance with an open incident reports again."""
    _note_job(session, event, "reports again", tone="ok", now=now)


@on(RemediationStarted)
def note_remediation(session: Session, event: RemediationStarted, *, now: datetime) -> None:
    """An action has begun for an alert of an incident."""
    title = f"Remediation {event.action} began"
    alerts.record_remediation(session, event.alert_id, title, at=now, tone="info")


@on(RemediationSucceeded)
def note_remedy(session: Session, event: RemediationSucceeded, *, now: datetime) -> None:
    """An alert of an incident was over while an action was at work on it."""
    title = f"Remediated by {event.action}, tries: {event.tries}"
    alerts.record_remediation(session, event.alert_id, title, at=now, tone="ok")


@on(RemediationFailed)
def note_failed_remedy(session: Session, event: RemediationFailed, *, now: datetime) -> None:
    """An action could not put an alert of an incident right."""
    title = f"Remediation {event.action} has given up, tries: {event.tries}"
    alerts.record_remediation(
        session, event.alert_id, title, body=event.reason, at=now, tone="critical"
    )


def _note_check(
    session: Session, event: HealthChanged, what: str, *, tone: str, now: datetime
) -> None:
    title = f"Health check {event.name or event.url} {what}"
    at = min(event.since, now)
    notes.record_health(session, event.instance_id, title, body=event.reason, tone=tone, at=at)


def _note_job(
    session: Session, event: HeartbeatMoved, what: str, *, tone: str, now: datetime
) -> None:
    title = f"Heartbeat {event.name} {what}"
    at = min(event.since, now)
    notes.record_health(session, event.instance_id, title, body=event.reason, tone=tone, at=at)
