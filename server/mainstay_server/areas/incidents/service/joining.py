"""Alerts that people put to an incident or take out of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.incidents.models import EntryKind, Incident, IncidentAlert
from mainstay_server.contracts.alerts import (
    AlertSeen,
    find_alert,
    recent_alerts,
)
from mainstay_server.contracts.incidents import IncidentAlertsChanged
from mainstay_server.kernel.events import say
from mainstay_server.kernel.problems import Conflict, NotFound

from .alerts import MOST_ALERTS, add_alert, count_alerts, incident_of
from .states import about
from .timeline import write

MOST_OFFERED = 50
OFFERED_FOR = timedelta(days=7)


def join_alert(session: Session, incident: Incident, alert_id: str, *, now: datetime) -> None:
    """Put an alert of the same project to an incident, out of another one if it is there.

    Raises:
        NotFound: the project has no such alert.
        Conflict: the incident has 500 alerts.
    """
    seen = find_alert(session, alert_id) if find_alert.is_answered else None
    if seen is None or seen.project_id != incident.project_id:
        raise NotFound("The project has no such alert; GET …/alerts of its instances lists them.")
    present = session.get(IncidentAlert, alert_id)
    if present is not None and present.incident_id == incident.id:
        return
    if count_alerts(session, incident.id) >= MOST_ALERTS:
        raise Conflict(f"An incident joins at most {MOST_ALERTS} alerts; open another one.")
    if present is not None:
        leave_alert(session, incident_of(session, present), alert_id, now=now)
    add_alert(session, incident, seen, by_hand=True, now=now)
    said = IncidentAlertsChanged(**about(incident), changes={"alert": (None, alert_id)})
    say(session, said, now=now)


def leave_alert(session: Session, incident: Incident, alert_id: str, *, now: datetime) -> None:
    """Take an alert out of an incident. Raises `NotFound` when it is not in it."""
    present = session.get(IncidentAlert, alert_id)
    if present is None or present.incident_id != incident.id:
        raise NotFound("The incident has no such alert; GET it to see which ones it has.")
    session.delete(present)
    session.flush()
    title = f"Taken out: {present.title}"
    write(session, incident, EntryKind.ALERT_LEFT, title, at=now)
    said = IncidentAlertsChanged(**about(incident), changes={"alert": (alert_id, None)})
    say(session, said, now=now)


def alerts_of(session: Session, incident_id: str) -> Sequence[IncidentAlert]:
    """The alerts of an incident, those that are active first, then the newest; at most 500."""
    return session.scalars(
        sa.select(IncidentAlert)
        .where(IncidentAlert.incident_id == incident_id)
        .order_by(
            IncidentAlert.resolved_at.is_not(None),
            IncidentAlert.opened_at.desc(),
            IncidentAlert.alert_id,
        )
        .limit(MOST_ALERTS)
    ).all()


def offered_alerts(session: Session, incident: Incident, *, now: datetime) -> Sequence[AlertSeen]:
    """Alerts of the project that are active or of the last week, and in no incident yet."""
    if not recent_alerts.is_answered:
        return []
    found = recent_alerts(
        session, incident.project_id, since=now - OFFERED_FOR, limit=MOST_OFFERED * 2
    )
    taken = set(
        session.scalars(
            sa.select(IncidentAlert.alert_id).where(
                IncidentAlert.alert_id.in_([alert.id for alert in found])
            )
        )
    )
    return [alert for alert in found if alert.id not in taken][:MOST_OFFERED]
