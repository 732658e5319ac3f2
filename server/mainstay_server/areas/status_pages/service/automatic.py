"""Automatic reports: opened when what is watched is down for long, closed when it is back."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.status_pages.models import (
    ComponentStatus,
    Impact,
    ReportStatus,
    StatusComponent,
    StatusPage,
    StatusReport,
)
from mainstay_server.areas.status_pages.schemas.bodies import NewStatusReport, NewStatusUpdate
from mainstay_server.contracts.maintenance import windows_over
from mainstay_server.kernel.subjects import Watched
from mainstay_server.kernel.watching import KNOWN, State

from .components import list_components
from .reports import affected_by, open_report, update_report
from .subjects import find_subjects
from .words import Words

MOST_PAGES_AT_ONCE = 500
LONGEST_TITLE = 200


def tend_reports(session: Session, *, now: datetime) -> int:
    """Open, extend and close the automatic report of each page that has them; how many changed.

    A page has one open at most: what goes down together is one incident. What lies in maintenance
    is expected to be down. A report that somebody took over, by saying more about it, is closed by
    recovery all the same.
    """
    pages = session.scalars(
        sa.select(StatusPage)
        .where(StatusPage.published, StatusPage.auto_report_minutes > 0)
        .order_by(StatusPage.id)
        .limit(MOST_PAGES_AT_ONCE)
    ).all()
    return sum(_tend(session, page, now=now) for page in pages)


def _tend(session: Session, page: StatusPage, *, now: datetime) -> bool:
    bound = [each for each in list_components(session, page.id) if each.subject_id]
    subjects = find_subjects(session, page.organization_id, {each.subject_id for each in bound})
    longest = timedelta(minutes=page.auto_report_minutes)
    down = [each for each in bound if _is_down(session, each, subjects, longest, now=now)]
    report = session.scalar(
        sa.select(StatusReport).where(
            StatusReport.page_id == page.id,
            StatusReport.automatic,
            StatusReport.resolved_at.is_(None),
        )
    )
    if report is None:
        return _open(session, page, down, subjects, now=now) if down else False
    return _follow(session, page, report, bound, subjects, down, now=now)


def _open(
    session: Session,
    page: StatusPage,
    down: Sequence[StatusComponent],
    subjects: Mapping[str, Watched],
    *,
    now: datetime,
) -> bool:
    words = Words(page.language, page.time_zone)
    title = words("auto_title_many", count=len(down))
    if len(down) == 1:
        title = words("auto_title_one", name=down[0].name)
    wanted = NewStatusReport(
        title=title[:LONGEST_TITLE],
        status=ReportStatus.INVESTIGATING,
        impact=Impact.MAJOR,
        body=words("auto_open", names=_named(down)),
        affected={each.id: ComponentStatus.MAJOR_OUTAGE.value for each in down},
        started_at=min(subjects[each.subject_id].state_since for each in down),
    )
    open_report(session, page, wanted, automatic=True, now=now)
    return True


def _follow(  # noqa: PLR0913 - one report, and how all that it may be about is
    session: Session,
    page: StatusPage,
    report: StatusReport,
    bound: Sequence[StatusComponent],
    subjects: Mapping[str, Watched],
    down: Sequence[StatusComponent],
    *,
    now: datetime,
) -> bool:
    words = Words(page.language, page.time_zone)
    affected = affected_by(session, [report.id])[report.id]
    fresh = [each for each in down if each.id not in affected]
    back = [each for each in bound if each.id in affected and _is_back(each, subjects)]
    left = {one: status for one, status in affected.items() if one not in {c.id for c in back}}
    left |= {each.id: ComponentStatus.MAJOR_OUTAGE.value for each in fresh}
    if not fresh and not back and left:
        return False
    if not left:
        # Which components it was about stays in the report, for those who read it later.
        wanted = NewStatusUpdate(status=ReportStatus.RESOLVED, body=words("auto_close"))
        update_report(session, page, report, wanted, now=now)
        return True
    body = "\n\n".join(
        words(phrase, names=_named(components))
        for phrase, components in (("auto_more", fresh), ("auto_less", back))
        if components
    )
    update_report(session, page, report, NewStatusUpdate(body=body, affected=left), now=now)
    return True


def _is_down(
    session: Session,
    component: StatusComponent,
    subjects: Mapping[str, Watched],
    longest: timedelta,
    *,
    now: datetime,
) -> bool:
    subject = subjects.get(component.subject_id)
    if subject is None or subject.state != State.UNHEALTHY or now - subject.state_since < longest:
        return False
    return not windows_over.is_answered or not windows_over(
        session, subject.instance_id, subject.tags, subject.id, since=now, until=now
    )


def _is_back(component: StatusComponent, subjects: Mapping[str, Watched]) -> bool:
    """Whether it is known to be up, or nobody watches it any more; not knowing ends nothing."""
    subject = subjects.get(component.subject_id)
    if subject is None or subject.state == State.PAUSED:
        return True
    return subject.state in KNOWN and subject.state != State.UNHEALTHY


def _named(components: Sequence[StatusComponent]) -> str:
    """Names as Markdown has them literally: a name must not become a link or a heading."""
    return ", ".join(_literal(each.name) for each in components)


def _literal(text: str) -> str:
    return "".join(f"\\{c}" if c in "\\`*_{}[]()<>#+-.!|~&" else c for c in text)
