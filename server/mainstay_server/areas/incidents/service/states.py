"""The states of an incident: how it moves on, ends and begins again, and how long it was open."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.incidents.models import EntryKind, Incident, IncidentStatus, Severity
from mainstay_server.contracts.incidents import (
    IncidentChanged,
    IncidentReopened,
    IncidentResolved,
)
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.problems import Conflict

from .timeline import write

MOST_OPEN = 200
FACTS = ("title", "summary", "severity", "status", "instance_id")
TONES = {Severity.MINOR: "info", Severity.MAJOR: "warn", Severity.CRITICAL: "critical"}
MILLISECOND = timedelta(milliseconds=1)


def change_status(
    session: Session,
    incident: Incident,
    status: IncidentStatus,
    *,
    message: str = "",
    automatic: bool = False,
    now: datetime,
) -> None:
    """Move an incident on, to its end, or out of it again; `automatic` when no person does."""
    if status == incident.status:
        return
    if status is IncidentStatus.RESOLVED:
        resolve(session, incident, message=message, automatic=automatic, now=now)
        return
    if not incident.is_open:
        reopen(session, incident, status, message=message, automatic=automatic, now=now)
        return
    before = facts_of(incident, FACTS)
    incident.status = status
    incident.changed_at = now
    session.flush()
    changes = changes_between(before, facts_of(incident, FACTS))
    say(session, IncidentChanged(**about(incident), changes=changes), now=now)
    title = status.capitalize()
    if automatic and status is IncidentStatus.MONITORING:
        title = "Monitoring: its alerts are over"
    elif automatic:
        title = "Investigating again: another alert opened"
    write(session, incident, EntryKind.STATUS, title, at=now, body=message, tone="info")


def resolve(
    session: Session,
    incident: Incident,
    *,
    message: str = "",
    automatic: bool = False,
    now: datetime,
) -> None:
    """End an incident, once; `open_ms` is then how long it was open in all."""
    if not incident.is_open:
        return
    before = facts_of(incident, FACTS)
    incident.open_ms = open_ms_at(incident, now)
    incident.status = IncidentStatus.RESOLVED
    incident.resolved_at = now
    incident.resolved_alone = automatic
    incident.changed_at = now
    session.flush()
    resolved = IncidentResolved(
        **about(incident),
        automatic=automatic,
        open_seconds=incident.open_ms / 1000,
        changes=changes_between(before, facts_of(incident, FACTS)),
    )
    say(session, resolved, now=now)
    title = "Resolved: its alerts are over" if automatic else "Resolved"
    write(session, incident, EntryKind.RESOLVED, title, at=now, body=message, tone="ok")


def reopen(
    session: Session,
    incident: Incident,
    status: IncidentStatus = IncidentStatus.INVESTIGATING,
    *,
    message: str = "",
    automatic: bool = False,
    now: datetime,
) -> None:
    """Open one again that was over; the time in between does not count as open.

    Raises:
        Conflict: a person wants it, and 200 incidents of the project are open.
    """
    if incident.is_open:
        return
    if not automatic:
        refuse_too_many(session, incident.project_id)
    before = facts_of(incident, FACTS)
    incident.status = status
    incident.since = now
    incident.resolved_at = None
    incident.resolved_alone = False
    incident.changed_at = now
    session.flush()
    changes = changes_between(before, facts_of(incident, FACTS))
    said = IncidentReopened(**about(incident), automatic=automatic, changes=changes)
    say(session, said, now=now)
    title = "Opened again by an alert" if automatic else "Opened again"
    tone = TONES[Severity(incident.severity)]
    write(session, incident, EntryKind.REOPENED, title, at=now, body=message, tone=tone)


def open_ms_at(incident: Incident, now: datetime) -> int:
    """For how many milliseconds it has been open up to a moment; never less than it was before."""
    if not incident.is_open:
        return incident.open_ms
    return incident.open_ms + max(0, (now - incident.since) // MILLISECOND)


def is_full(session: Session, project_id: str) -> bool:
    """Whether as many incidents of a project are open as may be."""
    counted = sa.select(sa.func.count()).where(
        Incident.project_id == project_id, Incident.resolved_at.is_(None)
    )
    return (session.scalar(counted) or 0) >= MOST_OPEN


def refuse_too_many(session: Session, project_id: str) -> None:
    """Raise `Conflict` when no further incident may be open."""
    if is_full(session, project_id):
        raise Conflict(f"{MOST_OPEN} incidents of the project are open; resolve one first.")


def about(incident: Incident) -> dict[str, Any]:
    """What every event about an incident carries."""
    return {
        "organization_id": incident.organization_id,
        "project_id": incident.project_id,
        "instance_id": incident.instance_id or "",
        "incident_id": incident.id,
        "number": incident.number,
        "title": incident.title,
        "severity": incident.severity,
    }
