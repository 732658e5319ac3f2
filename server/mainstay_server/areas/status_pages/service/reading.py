"""Reading a page: everything that it shows, as values that need no database any more."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.status_pages.models import (
    ComponentStatus,
    ReportStatus,
    StatusComponent,
    StatusGroup,
    StatusLogo,
    StatusManualSpell,
    StatusPage,
    StatusUpdate,
)
from mainstay_server.areas.status_pages.schemas.facts import (
    Access,
    Chart,
    ComponentFacts,
    GroupFacts,
    MaintenanceFacts,
    PageFacts,
    ReportFacts,
    UpdateFacts,
)
from mainstay_server.contracts.health_checks import response_times
from mainstay_server.contracts.maintenance import MaintenanceWindow
from mainstay_server.kernel.mailing import why_no_mail
from mainstay_server.kernel.markdown import to_html
from mainstay_server.kernel.problems import Unavailable
from mainstay_server.kernel.settings import ServerSettings, of
from mainstay_server.kernel.subjects import Watched
from mainstay_server.kernel.watching import read_spells

from . import components as lines
from . import maintenances, reports
from .bars import Stretch, bars_of, days_until, merged
from .standing import earliest, of_state, worse
from .subjects import covering, find_subjects, windows_around

MOST_REPORTS = 500
MOST_MAINTENANCES = 200
LONGEST_AGE = timedelta(seconds=60)
CHART_HOURS = 24
CHART_STEP_SECONDS = 1800


def fingerprint_of(session: Session, page: StatusPage) -> str:
    """A name for the state of all that a page shows, but for what time alone changes.

    Two statements or three: it is asked every second.
    """
    ids = session.scalars(
        sa.select(StatusComponent.subject_id).where(
            StatusComponent.page_id == page.id, StatusComponent.subject_id != ""
        )
    ).all()
    found = find_subjects(session, page.organization_id, set(ids))
    states = sorted((one, each.state, each.state_since.isoformat()) for one, each in found.items())
    return hashlib.sha256(repr((page.id, page.version, states)).encode()).hexdigest()[:32]


def read_facts(session: Session, page: StatusPage, *, now: datetime) -> PageFacts:
    """Everything that a page shows as of now."""
    fingerprint = fingerprint_of(session, page)
    shown = lines.list_components(session, page.id)
    subjects = find_subjects(
        session, page.organization_id, {c.subject_id for c in shown if c.subject_id}
    )
    zone = ZoneInfo(page.time_zone)
    starts = days_until(now, zone)
    windows = windows_around(session, subjects.values(), since=starts[0], now=now)
    told = _reports(session, page)
    planned = _maintenances(session, page, shown, subjects, windows, now=now)
    charts = _charts(page, subjects, now=now)
    moments = [moment for each in planned for moment in (each.starts_at, each.ends_at)]
    context = _Context(session, subjects, planned, told, starts, zone, now)
    return PageFacts(
        **_about(session, page),
        made_at=now,
        changes_at=earliest(moments, after=now, latest=now + LONGEST_AGE),
        fingerprint=fingerprint,
        groups=[_group(group) for group in lines.list_groups(session, page.id)],
        components=[context.component(each, charts) for each in shown],
        reports=told,
        maintenances=planned,
    )


def page_url(page: StatusPage) -> str:
    """Where people find a page: at its own host, or else at the server's."""
    if page.host:
        return f"https://{page.host}"
    return f"{of(ServerSettings).public_url}/status/{page.slug}"


def access_of(page: StatusPage) -> Access:
    """Who may see a page; the stamp tells an old password from the present one."""
    stamp = hashlib.sha256(f"{page.id}:{page.password_hash}".encode()).hexdigest()[:16]
    return Access(
        visibility=page.visibility,
        organization_id=page.organization_id,
        networks=page.networks,
        stamp=stamp,
    )


