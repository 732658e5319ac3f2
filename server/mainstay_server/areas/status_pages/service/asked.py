"""Status pages as other areas may see them, and incidents that they tell there."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.status_pages.models import (
    Impact,
    ReportStatus,
    StatusComponent,
    StatusReport,
)
from mainstay_server.areas.status_pages.schemas.bodies import (
    NewStatusReport,
    NewStatusUpdate,
    Shown,
)
from mainstay_server.contracts.status_pages import StatusPageSeen, ToldOnPage
from mainstay_server.kernel.problems import NotFound

from . import pages, reading, reports

AFFECTED: dict[Impact, Shown] = {
    Impact.NONE: "operational",
    Impact.MINOR: "degraded_performance",
    Impact.MAJOR: "partial_outage",
    Impact.CRITICAL: "major_outage",
}


def list_seen(session: Session, organization_id: str) -> Sequence[StatusPageSeen]:
    """The status pages of an organization by name, with their components."""
    found = pages.list_pages(session, organization_id)
    rows = session.scalars(
        sa.select(StatusComponent)
        .where(StatusComponent.page_id.in_([page.id for page in found]))
        .order_by(StatusComponent.position, StatusComponent.id)
    )
    components: dict[str, dict[str, str]] = {page.id: {} for page in found}
    for row in rows:
        components[row.page_id][row.id] = row.name
    return [
        StatusPageSeen(
            id=page.id,
            name=page.name,
            url=reading.page_url(page),
            published=page.published,
            components=components[page.id],
        )
        for page in found
    ]


def tell(
    session: Session,
    organization_id: str,
    page_id: str,
    told: ToldOnPage,
    *,
    report_id: str,
    now: datetime,
) -> str:
    """Tell of an incident by its report on a page, or by a new one; returns the report's id."""
    if pages.owner_of_page(session, page_id) != organization_id:
        raise NotFound("There is no such status page; GET /api/status-pages lists yours.")
    page = pages.get_page(session, page_id)
    impact = Impact(told.impact)
    affected = (
        None if told.component_ids is None else dict.fromkeys(told.component_ids, AFFECTED[impact])
    )
    report = session.get(StatusReport, report_id) if report_id else None
    if report is not None and report.page_id == page.id:
        said = NewStatusUpdate(
            status=ReportStatus(told.status),
            impact=impact,
            body=told.body,
            affected=affected,
            notify=told.notify,
        )
        reports.update_report(session, page, report, said, now=now)
        return report.id
    opened = NewStatusReport(
        title=told.title,
        status=ReportStatus(told.status),
        impact=impact,
        body=told.body,
        affected=affected or {},
        started_at=told.started_at,
        notify=told.notify,
    )
    return reports.open_report(session, page, opened, now=now).id
