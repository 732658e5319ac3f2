"""Telling an incident on status pages: by a report of each page, which its updates go on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.incidents.models import (
    EntryKind,
    Incident,
    IncidentReport,
    IncidentStatus,
    Severity,
)
from mainstay_server.contracts.incidents import IncidentTold
from mainstay_server.contracts.status_pages import (
    StatusPageSeen,
    ToldOnPage,
    list_status_pages,
    tell_on_status_page,
)
from mainstay_server.kernel.events import say
from mainstay_server.kernel.problems import NotFound

from .states import about
from .timeline import write


@dataclass(frozen=True, kw_only=True)
class Telling:
    """What is to be told on which page; without components those told before stay."""

    page_id: str
    body: str
    component_ids: Sequence[str] | None = None
    notify: bool = True


def tell(session: Session, incident: Incident, wanted: Telling, *, now: datetime) -> str:
    """Tell how an incident stands on a status page, by its report there; returns the report's id.

    Raises:
        NotFound: the organization has no such page.
        Invalid: a component is not on the page.
        Conflict: the page or its report takes no more.
    """
    if not tell_on_status_page.is_answered:
        raise NotFound("There are no status pages here.")
    present = session.get(IncidentReport, (incident.id, wanted.page_id))
    told = ToldOnPage(
        title=incident.title,
        status=IncidentStatus(incident.status).value,
        impact=Severity(incident.severity).value,
        body=wanted.body.strip(),
        component_ids=wanted.component_ids,
        started_at=min(incident.opened_at, now),
        notify=wanted.notify,
    )
    report_id = tell_on_status_page(
        session,
        incident.organization_id,
        wanted.page_id,
        told,
        report_id="" if present is None else present.report_id,
        now=now,
    )
    session.merge(
        IncidentReport(incident_id=incident.id, page_id=wanted.page_id, report_id=report_id)
    )
    session.flush()
    name = _names_of(session, incident.organization_id).get(wanted.page_id, "a status page")
    title = f"Told on {name}"
    write(session, incident, EntryKind.TOLD, title, at=now, body=told.body, tone="info")
    said = IncidentTold(**about(incident), page_id=wanted.page_id, report_id=report_id)
    say(session, said, now=now)
    return report_id


def reports_of(session: Session, incident_id: str) -> Sequence[IncidentReport]:
    """Where an incident is told, by page."""
    return session.scalars(
        sa.select(IncidentReport)
        .where(IncidentReport.incident_id == incident_id)
        .order_by(IncidentReport.page_id)
    ).all()


def pages_of(session: Session, organization_id: str) -> Sequence[StatusPageSeen]:
    """The status pages on which an incident of the organization may be told."""
    return list_status_pages(session, organization_id) if list_status_pages.is_answered else []


def _names_of(session: Session, organization_id: str) -> Mapping[str, str]:
    return {page.id: page.name for page in pages_of(session, organization_id)}