class _Context:
    """What every component of a page is read with."""

    def __init__(  # noqa: PLR0913, PLR0917 - what was read before, once for all
        self,
        session: Session,
        subjects: Mapping[str, Watched],
        planned: Sequence[MaintenanceFacts],
        told: Sequence[ReportFacts],
        starts: Sequence[datetime],
        zone: ZoneInfo,
        now: datetime,
    ) -> None:
        self._session = session
        self._subjects = subjects
        self._planned = planned
        self._told = told
        self._starts = starts
        self._zone = zone
        self._now = now

    def component(self, component: StatusComponent, charts: Mapping[str, Chart]) -> ComponentFacts:
        subject = self._subjects.get(component.subject_id)
        mine = [each for each in self._planned if component.id in each.component_ids]
        bars = bars_of(
            self._stretches(component, subject),
            merged((each.starts_at, each.ends_at) for each in mine),
            self._starts,
            self._zone,
        )
        return ComponentFacts(
            id=component.id,
            name=component.name,
            description=component.description,
            group_id=component.group_id or "",
            position=component.position,
            status=self._status(component, subject, mine),
            only_if_degraded=component.only_if_degraded,
            created_at=component.created_at,
            changed_at=component.changed_at,
            subject_id=component.subject_id,
            since=subject.state_since if subject else None,
            days=bars.days,
            uptime=bars.uptime,
            chart=charts.get(component.subject_id),
        )

    def _status(
        self,
        component: StatusComponent,
        subject: Watched | None,
        planned: Sequence[MaintenanceFacts],
    ) -> ComponentStatus:
        if any(each.status == "in_progress" for each in planned):
            return ComponentStatus.MAINTENANCE
        status = ComponentStatus.UNKNOWN
        if subject is not None:
            status = of_state(subject.state)
        elif not component.subject_id:
            status = ComponentStatus(component.manual_status)
        for report in self._told:
            if report.resolved_at is None and component.id in report.affected:
                status = worse(status, ComponentStatus(report.affected[component.id]))
        return status

    def _stretches(self, component: StatusComponent, subject: Watched | None) -> list[Stretch]:
        since, until = self._starts[0], min(self._starts[-1], self._now)
        if subject is not None:
            spells = read_spells(self._session, [subject], since=since, until=until, now=self._now)[
                subject.id
            ]
            return [
                Stretch(
                    status=of_state(spell.state),
                    started_at=spell.started_at,
                    ended_at=spell.ended_at,
                )
                for spell in spells
            ]
        if component.subject_id:
            return []
        rows = self._session.scalars(
            sa.select(StatusManualSpell)
            .where(
                StatusManualSpell.component_id == component.id,
                StatusManualSpell.started_at < until,
                sa.or_(StatusManualSpell.ended_at.is_(None), StatusManualSpell.ended_at > since),
            )
            .order_by(StatusManualSpell.started_at)
        )
        return [
            Stretch(
                status=ComponentStatus(row.status),
                started_at=max(row.started_at, since),
                ended_at=min(row.ended_at or until, until),
            )
            for row in rows
        ]


def _about(session: Session, page: StatusPage) -> dict[str, Any]:
    logo = session.execute(
        sa.select(StatusLogo.digest, StatusLogo.media_type).where(StatusLogo.page_id == page.id)
    ).one_or_none()
    return {
        "id": page.id,
        "slug": page.slug,
        "host": page.host or "",
        "url": page_url(page),
        "name": page.name,
        "description": page.description,
        "description_html": to_html(page.description),
        "language": page.language,
        "time_zone": page.time_zone,
        "theme": page.theme,
        "accent": page.accent,
        "logo": f"logo-{logo.digest}.{logo.media_type.partition('/')[2]}" if logo else "",
        "shows_uptime": page.shows_uptime,
        "is_indexed": page.is_indexed,
        "takes_emails": page.takes_emails and not why_no_mail(),
        "takes_webhooks": page.takes_webhooks,
        "badge_version": page.badge_version,
        "access": access_of(page),
        "changed_at": page.changed_at,
    }


