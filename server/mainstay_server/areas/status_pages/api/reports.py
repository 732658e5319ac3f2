"""Incidents and announced maintenances, over HTTP."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from sqlalchemy.orm import Session

from mainstay_server.areas.status_pages.models import (
    StatusMaintenance,
    StatusPage,
    StatusReport,
    StatusUpdate,
)
from mainstay_server.areas.status_pages.schemas.answers import (
    A_MAINTENANCE,
    A_REPORT,
    CURSOR,
    StatusMaintenanceAnswer,
    StatusMaintenances,
    StatusReportAnswer,
    StatusReports,
    StatusUpdateAnswer,
)
from mainstay_server.areas.status_pages.schemas.bodies import (
    NewStatusMaintenance,
    NewStatusReport,
    NewStatusUpdate,
    StatusMaintenanceChanges,
)
from mainstay_server.areas.status_pages.service import maintenances, pages, reports
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import (
    DEFAULT_PER_PAGE,
    decode_cursor,
    decode_moment,
    page_of,
)
from mainstay_server.kernel.web import Cursor, Limit, Router, example
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role

router = Router(prefix="/api/status-pages/{page_id}")

Viewed = Annotated[str, access.via(pages.owner_of_page, "page_id", Role.VIEWER)]
Written = Annotated[str, access.via(pages.owner_of_page, "page_id", Role.MEMBER)]


@router.get(
    "/reports",
    summary="List a status page's reports",
    responses=example({"reports": [A_REPORT], "nextCursor": CURSOR}),
)
def list_status_reports(
    session: Session, page_id: Viewed, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> StatusReports:
    """The incidents of a page with what was said about them, the newest first."""
    found = reports.list_reports(session, page_id, limit=limit + 1, before=_before(cursor))
    page = page_of(found, limit=limit, key=lambda one: (one.started_at.isoformat(), one.id))
    return StatusReports(reports=_reports(session, page.items), next_cursor=page.next_cursor)


@router.post(
    "/reports",
    status_code=201,
    summary="Open a report on a status page",
    responses=example(A_REPORT, 201),
)
def open_status_report(
    session: Session, page_id: Written, wanted: NewStatusReport
) -> StatusReportAnswer:
    """Tell an incident, and its first update to the subscribers it concerns."""
    page = pages.get_page(session, page_id)
    report = reports.open_report(session, page, wanted, now=utc_now())
    return _report(session, report)


@router.get(
    "/reports/{report_id}", summary="Get a report of a status page", responses=example(A_REPORT)
)
def get_status_report(session: Session, page_id: Viewed, report_id: str) -> StatusReportAnswer:
    """One incident, its newest update first."""
    return _report(session, _get(session, page_id, report_id)[1])


@router.post(
    "/reports/{report_id}/updates",
    status_code=201,
    summary="Say something about a report",
    responses=example(A_REPORT, 201),
)
def update_status_report(
    session: Session, page_id: Written, report_id: str, wanted: NewStatusUpdate
) -> StatusReportAnswer:
    """Say how it goes on; `resolved` ends the incident."""
    page, report = _get(session, page_id, report_id)
    reports.update_report(session, page, report, wanted, now=utc_now())
    return _report(session, report)


@router.delete("/reports/{report_id}", status_code=204, summary="Remove a report of a status page")
def remove_status_report(session: Session, page_id: Written, report_id: str) -> None:
    """Take an incident off the page, as if it had never been told."""
    page, report = _get(session, page_id, report_id)
    reports.remove_report(session, page, report, now=utc_now())


@router.get(
    "/maintenances",
    summary="List a status page's maintenances",
    responses=example({"maintenances": [A_MAINTENANCE], "nextCursor": CURSOR}),
)
def list_status_maintenances(
    session: Session, page_id: Viewed, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> StatusMaintenances:
    """What the page announces by itself, those that begin last first."""
    found = maintenances.list_maintenances(
        session, page_id, limit=limit + 1, before=_before(cursor)
    )
    page = page_of(found, limit=limit, key=lambda one: (one.starts_at.isoformat(), one.id))
    return StatusMaintenances(
        maintenances=_maintenances(session, page.items, now=utc_now()),
        next_cursor=page.next_cursor,
    )


@router.post(
    "/maintenances",
    status_code=201,
    summary="Announce a maintenance on a status page",
    responses=example(A_MAINTENANCE, 201),
)
def announce_status_maintenance(
    session: Session, page_id: Written, wanted: NewStatusMaintenance
) -> StatusMaintenanceAnswer:
    """Announce a maintenance; windows that are planned elsewhere are shown by themselves."""
    page = pages.get_page(session, page_id)
    made = maintenances.announce(session, page, wanted, now=utc_now())
    return _maintenances(session, [made], now=utc_now())[0]


@router.patch(
    "/maintenances/{announcement_id}",
    summary="Change a maintenance of a status page",
    responses=example(A_MAINTENANCE),
)
def change_status_maintenance(
    session: Session, page_id: Written, announcement_id: str, changes: StatusMaintenanceChanges
) -> StatusMaintenanceAnswer:
    """Move it, rename it, end it early, or say something about it."""
    page = pages.get_page(session, page_id)
    found = maintenances.get_maintenance(session, page, announcement_id)
    given = changes.model_dump(exclude_unset=True)
    maintenances.change_maintenance(session, page, found, given, now=utc_now())
    return _maintenances(session, [found], now=utc_now())[0]


@router.delete(
    "/maintenances/{announcement_id}",
    status_code=204,
    summary="Remove a maintenance of a status page",
)
def remove_status_maintenance(session: Session, page_id: Written, announcement_id: str) -> None:
    """Take back what was announced."""
    page = pages.get_page(session, page_id)
    found = maintenances.get_maintenance(session, page, announcement_id)
    maintenances.remove_maintenance(session, page, found, now=utc_now())


def _get(session: Session, page_id: str, report_id: str) -> tuple[StatusPage, StatusReport]:
    page = pages.get_page(session, page_id)
    return page, reports.get_report(session, page, report_id)


def _before(cursor: str) -> tuple[datetime, str] | None:
    position = decode_cursor(cursor, parts=2)
    return (decode_moment(position[0]), str(position[1])) if position else None


def _report(session: Session, report: StatusReport) -> StatusReportAnswer:
    return _reports(session, [report])[0]


def _reports(session: Session, found: Sequence[StatusReport]) -> list[StatusReportAnswer]:
    ids = [each.id for each in found]
    affected, updates = reports.affected_by(session, ids), reports.updates_of(session, ids)
    return [
        StatusReportAnswer(
            id=each.id,
            title=each.title,
            status=each.status,
            impact=each.impact,
            automatic=each.automatic,
            started_at=each.started_at,
            resolved_at=each.resolved_at,
            affected=affected[each.id],
            updates=[_update(one) for one in updates[each.id]],
        )
        for each in found
    ]


def _maintenances(
    session: Session, found: Sequence[StatusMaintenance], *, now: datetime
) -> list[StatusMaintenanceAnswer]:
    said = maintenances.updates_of(session, [each.id for each in found])
    return [
        StatusMaintenanceAnswer(
            id=each.id,
            title=each.title,
            status=maintenances.status_at(each.starts_at, each.ends_at, now=now),
            component_ids=each.component_ids,
            starts_at=each.starts_at,
            ends_at=each.ends_at,
            updates=[_update(one) for one in said[each.id]],
        )
        for each in found
    ]


def _update(update: StatusUpdate) -> StatusUpdateAnswer:
    return StatusUpdateAnswer.model_validate(update)
