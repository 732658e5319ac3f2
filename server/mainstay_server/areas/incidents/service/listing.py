"""Looking for incidents: lists, counts, and forgetting what was long ago."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.incidents.models import Incident, IncidentAlert, Postmortem, Severity
from mainstay_server.kernel.database import rows_changed
from mainstay_server.kernel.pagination import Page, decode_cursor, page_of
from mainstay_server.kernel.problems import Invalid

MOST_FORGOTTEN_AT_ONCE = 1000
MOST_SHOWN = 20
MOST_NUMBER = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class IncidentFilter:
    """Which incidents to list; what is None or "" does not filter. `text` is title or number."""

    open: bool | None = None
    severity: Severity | None = None
    instance_id: str = ""
    text: str = ""


def list_incidents(
    session: Session, project_id: str, chosen: IncidentFilter, *, limit: int, cursor: str = ""
) -> Page[Incident]:
    """The incidents of a project, the newest first. Raises `Invalid` for a strange cursor."""
    found = sa.select(Incident).where(Incident.project_id == project_id)
    if chosen.open is not None:
        is_open = Incident.resolved_at.is_(None)
        found = found.where(is_open if chosen.open else ~is_open)
    if chosen.severity is not None:
        found = found.where(Incident.severity == chosen.severity)
    if chosen.instance_id:
        found = found.where(Incident.instance_id == chosen.instance_id)
    if chosen.text:
        number = sa.cast(Incident.number, sa.String) == chosen.text.removeprefix("#")
        title = Incident.title.icontains(chosen.text, autoescape=True)
        found = found.where(sa.or_(number, title))
    position = decode_cursor(cursor, parts=1)
    if position is not None:
        found = found.where(Incident.number < _number(position[0]))
    rows = session.scalars(found.order_by(Incident.number.desc()).limit(limit + 1)).all()
    return page_of(rows, limit=limit, key=lambda incident: (incident.number,))


def open_incidents(session: Session, instance_id: str) -> Sequence[Incident]:
    """What is open of an instance, the gravest first; at most 20."""
    rank = sa.case({severity: severity.rank for severity in Severity}, value=Incident.severity)
    return session.scalars(
        sa.select(Incident)
        .where(Incident.instance_id == instance_id, Incident.resolved_at.is_(None))
        .order_by(rank.desc(), Incident.opened_at.desc())
        .limit(MOST_SHOWN)
    ).all()


def latest_resolved(session: Session, instance_id: str, *, since: datetime) -> Incident | None:
    """What was over last of an instance since a moment; None without one."""
    return session.scalar(
        sa.select(Incident)
        .where(Incident.instance_id == instance_id, Incident.resolved_at >= since)
        .order_by(Incident.resolved_at.desc())
        .limit(1)
    )


def resolved_with_postmortems(
    session: Session, instance_id: str, severity: Severity, *, since: datetime, until: datetime
) -> Sequence[tuple[Incident, bool]]:
    """What people worked on and was over in a range, and whether each has a postmortem.

    The newest first, at most 20; what ended before anybody took it up is left out.
    """
    rows = session.execute(
        sa.select(Incident, Postmortem.incident_id.is_not(None))
        .outerjoin(Postmortem, Postmortem.incident_id == Incident.id)
        .where(
            Incident.instance_id == instance_id,
            Incident.severity == severity,
            Incident.acknowledged_at.is_not(None),
            Incident.resolved_at.between(since, until),
        )
        .order_by(Incident.resolved_at.desc())
        .limit(MOST_SHOWN)
    )
    return [(incident, bool(has_one)) for incident, has_one in rows]


def count_alerts_of(session: Session, incident_ids: Sequence[str]) -> Mapping[str, tuple[int, int]]:
    """How many alerts each incident has, and how many of them are active."""
    active = sa.func.sum(sa.case((IncidentAlert.resolved_at.is_(None), 1), else_=0))
    rows = session.execute(
        sa.select(IncidentAlert.incident_id, sa.func.count(), active)
        .where(IncidentAlert.incident_id.in_(incident_ids))
        .group_by(IncidentAlert.incident_id)
    )
    found = dict.fromkeys(incident_ids, (0, 0))
    for incident_id, count, still in rows:
        found[incident_id] = (count, int(still or 0))
    return found


def forget_resolved(session: Session, *, before: datetime) -> int:
    """Delete incidents that were resolved before an instant; at most 1,000 at once.

    Returns how many that were.
    """
    old = (
        sa.select(Incident.id)
        .where(Incident.resolved_at < before)
        .order_by(Incident.resolved_at)
        .limit(MOST_FORGOTTEN_AT_ONCE)
    )
    return rows_changed(session, sa.delete(Incident).where(Incident.id.in_(old)))


def _number(part: str | float) -> int:
    if not isinstance(part, int) or abs(part) > MOST_NUMBER:
        raise Invalid("The cursor is not one of ours; start without it.")
    return part
