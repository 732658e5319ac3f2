"""Incidents as the API answers them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.incidents.models import Incident
from mainstay_server.areas.incidents.schemas import (
    A_PERSON,
    A_TIME,
    AN_ALERT,
    AN_ID,
    IncidentAlertAnswer,
    IncidentAnswer,
    OneIncidentAnswer,
    PersonAnswer,
    ReportAnswer,
)
from mainstay_server.areas.incidents.service import (
    figures,
    incidents,
    joining,
    listing,
    people,
    postmortems,
    telling,
)
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef

ALL = "/api/projects/{slug}/incidents"
ONE = ALL + "/{incident_id}"

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]
Administered = Annotated[ProjectRef, access.project(Role.ADMIN)]

INCIDENT: dict[str, Any] = {
    "id": AN_ID,
    "number": 7,
    "title": "Payments time out",
    "summary": "",
    "severity": "critical",
    "status": "resolved",
    "automatic": True,
    "instanceId": AN_ID,
    "openedAt": A_TIME,
    "acknowledgedAt": "2026-11-26T12:01:34.200Z",
    "resolvedAt": "2026-11-26T12:30:00.000Z",
    "acknowledgedAfterSeconds": 94.2,
    "openSeconds": 1800.0,
    "alertCount": 1,
    "activeAlertCount": 0,
    "people": [{"personId": A_PERSON, "name": "Ada", "role": "commander"}],
}
ONE_INCIDENT: dict[str, Any] = {
    **INCIDENT,
    "alerts": [
        {
            "alertId": AN_ALERT,
            "instanceId": AN_ID,
            "type": "instance_down",
            "severity": "critical",
            "title": "shop production is down",
            "openedAt": A_TIME,
            "acknowledgedAt": "2026-11-26T12:01:34.200Z",
            "resolvedAt": "2026-11-26T12:30:00.000Z",
            "byHand": False,
        }
    ],
    "reports": [{"pageId": AN_ID, "reportId": AN_ID}],
    "hasPostmortem": False,
}


def answers_of(
    session: Session, found: Sequence[Incident], *, now: datetime
) -> list[IncidentAnswer]:
    """Incidents as lists answer them, in a fixed number of statements."""
    ids = [incident.id for incident in found]
    staff, counts = people.people_of(session, ids), listing.count_alerts_of(session, ids)
    return [
        IncidentAnswer(
            **_facts(incident, now=now),
            alert_count=counts[incident.id][0],
            active_alert_count=counts[incident.id][1],
            people=[PersonAnswer.model_validate(one) for one in staff[incident.id]],
        )
        for incident in found
    ]


def answer_of(session: Session, incident: Incident, *, now: datetime) -> OneIncidentAnswer:
    """One incident with all that belongs to it."""
    alerts = joining.alerts_of(session, incident.id)
    return OneIncidentAnswer(
        **_facts(incident, now=now),
        alert_count=len(alerts),
        active_alert_count=sum(alert.resolved_at is None for alert in alerts),
        people=[
            PersonAnswer.model_validate(one)
            for one in people.people_of(session, [incident.id])[incident.id]
        ],
        alerts=[IncidentAlertAnswer.model_validate(alert) for alert in alerts],
        reports=[
            ReportAnswer.model_validate(one) for one in telling.reports_of(session, incident.id)
        ],
        has_postmortem=postmortems.find_postmortem(session, incident.id) is not None,
    )


def taken_up(
    session: Session, request: Request, project: ProjectRef, incident_id: str, *, now: datetime
) -> Incident:
    """The incident that somebody works on, held until they are done; working on it takes it up."""
    incident = incidents.get_incident(session, project.id, incident_id, locked=True)
    caller: Caller = request.state.caller
    incidents.acknowledge(
        session, incident, person_id=caller.person_id, name=caller.person_name, now=now
    )
    return incident


def _facts(incident: Incident, *, now: datetime) -> dict[str, Any]:
    own = figures.own_figures(incident, now=now)
    waited = own.acknowledged_after
    return {
        "id": incident.id,
        "number": incident.number,
        "title": incident.title,
        "summary": incident.summary,
        "severity": incident.severity,
        "status": incident.status,
        "automatic": incident.automatic,
        "instance_id": incident.instance_id,
        "opened_at": incident.opened_at,
        "acknowledged_at": incident.acknowledged_at,
        "resolved_at": incident.resolved_at,
        "acknowledged_after_seconds": None if waited is None else waited.total_seconds(),
        "open_seconds": own.open_for.total_seconds(),
    }
