"""The timeline of an incident: it writes itself, and people write notes into it."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.incidents.models import EntryKind, Incident, IncidentEntry
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import origin
from mainstay_server.kernel.pagination import Page, decode_cursor, decode_moment, page_of

MOST_ENTRIES = 2000
LONGEST_TITLE = 300
LONGEST_TEXT = 10_000
FULL = "More happened than this timeline holds; what people do is still written down."


def write(  # noqa: PLR0913 - what a line of the timeline is made of
    session: Session,
    incident: Incident,
    kind: EntryKind,
    title: str,
    *,
    at: datetime,
    body: str = "",
    tone: str = "neutral",
) -> IncidentEntry | None:
    """Write a line, with the name of whoever is behind it, if anybody is.

    Of what happens by itself at most 2,000 lines are kept, the last of which says so; what people
    do is always written. Returns None for what was left out.
    """
    actor = origin().name
    if not actor:
        count = count_entries(session, incident.id)
        if count > MOST_ENTRIES:
            return None
        if count == MOST_ENTRIES:
            title, body, tone = FULL, "", "warn"
    entry = IncidentEntry(
        id=new_id(),
        incident_id=incident.id,
        kind=kind,
        at=at,
        actor=actor[:100],
        title=title[:LONGEST_TITLE],
        body=body[:LONGEST_TEXT],
        tone=tone,
    )
    session.add(entry)
    session.flush()
    return entry


def count_entries(session: Session, incident_id: str) -> int:
    """How many lines a timeline has."""
    counted = sa.select(sa.func.count()).where(IncidentEntry.incident_id == incident_id)
    return session.scalar(counted) or 0


def list_entries(
    session: Session, incident_id: str, *, limit: int, cursor: str = ""
) -> Page[IncidentEntry]:
    """What happened, the newest first. Raises `Invalid` for a strange cursor."""
    found = sa.select(IncidentEntry).where(IncidentEntry.incident_id == incident_id)
    position = decode_cursor(cursor, parts=2)
    if position is not None:
        before = (decode_moment(position[0]), str(position[1]))
        found = found.where(sa.tuple_(IncidentEntry.at, IncidentEntry.id) < before)
    rows = session.scalars(
        found.order_by(IncidentEntry.at.desc(), IncidentEntry.id.desc()).limit(limit + 1)
    ).all()
    return page_of(rows, limit=limit, key=lambda entry: (entry.at.isoformat(), entry.id))


def first_entries(session: Session, incident_id: str, *, limit: int) -> Sequence[IncidentEntry]:
    """What happened, the oldest first; at most so many, for what is read from the beginning."""
    return session.scalars(
        sa.select(IncidentEntry)
        .where(IncidentEntry.incident_id == incident_id)
        .order_by(IncidentEntry.at, IncidentEntry.id)
        .limit(limit)
    ).all()
