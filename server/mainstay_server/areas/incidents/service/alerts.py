"""Alerts and incidents: which one an alert opens or joins, and what its end means for it."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.incidents.models import (
    EntryKind,
    Incident,
    IncidentAlert,
    IncidentStatus,
    Severity,
)
from mainstay_server.contracts.alerts import (
    AlertAcknowledged,
    AlertOpened,
    AlertResolved,
    AlertSeen,
    find_alert,
)
from mainstay_server.tenancy.models import Project

from . import incidents, states
from .choices import Choices, choices_of, severity_of
from .incidents import NewIncident, get_incident, lock_project
from .states import TONES
from .timeline import write

MOST_ALERTS = 500


def record_opened(session: Session, event: AlertOpened, *, now: datetime) -> None:
    """Let an alert join the incident that people have of its instance, or else open one.

    It joins the newest incident of its instance that is open and has an alert that still is, or
    had one within the time that the project chose; also one that ended by itself within that time,
    which is then open again. An alert that takes the place of another joins the incident of that.

    Projects are held one at a time, so that two alerts of one moment do not open two.
    """
    project = lock_project(session, event.project_id)
    if project is None or session.get(IncidentAlert, event.alert_id) is not None:
        return
    choices = choices_of(session, project.id)
    incident = _followed(session, event) or _found(session, event, choices)
    if incident is None and choices.opens_for(event.severity):
        incident = _opened(session, project, event, now=now)
    if incident is None:
        return
    seen = find_alert(session, event.alert_id) if find_alert.is_answered else None
    add_alert(session, incident, _of_event(event) if seen is None else seen, now=now)
    if seen is not None and seen.ended_at is not None:
        _settle(session, incident, choices, at=seen.ended_at)


def record_acknowledged(session: Session, event: AlertAcknowledged, *, now: datetime) -> None:
    """Somebody took an alert in hand, and with it the incident that it is part of."""
    alert = session.get(IncidentAlert, event.alert_id)
    if alert is None or alert.acknowledged_at is not None:
        return
    incident = incident_of(session, alert)
    alert.acknowledged_at = now
    title = f"{event.name or 'Somebody'} acknowledged: {alert.title}"
    write(session, incident, EntryKind.ALERT_ACKNOWLEDGED, title, at=now, tone="info")
    incidents.mark_acknowledged(session, incident, name=event.name, now=now)


def record_resolved(session: Session, event: AlertResolved, *, now: datetime) -> None:
    """An alert is over; with the last one the incident may be, or people have only to watch."""
    _ = now
    alert = session.get(IncidentAlert, event.alert_id)
    if alert is None or alert.resolved_at is not None:
        return
    incident = incident_of(session, alert)
    alert.resolved_at = event.resolved_at
    incident.last_alert_at = max(incident.last_alert_at, event.resolved_at)
    session.flush()
    title = f"Alert over: {alert.title}"
    write(session, incident, EntryKind.ALERT_RESOLVED, title, at=event.resolved_at, tone="ok")
    if not event.superseded_by:
        choices = choices_of(session, incident.project_id)
        _settle(session, incident, choices, at=event.resolved_at)


def record_remediation(
    session: Session, alert_id: str, title: str, *, body: str = "", at: datetime, tone: str
) -> None:
    """Write down what was done by itself about an alert, if it is part of an incident."""
    alert = session.get(IncidentAlert, alert_id)
    if alert is not None:
        incident = incident_of(session, alert)
        write(session, incident, EntryKind.REMEDIATION, title, at=at, body=body, tone=tone)


def add_alert(
    session: Session, incident: Incident, alert: AlertSeen, *, by_hand: bool = False, now: datetime
) -> None:
    """Make an alert part of an incident, which may be worse, or begin anew, because of it.

    What a person joins is only noted. Of 500 alerts on none is taken any more.
    """
    if count_alerts(session, incident.id) >= MOST_ALERTS:
        return
    session.add(
        IncidentAlert(
            alert_id=alert.id,
            incident_id=incident.id,
            instance_id=alert.instance_id,
            type=alert.type[:60],
            severity=alert.severity[:20],
            title=alert.title,
            opened_at=alert.opened_at,
            acknowledged_at=alert.acknowledged_at,
            resolved_at=alert.ended_at,
            by_hand=by_hand,
            joined_at=now,
        )
    )
    severity = severity_of(alert.severity)
    if by_hand:
        title = f"Joined the alert: {alert.title}"
        write(session, incident, EntryKind.ALERT_JOINED, title, at=now, tone=TONES[severity])
        return
    title, at = f"Alert: {alert.title}", alert.opened_at
    write(session, incident, EntryKind.ALERT_OPENED, title, at=at, tone=TONES[severity])
    incident.last_alert_at = max(incident.last_alert_at, at)
    if not incident.is_open:
        states.reopen(session, incident, automatic=True, now=at)
    elif incident.status == IncidentStatus.MONITORING:
        again = IncidentStatus.INVESTIGATING
        states.change_status(session, incident, again, automatic=True, now=at)
    if severity.rank > Severity(incident.severity).rank:
        incidents.change_incident(session, incident, {"severity": severity}, now=at)


def incident_of(session: Session, alert: IncidentAlert) -> Incident:
    """The incident that an alert is part of, held until the end of the transaction."""
    found = session.get_one(Incident, alert.incident_id)
    return get_incident(session, found.project_id, found.id, locked=True)


def count_alerts(session: Session, incident_id: str) -> int:
    """How many alerts an incident has."""
    counted = sa.select(sa.func.count()).where(IncidentAlert.incident_id == incident_id)
    return session.scalar(counted) or 0


def _followed(session: Session, event: AlertOpened) -> Incident | None:
    """The incident of the alert whose place this one takes, unless a person has ended it."""
    before = session.get(IncidentAlert, event.supersedes) if event.supersedes else None
    if before is None:
        return None
    incident = incident_of(session, before)
    return incident if incident.is_open or incident.resolved_alone else None


def _found(session: Session, event: AlertOpened, choices: Choices) -> Incident | None:
    """The newest incident of the instance that the alert belongs to."""
    lately = event.opened_at - choices.join_within
    has_active = sa.exists().where(
        IncidentAlert.incident_id == Incident.id, IncidentAlert.resolved_at.is_(None)
    )
    goes_on = sa.and_(
        Incident.resolved_at.is_(None), sa.or_(has_active, Incident.last_alert_at >= lately)
    )
    just_over = sa.and_(Incident.resolved_alone, Incident.resolved_at >= lately)
    return session.scalar(
        sa.select(Incident)
        .where(
            Incident.project_id == event.project_id,
            Incident.instance_id == event.instance_id,
            sa.or_(goes_on, just_over),
        )
        .order_by(Incident.resolved_at.is_not(None), Incident.opened_at.desc(), Incident.id.desc())
        .limit(1)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def _opened(
    session: Session, project: Project, event: AlertOpened, *, now: datetime
) -> Incident | None:
    """A new incident for an alert; when too many are open, the newest of its instance, if any."""
    if states.is_full(session, project.id):
        return session.scalar(
            sa.select(Incident)
            .where(Incident.instance_id == event.instance_id, Incident.resolved_at.is_(None))
            .order_by(Incident.opened_at.desc())
            .limit(1)
        )
    wanted = NewIncident(
        title=event.title, severity=severity_of(event.severity), instance_id=event.instance_id
    )
    return incidents.add_incident(
        session, project, wanted, automatic=True, at=event.opened_at, now=now
    )


def _settle(session: Session, incident: Incident, choices: Choices, *, at: datetime) -> None:
    """Once its last alert is over: end what nobody took up, and let people watch what they did."""
    if not incident.automatic or not incident.is_open or not choices.resolves_alone:
        return
    active = sa.exists().where(
        IncidentAlert.incident_id == incident.id, IncidentAlert.resolved_at.is_(None)
    )
    if session.scalar(sa.select(active)):
        return
    if incident.acknowledged_at is None:
        states.resolve(session, incident, automatic=True, now=at)
    else:
        watching = IncidentStatus.MONITORING
        states.change_status(session, incident, watching, automatic=True, now=at)


def _of_event(event: AlertOpened) -> AlertSeen:
    return AlertSeen(
        id=event.alert_id,
        project_id=event.project_id,
        instance_id=event.instance_id,
        type=event.type,
        severity=event.severity,
        title=event.title,
        labels=event.labels,
        opened_at=event.opened_at,
        acknowledged_at=None,
        ended_at=None,
    )
