"""Reports: incidents as they are told, update by update, from investigating to resolved."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.status_pages.models import (
    ComponentStatus,
    Impact,
    ReportStatus,
    StatusPage,
    StatusReport,
    StatusReportComponent,
    StatusUpdate,
)
from mainstay_server.areas.status_pages.schemas.bodies import NewStatusReport, NewStatusUpdate
from mainstay_server.areas.status_pages.schemas.events import StatusUpdateSaid
from mainstay_server.contracts.status_pages import (
    StatusReportOpened,
    StatusReportRemoved,
    StatusReportUpdated,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound

from .changing import record_change
from .components import list_components

MOST_UPDATES = 200
MOST_OPEN = 50
FURTHEST_AHEAD = timedelta(minutes=5)
TOLD = ("title", "status", "impact")


def list_reports(
    session: Session, page_id: str, *, limit: int, before: tuple[datetime, str] | None = None
) -> Sequence[StatusReport]:
    """The reports of a page, the newest first; `before` is where the last list ended."""
    statement = sa.select(StatusReport).where(StatusReport.page_id == page_id)
    if before is not None:
        order = sa.tuple_(StatusReport.started_at, StatusReport.id)
        statement = statement.where(order < before)
    return session.scalars(
        statement.order_by(StatusReport.started_at.desc(), StatusReport.id.desc()).limit(limit)
    ).all()


def get_report(session: Session, page: StatusPage, report_id: str) -> StatusReport:
    """One report of a page. Raises `NotFound` when the page has no such report."""
    found = session.get(StatusReport, report_id)
    if found is None or found.page_id != page.id:
        raise NotFound("The page has no such report; its list has the ids of all.")
    return found


def open_report(
    session: Session,
    page: StatusPage,
    wanted: NewStatusReport,
    *,
    automatic: bool = False,
    now: datetime,
) -> StatusReport:
    """Tell an incident on a page, and its subscribers if wanted.

    Raises:
        Conflict: 50 reports are open.
        Invalid: it is said to begin later than now, or to affect what is not on the page.
    """
    started_at = wanted.started_at or now
    if started_at > now + FURTHEST_AHEAD:
        raise Invalid("startedAt lies ahead; announce a maintenance for what is to come.")
    _refuse_too_many(session, page)
    report = StatusReport(
        id=new_id(),
        page_id=page.id,
        title=wanted.title,
        status=wanted.status,
        impact=wanted.impact,
        automatic=automatic,
        started_at=started_at,
        resolved_at=now if wanted.status is ReportStatus.RESOLVED else None,
        created_at=now,
        changed_at=now,
    )
    session.add(report)
    session.flush()
    set_affected(session, page, report, wanted.affected)
    made = changes_between({}, facts_of(report, TOLD))
    opened = StatusReportOpened(**_about(page, report), automatic=automatic, changes=made)
    say(session, opened, now=now)
    _say_update(session, page, report, body=wanted.body, notify=wanted.notify, now=now)
    return report


def update_report(
    session: Session,
    page: StatusPage,
    report: StatusReport,
    wanted: NewStatusUpdate,
    *,
    now: datetime,
) -> StatusUpdate:
    """Say something about an incident; `resolved` ends it, anything else opens it again.

    Raises:
        Conflict: it has 200 updates.
        Invalid: it is said to affect what is not on the page.
    """
    count = session.scalar(sa.select(sa.func.count()).where(StatusUpdate.report_id == report.id))
    if (count or 0) >= MOST_UPDATES:
        raise Conflict(f"A report has at most {MOST_UPDATES} updates; open another report.")
    before = facts_of(report, TOLD)
    report.status = wanted.status or ReportStatus(report.status)
    report.impact = wanted.impact or Impact(report.impact)
    if report.status == ReportStatus.RESOLVED:
        report.resolved_at = report.resolved_at or now
    else:
        # Opened again it is somebody's: another that opened by itself may be open meanwhile.
        report.automatic = report.automatic and report.resolved_at is None
        report.resolved_at = None
    report.changed_at = now
    if wanted.affected is not None:
        set_affected(session, page, report, wanted.affected)
    session.flush()
    changed = changes_between(before, facts_of(report, TOLD))
    say(session, StatusReportUpdated(**_about(page, report), changes=changed), now=now)
    return _say_update(session, page, report, body=wanted.body, notify=wanted.notify, now=now)


def remove_report(
    session: Session, page: StatusPage, report: StatusReport, *, now: datetime
) -> None:
    """Take an incident off a page, as if it had never been told."""
    gone = changes_between(facts_of(report, TOLD), {})
    say(session, StatusReportRemoved(**_about(page, report), changes=gone), now=now)
    session.delete(report)
    record_change(session, page.id, now=now)


def set_affected(
    session: Session, page: StatusPage, report: StatusReport, affected: Mapping[str, str]
) -> None:
    """Say which components an incident affects, and how; nothing else is affected from now on.

    Raises:
        Invalid: one is not on the page.
    """
    known = {component.id for component in list_components(session, page.id)}
    strange = next((one for one in affected if one not in known), None)
    if strange is not None:
        raise Invalid(f"affected names {strange[:40]!r}, which is no component of the page.")
    session.execute(
        sa.delete(StatusReportComponent).where(StatusReportComponent.report_id == report.id)
    )
    session.add_all(
        StatusReportComponent(
            report_id=report.id, component_id=component_id, status=ComponentStatus(status)
        )
        for component_id, status in affected.items()
    )
    session.flush()


def affected_by(session: Session, report_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """What each report affects, and how."""
    rows = session.scalars(
        sa.select(StatusReportComponent).where(StatusReportComponent.report_id.in_(report_ids))
    )
    found: dict[str, dict[str, str]] = {report_id: {} for report_id in report_ids}
    for row in rows:
        found[row.report_id][row.component_id] = row.status
    return found


def updates_of(session: Session, report_ids: Sequence[str]) -> dict[str, list[StatusUpdate]]:
    """What was said about each report, the newest first."""
    rows = session.scalars(
        sa.select(StatusUpdate)
        .where(StatusUpdate.report_id.in_(report_ids))
        .order_by(StatusUpdate.said_at.desc(), StatusUpdate.id.desc())
    )
    found: dict[str, list[StatusUpdate]] = {report_id: [] for report_id in report_ids}
    for row in rows:
        found[str(row.report_id)].append(row)
    return found


def _say_update(
    session: Session,
    page: StatusPage,
    report: StatusReport,
    *,
    body: str,
    notify: bool,
    now: datetime,
) -> StatusUpdate:
    update = StatusUpdate(
        id=new_id(), report_id=report.id, status=report.status, body=body, said_at=now
    )
    session.add(update)
    record_change(session, page.id, now=now)
    if notify and page.published:
        say(session, StatusUpdateSaid(page_id=page.id, update_id=update.id), now=now)
    return update


def _refuse_too_many(session: Session, page: StatusPage) -> None:
    count = session.scalar(
        sa.select(sa.func.count()).where(
            StatusReport.page_id == page.id, StatusReport.resolved_at.is_(None)
        )
    )
    if (count or 0) >= MOST_OPEN:
        raise Conflict(f"{count} reports are open; resolve one first.")


def _about(page: StatusPage, report: StatusReport) -> dict[str, str]:
    return {
        "organization_id": page.organization_id,
        "page_id": page.id,
        "report_id": report.id,
        "title": report.title,
    }
