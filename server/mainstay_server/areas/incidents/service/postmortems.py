"""Postmortems: what was learnt, begun from a template that the timeline and the figures fill in."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.areas.incidents.models import (
    EntryKind,
    Incident,
    IncidentEntry,
    IncidentRole,
    Postmortem,
)
from mainstay_server.contracts.incidents import IncidentPostmortemChanged
from mainstay_server.kernel.events import origin, say
from mainstay_server.kernel.problems import Conflict, Invalid

from .choices import choices_of
from .figures import own_figures
from .joining import alerts_of
from .people import people_of
from .states import about
from .timeline import first_entries, write

LONGEST_BODY = 100_000
MOST_LINES = 300
MOST_ALERTS = 50
ROOM_FOR_WORDS = 20_000
DEFAULT_TEMPLATE = """\
# {title}

| | |
| --- | --- |
| Incident | #{number} |
| Severity | {severity} |
| Began | {opened} |
| Over | {resolved} |
| Open for | {duration} |
| Taken up after | {acknowledged_after} |
| People | {people} |

## What happened

{summary}

## Impact

Who noticed, how many, and what they could not do.

## Root causes

What had to come together. Ask why until the answer is something that can be changed.

## What helped, and what did not

How it was noticed, what was tried, where luck came in.

## What we do about it

- [ ] What, who, until when

## Alerts

{alerts}

## Timeline (UTC)

{timeline}
"""
PLACES = (
    "title",
    "number",
    "severity",
    "status",
    "opened",
    "resolved",
    "duration",
    "acknowledged_after",
    "people",
    "summary",
    "alerts",
    "timeline",
)
_PLACE = re.compile(r"\{(" + "|".join(PLACES) + r")\}")
NOTHING = "–"  # noqa: RUF001 - the typographic sign for "no value"


def find_postmortem(session: Session, incident_id: str) -> Postmortem | None:
    """What was written about an incident; None while nobody has."""
    return session.get(Postmortem, incident_id)


def draft(session: Session, incident: Incident, *, now: datetime) -> str:
    """The project's template with the places filled in that it has; nothing is kept.

    Unknown places stay as they are. The timeline is of at most 300 lines, the alerts of 50.
    """
    template = choices_of(session, incident.project_id).template or DEFAULT_TEMPLATE
    values = _values(session, incident, now=now)
    pieces: list[str] = []
    left = LONGEST_BODY
    for at, piece in enumerate(
        _PLACE.split(template)
    ):  # what the template says, a place, and so on
        pieces.append((values[piece] if at % 2 else piece)[:left])
        left -= len(pieces[-1])
        if not left:
            break
    return "".join(pieces)


def save(
    session: Session, incident: Incident, body: str, *, version: int, now: datetime
) -> Postmortem:
    """Keep what was written, if nobody else has written since `version`; 0 where nothing was.

    Raises:
        Conflict: somebody changed it meanwhile.
        Invalid: it is empty or too long.
    """
    if not body.strip() or len(body) > LONGEST_BODY:
        raise Invalid(f"A postmortem has from 1 to {LONGEST_BODY} characters.")
    present = session.get(Postmortem, incident.id, with_for_update=True)
    if version != (present.version if present else 0):
        raise Conflict(
            "Somebody changed the postmortem meanwhile; take their words in, and save again.",
            code="changed-meanwhile",
        )
    before = len(present.body) if present else None
    if present is None:
        write(session, incident, EntryKind.POSTMORTEM, "Began the postmortem", at=now)
        present = Postmortem(incident_id=incident.id, body=body, version=0, changed_at=now)
        session.add(present)
    present.body = body
    present.version += 1
    present.changed_at = now
    present.changed_by = origin().name[:100]
    session.flush()
    said = IncidentPostmortemChanged(**about(incident), changes={"length": (before, len(body))})
    say(session, said, now=now)
    return present


def text_of(session: Session, incident: Incident, *, now: datetime) -> str:
    """What is exported: what was written, or else the draft."""
    found = find_postmortem(session, incident.id)
    return found.body if found else draft(session, incident, now=now)


def in_words(duration: timedelta | None) -> str:
    """`45 s`, `3 min`, `2 h 5 min`, `1 d 4 h`; a dash for none."""
    if duration is None:
        return NOTHING
    minutes, seconds = divmod(round(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds} s"


def at_utc(moment: datetime | None) -> str:
    """`2026-11-26 12:00:05 UTC`; a dash for none."""
    return NOTHING if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _values(session: Session, incident: Incident, *, now: datetime) -> dict[str, str]:
    figures = own_figures(incident, now=now)
    people = people_of(session, [incident.id])[incident.id]
    entries = first_entries(session, incident.id, limit=MOST_LINES)
    alerts = alerts_of(session, incident.id)[:MOST_ALERTS]
    return {
        "title": incident.title,
        "number": str(incident.number),
        "severity": incident.severity,
        "status": incident.status,
        "opened": at_utc(incident.opened_at),
        "resolved": at_utc(incident.resolved_at) if incident.resolved_at else "still open",
        "duration": in_words(figures.open_for),
        "acknowledged_after": in_words(figures.acknowledged_after),
        "people": ", ".join(_in_role(one.name, one.role) for one in people) or NOTHING,
        "summary": incident.summary or "In two sentences, for somebody who was not there.",
        "alerts": "\n".join(
            f"- {each.title} ({each.severity}): {at_utc(each.opened_at)}, "
            f"{f'over {at_utc(each.resolved_at)}' if each.resolved_at else 'still active'}"
            for each in alerts
        )
        or "None.",
        "timeline": _timeline(entries) or "Nothing was written down.",
    }


def _in_role(name: str, role: IncidentRole) -> str:
    return name if role is IncidentRole.RESPONDER else f"{name} ({role})"


def _timeline(entries: Sequence[IncidentEntry]) -> str:
    """One item a line, cut where there would be no room left for what people write."""
    lines, length = [], 0
    for entry in entries:
        by = f" ({entry.actor})" if entry.actor else ""
        words = "" if entry.kind == EntryKind.OPENED else entry.body.strip()
        more = "".join(f"\n  {line}" for line in words.splitlines()) if words else ""
        line = f"- **{entry.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}** {entry.title}{by}{more}"
        length += len(line)
        if length > LONGEST_BODY - ROOM_FOR_WORDS:
            lines.append("- … and more, in the timeline of the incident")
            break
        lines.append(line)
    return "\n".join(lines)
