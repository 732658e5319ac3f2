"""What is told on a page: incidents with their updates, and announced maintenances."""

from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Form
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.status_pages.models import (
    Impact,
    ReportStatus,
    StatusPage,
)
from mainstay_server.areas.status_pages.schemas.bodies import (
    NewStatusMaintenance,
    NewStatusReport,
    NewStatusUpdate,
)
from mainstay_server.areas.status_pages.service import components, maintenances, pages, reports
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.web import Router

from .frame import ONE, Viewed, Written, act, made, show

router = Router(include_in_schema=False)
MOST_SHOWN = 50
STATUSES = [(each.value, each.value.capitalize()) for each in ReportStatus]
IMPACTS = [(each.value, each.value.capitalize()) for each in Impact]
AFFECTED = {
    Impact.NONE: "operational",
    Impact.MINOR: "degraded_performance",
    Impact.MAJOR: "partial_outage",
    Impact.CRITICAL: "major_outage",
}


@router.get(f"{ONE}/reports")
def show_reports(request: Request, session: Session, page_id: Viewed) -> Response:
    """What was told, the newest first, and the forms to say more."""
    page = pages.get_page(session, page_id)
    found = reports.list_reports(session, page.id, limit=MOST_SHOWN)
    planned = maintenances.list_maintenances(session, page.id, limit=MOST_SHOWN)
    shown = components.list_components(session, page.id)
    ids = [report.id for report in found]
    now = utc_now()
    return show(
        request,
        session,
        page,
        "reports",
        now=now,
        reports=found,
        affected=reports.affected_by(session, ids),
        updates=reports.updates_of(session, ids),
        maintenances=planned,
        stages={
            each.id: maintenances.status_at(each.starts_at, each.ends_at, now=now)
            for each in planned
        },
        components=shown,
        component_names={each.id: each.name for each in shown},
        statuses=STATUSES,
        impacts=IMPACTS,
    )


@router.post(f"{ONE}/reports")
def open_report(  # noqa: PLR0913, PLR0917 - the fields of its form
    session: Session,
    page_id: Written,
    title: Annotated[str, Form(max_length=300)] = "",
    status: Annotated[str, Form(max_length=20)] = "investigating",
    impact: Annotated[str, Form(max_length=20)] = "minor",
    body: Annotated[str, Form(max_length=20_000)] = "",
    component: Annotated[list[str], Form(max_length=200)] = [],  # noqa: B006 - FastAPI copies it
    notify: Annotated[str, Form(max_length=3)] = "",
) -> Response:
    """Tell an incident."""

    def do(page: StatusPage) -> None:
        shown = AFFECTED.get(Impact(impact), "partial_outage") if impact in AFFECTED else ""
        wanted = made(
            NewStatusReport,
            title=title,
            status=status,
            impact=impact,
            body=body,
            affected=dict.fromkeys(component, shown),
            notify=bool(notify),
        )
        reports.open_report(session, page, wanted, now=utc_now())

    return act(session, page_id, do, tab="reports", done="It is on the page now.")


@router.post(f"{ONE}/reports/{{report_id:id}}/updates")
def update_report(
    session: Session,
    page_id: Written,
    report_id: str,
    status: Annotated[str, Form(max_length=20)] = "",
    body: Annotated[str, Form(max_length=20_000)] = "",
    notify: Annotated[str, Form(max_length=3)] = "",
) -> Response:
    """Say how it goes on."""

    def do(page: StatusPage) -> None:
        report = reports.get_report(session, page, report_id)
        wanted = made(NewStatusUpdate, status=status or None, body=body, notify=bool(notify))
        reports.update_report(session, page, report, wanted, now=utc_now())

    return act(session, page_id, do, tab="reports", done="It is on the page now.")


@router.post(f"{ONE}/reports/{{report_id:id}}/remove")
def remove_report(session: Session, page_id: Written, report_id: str) -> Response:
    """Take an incident off the page."""

    def do(page: StatusPage) -> None:
        report = reports.get_report(session, page, report_id)
        reports.remove_report(session, page, report, now=utc_now())

    return act(session, page_id, do, tab="reports", done="The report is gone.")


@router.post(f"{ONE}/maintenances")
def announce(  # noqa: PLR0913, PLR0917 - the fields of its form
    session: Session,
    page_id: Written,
    title: Annotated[str, Form(max_length=300)] = "",
    starts_at: Annotated[str, Form(max_length=30)] = "",
    ends_at: Annotated[str, Form(max_length=30)] = "",
    body: Annotated[str, Form(max_length=20_000)] = "",
    component: Annotated[list[str], Form(max_length=200)] = [],  # noqa: B006 - FastAPI copies it
    notify: Annotated[str, Form(max_length=3)] = "",
) -> Response:
    """Announce a maintenance; its times are in the page's time zone."""

    def do(page: StatusPage) -> None:
        wanted = made(
            NewStatusMaintenance,
            title=title,
            body=body,
            component_ids=component,
            starts_at=_moment(starts_at, page),
            ends_at=_moment(ends_at, page),
            notify=bool(notify),
        )
        maintenances.announce(session, page, wanted, now=utc_now())

    return act(session, page_id, do, tab="reports", done="It is announced.")


@router.post(f"{ONE}/maintenances/{{maintenance_id:id}}/remove")
def remove_maintenance(session: Session, page_id: Written, maintenance_id: str) -> Response:
    """Take back an announcement."""

    def do(page: StatusPage) -> None:
        found = maintenances.get_maintenance(session, page, maintenance_id)
        maintenances.remove_maintenance(session, page, found, now=utc_now())

    return act(session, page_id, do, tab="reports", done="It is taken back.")


def _moment(text: str, page: StatusPage) -> datetime:
    """What a field of date and time says, in the page's time zone."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(page.time_zone)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Invalid("Give the date and time of both the start and the end.") from error