def _group(group: StatusGroup) -> GroupFacts:
    return GroupFacts(
        id=group.id,
        name=group.name,
        position=group.position,
        created_at=group.created_at,
        changed_at=group.changed_at,
    )


def _reports(session: Session, page: StatusPage) -> list[ReportFacts]:
    found = reports.list_reports(session, page.id, limit=MOST_REPORTS)
    ids = [report.id for report in found]
    affected = reports.affected_by(session, ids)
    updates = reports.updates_of(session, ids)
    return [
        ReportFacts(
            id=report.id,
            title=report.title,
            status=ReportStatus(report.status),
            impact=report.impact,
            automatic=report.automatic,
            started_at=report.started_at,
            resolved_at=report.resolved_at,
            created_at=report.created_at,
            changed_at=report.changed_at,
            updates=[_update(update) for update in updates[report.id]],
            affected=affected[report.id],
        )
        for report in found
    ]


def _update(update: StatusUpdate) -> UpdateFacts:
    return UpdateFacts(
        id=update.id,
        status=update.status,
        body=update.body,
        html=to_html(update.body),
        said_at=update.said_at,
    )


def _maintenances(
    session: Session,
    page: StatusPage,
    shown: Sequence[StatusComponent],
    subjects: Mapping[str, Watched],
    windows: Sequence[MaintenanceWindow],
    *,
    now: datetime,
) -> list[MaintenanceFacts]:
    """What is announced here and what is planned elsewhere, those that begin last first."""
    announced = maintenances.list_maintenances(session, page.id, limit=MOST_MAINTENANCES)
    said = maintenances.updates_of(session, [each.id for each in announced])
    found = [
        MaintenanceFacts(
            id=each.id,
            title=each.title,
            status=maintenances.status_at(each.starts_at, each.ends_at, now=now),
            starts_at=each.starts_at,
            ends_at=each.ends_at,
            created_at=each.created_at,
            changed_at=each.changed_at,
            component_ids=each.component_ids,
            updates=[_update(update) for update in said[each.id]],
        )
        for each in announced
    ]
    mine: dict[str, tuple[MaintenanceWindow, list[str]]] = {}
    for component in shown:
        subject = subjects.get(component.subject_id)
        for window in covering(subject, windows) if subject else ():
            mine.setdefault(window.id, (window, []))[1].append(component.id)
    found += [
        MaintenanceFacts(
            id=window.id,
            title=window.name if page.names_windows else "",
            status=maintenances.status_at(window.started_at, window.ended_at, now=now),
            starts_at=window.started_at,
            ends_at=window.ended_at,
            created_at=min(window.started_at, now),
            changed_at=min(window.started_at, now),
            component_ids=component_ids,
            planned=True,
        )
        for window, component_ids in mine.values()
    ]
    return sorted(found, key=lambda each: each.starts_at, reverse=True)[:MOST_MAINTENANCES]


def _charts(
    page: StatusPage, subjects: Mapping[str, Watched], *, now: datetime
) -> dict[str, Chart]:
    """The response times of the last 24 hours of each health check, where the page shows them."""
    checks = [each for each in subjects.values() if each.kind == "health_check"]
    if not page.shows_charts or not checks or not response_times.is_answered:
        return {}
    first = int(now.timestamp()) // CHART_STEP_SECONDS * CHART_STEP_SECONDS
    since = datetime.fromtimestamp(first, tz=now.tzinfo) - timedelta(hours=CHART_HOURS)
    try:
        found = response_times(checks, since=since, until=now, step_seconds=CHART_STEP_SECONDS)
    except Unavailable:  # a page without its curves is worth more than none
        return {}
    steps = CHART_HOURS * 3600 // CHART_STEP_SECONDS + 1
    moments = [since + timedelta(seconds=CHART_STEP_SECONDS * step) for step in range(steps)]
    return {
        check.id: Chart(
            started_at=since,
            step_seconds=CHART_STEP_SECONDS,
            values=[found[check.id].get(moment) for moment in moments],
        )
        for check in checks
        if found.get(check.id)
    }
