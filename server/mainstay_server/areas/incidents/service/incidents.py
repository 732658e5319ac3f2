"""Incidents begin, go on, end and begin again here, and each of it is said and written down."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.incidents.models import (
    EntryKind,
    Incident,
    IncidentAlert,
    IncidentStatus,
    Severity,
)
from mainstay_server.contracts.alerts import acknowledge_alert
from mainstay_server.contracts.incidents import (
    IncidentAcknowledged,
    IncidentChanged,
    IncidentOpened,
    IncidentRemoved,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.problems import Invalid, NotFound
from mainstay_server.tenancy.models import Project
from mainstay_server.tenancy.subjects import find_instance

from .states import FACTS, TONES, about, change_status, open_ms_at, refuse_too_many
from .timeline import write

LONGEST_TITLE = 200
LONGEST_SUMMARY = 2000
MOST_DIGITS = 9
NO_INSTANCE = "instanceId is no instance of the project; GET /api/instances lists them."


@dataclass(frozen=True, kw_only=True)
class NewIncident:
    """What is to be opened; `instance_id` is None for what is about no single instance."""

    title: str
    severity: Severity
    summary: str = ""
    instance_id: str | None = None


def open_incident(
    session: Session, project_id: str, wanted: NewIncident, *, now: datetime
) -> Incident:
    """Open an incident by hand: whoever does has taken it up already.

    Raises:
        Conflict: 200 incidents of the project are open.
        Invalid: it has no title, or the instance is none of the project.
    """
    project = lock_project(session, project_id)
    assert project is not None, "the door has seen it"
    _refuse_strange(session, project_id, wanted.instance_id)
    refuse_too_many(session, project_id)
    return add_incident(session, project, wanted, automatic=False, at=now, now=now)


def add_incident(
    session: Session,
    project: Project,
    wanted: NewIncident,
    *,
    automatic: bool,
    at: datetime,
    now: datetime,
) -> Incident:
    """Add an incident that began at a moment. The project is locked, so its number is its own."""
    newest = session.scalar(
        sa.select(sa.func.max(Incident.number)).where(Incident.project_id == project.id)
    )
    incident = Incident(
        id=new_id(),
        organization_id=project.organization_id,
        project_id=project.id,
        instance_id=wanted.instance_id,
        number=(newest or 0) + 1,
        title=one_line(wanted.title),
        summary=wanted.summary.strip()[:LONGEST_SUMMARY],
        severity=wanted.severity,
        status=IncidentStatus.INVESTIGATING,
        automatic=automatic,
        opened_at=at,
        since=at,
        last_alert_at=at,
        acknowledged_at=None if automatic else at,
        changed_at=now,
    )
    session.add(incident)
    session.flush()
    made = changes_between({}, facts_of(incident, FACTS))
    say(session, IncidentOpened(**about(incident), automatic=automatic, changes=made), now=now)
    title = "Opened by an alert" if automatic else "Opened"
    tone = TONES[Severity(incident.severity)]
    write(session, incident, EntryKind.OPENED, title, at=at, body=incident.summary, tone=tone)
    return incident


def get_incident(
    session: Session, project_id: str, incident_id: str, *, locked: bool = False
) -> Incident:
    """One incident of a project, by its id or its number. Raises `NotFound`."""
    is_number = incident_id.isascii() and incident_id.isdigit() and len(incident_id) <= MOST_DIGITS
    which = Incident.number == int(incident_id) if is_number else Incident.id == incident_id
    statement = sa.select(Incident).where(Incident.project_id == project_id, which)
    if locked:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    found = session.scalar(statement)
    if found is None:
        raise NotFound("The project has no such incident; GET …/incidents lists them.")
    return found


def acknowledge(
    session: Session, incident: Incident, *, person_id: str, name: str, now: datetime
) -> bool:
    """Somebody has taken it up, and with it those of its alerts that nobody has yet.

    Returns whether it was theirs to take: it is open, and nobody had taken it up before.
    """
    if not incident.is_open or incident.acknowledged_at is not None:
        return False
    mark_acknowledged(session, incident, name=name, now=now)
    waiting = session.scalars(
        sa.select(IncidentAlert).where(
            IncidentAlert.incident_id == incident.id,
            IncidentAlert.acknowledged_at.is_(None),
            IncidentAlert.resolved_at.is_(None),
        )
    )
    for alert in waiting:
        alert.acknowledged_at = now
        if acknowledge_alert.is_answered:
            acknowledge_alert(session, alert.alert_id, by=person_id, name=name, now=now)
    return True


def mark_acknowledged(session: Session, incident: Incident, *, name: str, now: datetime) -> None:
    """Write down that somebody has taken it up, once; of one that is over or taken, nothing."""
    if not incident.is_open or incident.acknowledged_at is not None:
        return
    incident.acknowledged_at = now
    incident.acknowledged_after_ms = open_ms_at(incident, now)
    session.flush()
    changes = changes_between({"acknowledged_at": None}, {"acknowledged_at": now})
    say(session, IncidentAcknowledged(**about(incident), changes=changes), now=now)
    title = f"{name or 'Somebody'} has taken it up"
    write(session, incident, EntryKind.ACKNOWLEDGED, title, at=now, tone="info")


def change_incident(
    session: Session,
    incident: Incident,
    changes: Mapping[str, Any],
    *,
    message: str = "",
    now: datetime,
) -> None:
    """Change title, summary, severity, instance or status; what is left out stays.

    Resolving ends it, and another status of one that is over opens it again; `message` stands in
    the timeline with the new status.

    Raises:
        Conflict: it is to be opened again, and 200 are open.
        Invalid: it would have no title, or the instance is none of the project.
    """
    before = facts_of(incident, FACTS)
    wanted = {name: changes[name] for name in FACTS if name in changes}
    status = IncidentStatus(wanted.pop("status", incident.status))
    if "title" in wanted:
        wanted["title"] = one_line(wanted["title"])
    _refuse_strange(session, incident.project_id, wanted.get("instance_id"))
    for name, value in wanted.items():
        setattr(incident, name, value)
    session.flush()
    _tell_changes(session, incident, before, now=now)
    change_status(session, incident, status, message=message, now=now)


def remove_incident(session: Session, incident: Incident, *, now: datetime) -> None:
    """Take an incident away with its timeline; its alerts and reports on status pages stay."""
    gone = changes_between(facts_of(incident, FACTS), {})
    say(session, IncidentRemoved(**about(incident), changes=gone), now=now)
    session.delete(incident)
    session.flush()


def lock_project(session: Session, project_id: str) -> Project | None:
    """Hold a project until the end of the transaction, so that one incident at a time begins."""
    return session.get(Project, project_id, with_for_update=True, populate_existing=True)


def one_line(title: str) -> str:
    """A title without line ends and control characters. Raises `Invalid` when nothing is left."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in title).split())
    if not clean:
        raise Invalid("An incident needs a title: what do users notice?")
    return clean[:LONGEST_TITLE]


def _refuse_strange(session: Session, project_id: str, instance_id: str | None) -> None:
    if instance_id is None:
        return
    instance = find_instance(session, instance_id)
    if instance is None or instance.project_id != project_id:
        raise Invalid(NO_INSTANCE)


def _tell_changes(
    session: Session, incident: Incident, before: Mapping[str, object], *, now: datetime
) -> None:
    """Say what is different, and write down what people should see of it."""
    changes = changes_between(before, facts_of(incident, FACTS))
    if not changes:
        return
    incident.changed_at = now
    say(session, IncidentChanged(**about(incident), changes=changes), now=now)
    if "severity" in changes:
        was, severity = Severity(str(before["severity"])), Severity(incident.severity)
        title = f"{'Raised' if severity.rank > was.rank else 'Lowered'} from {was} to {severity}"
        write(session, incident, EntryKind.CHANGED, title, at=now, tone=TONES[severity])
    if "title" in changes:
        title = f"Now called: {incident.title}"
        write(session, incident, EntryKind.CHANGED, title, at=now)
    if "summary" in changes:
        title = "Summary changed" if incident.summary else "Summary taken away"
        write(session, incident, EntryKind.CHANGED, title, at=now, body=incident.summary)
