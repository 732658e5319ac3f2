"""What people and health checks add to a timeline."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.incidents.models import EntryKind, Incident, IncidentEntry
from mainstay_server.contracts.incidents import IncidentNoted
from mainstay_server.kernel.events import say
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound

from .states import about
from .timeline import LONGEST_TEXT, write

MOST_NOTES = 1000
MOST_HEARD_BY = 20


def add_note(session: Session, incident: Incident, body: str, *, now: datetime) -> IncidentEntry:
    """Write a note, in Markdown.

    Raises:
        Invalid: it is empty or too long.
        Conflict: the incident has 1,000 notes.
    """
    text = body.strip()
    if not text or len(text) > LONGEST_TEXT:
        raise Invalid(f"A note has from 1 to {LONGEST_TEXT} characters.")
    count = session.scalar(
        sa.select(sa.func.count()).where(
            IncidentEntry.incident_id == incident.id, IncidentEntry.kind == EntryKind.NOTE
        )
    )
    if (count or 0) >= MOST_NOTES:
        raise Conflict(f"An incident has at most {MOST_NOTES} notes; remove one first.")
    entry = write(session, incident, EntryKind.NOTE, "Note", at=now, body=text)
    if entry is None:
        raise Conflict("The timeline is full; remove a note first.")
    said = IncidentNoted(**about(incident), changes={"note": (None, entry.id)})
    say(session, said, now=now)
    return entry


def remove_note(session: Session, incident: Incident, entry_id: str, *, now: datetime) -> None:
    """Take a note out. What wrote itself stays. Raises `NotFound` when it is no note."""
    entry = session.get(IncidentEntry, entry_id)
    if entry is None or entry.incident_id != incident.id or entry.kind != EntryKind.NOTE:
        raise NotFound("The incident has no such note; only notes can be taken out of a timeline.")
    session.delete(entry)
    session.flush()
    said = IncidentNoted(**about(incident), changes={"note": (entry_id, None)})
    say(session, said, now=now)


def record_health(
    session: Session, instance_id: str, title: str, *, body: str, tone: str, at: datetime
) -> int:
    """Write into the open incidents of an instance what was seen of it; returns into how many."""
    heard_by = session.scalars(
        sa.select(Incident)
        .where(Incident.instance_id == instance_id, Incident.resolved_at.is_(None))
        .order_by(Incident.opened_at.desc())
        .limit(MOST_HEARD_BY)
    ).all()
    for incident in heard_by:
        write(session, incident, EntryKind.HEALTH, title, at=at, body=body, tone=tone)
    return len(heard_by)
