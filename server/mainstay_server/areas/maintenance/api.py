"""The API of maintenance: what is planned, its windows, and acting on one by hand."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import Path, Query
from sqlalchemy.orm import Session

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, page_within
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.web import Cursor, Limit, Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef

from .models import Maintenance
from .schemas import (
    MOST_COVERED,
    CoveredAnswer,
    MaintenanceAnswer,
    MaintenanceBody,
    MaintenanceChanges,
    MaintenancesAnswer,
    PreviewAnswer,
    PreviewedWindow,
    WindowAnswer,
    WindowChanges,
    WindowsAnswer,
)
from .service import acting, listing, planning
from .service.listing import Planned
from .service.planning import Wanted
from .service.telling import current_plan
from .service.windows import Occurrence

PLANS = "/api/projects/{slug}/maintenance"
PLAN = PLANS + "/{maintenance_id}"
WINDOWS = "/api/projects/{slug}/maintenance-windows"
WINDOW = WINDOWS + "/{window_id}"
MOST_DAYS = 366
AHEAD = timedelta(days=60)
FIRST = datetime(1970, 1, 1, tzinfo=UTC)
LAST = datetime.max.replace(tzinfo=UTC)

router = Router()

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]
WindowId = Annotated[str, Path(description="The id of the window.", max_length=60)]


@router.get(PLANS, summary="List maintenance")
def list_maintenance(
    session: Session,
    project: Viewed,
    *,
    q: Annotated[str, Query(max_length=100, description="In the name.")] = "",
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> MaintenancesAnswer:
    """What lasts or still comes in a project, by name, each with its next window."""
    now = utc_now()
    page = listing.list_maintenance(
        session, project.id, text=q, limit=limit, cursor=cursor, now=now
    )
    return MaintenancesAnswer(
        maintenance=[_answer(each, now=now) for each in page.items], next_cursor=page.next_cursor
    )


@router.post(PLANS, summary="Plan maintenance", status_code=201)
def plan_maintenance(
    session: Session, project: Written, body: MaintenanceBody
) -> MaintenanceAnswer:
    """Plan windows, once or again and again. Without `startsAt` and schedule, it begins now."""
    now = utc_now()
    wanted = Wanted(**body.model_dump())
    return _answer_of(
        session, planning.plan_maintenance(session, project, wanted, now=now), now=now
    )


@router.post("/api/projects/{slug}/maintenance-preview", summary="Preview maintenance")
def preview_maintenance(session: Session, project: Written, body: MaintenanceBody) -> PreviewAnswer:
    """The next ten windows of what would be planned, and what they would cover; keeps nothing."""
    plan, windows = listing.preview(session, project, Wanted(**body.model_dump()), now=utc_now())
    return PreviewAnswer(
        windows=[
            PreviewedWindow(
                starts_at=each.starts_at,
                ends_at=each.ends_at,
                local_start=each.local_start.isoformat(),
                local_end=each.local_end.isoformat(),
            )
            for each in windows
        ],
        covered=[
            CoveredAnswer(id=each.id, kind=each.kind, name=each.name, instance_id=each.instance_id)
            for each in listing.covered_by(session, project.id, plan.scope)[:MOST_COVERED]
        ],
    )


@router.get(PLAN, summary="One maintenance")
def get_maintenance(session: Session, project: Viewed, maintenance_id: str) -> MaintenanceAnswer:
    """What is planned, with its window that lasts or comes next."""
    found = planning.get_maintenance(session, project, maintenance_id)
    return _answer_of(session, found, now=utc_now())


@router.patch(PLAN, summary="Change maintenance")
def change_maintenance(
    session: Session, project: Written, maintenance_id: str, changes: MaintenanceChanges
) -> MaintenanceAnswer:
    """Plan it otherwise from now on; windows that have begun stay as they were."""
    now = utc_now()
    found = planning.get_maintenance(session, project, maintenance_id)
    given = {name: value for name, value in changes if value is not None}
    wanted = listing.changed(listing.wanted_of(found, current_plan(session, found)), given)
    changed = planning.change_maintenance(session, project, maintenance_id, wanted, now=now)
    return _answer_of(session, changed, now=now)


@router.delete(PLAN, summary="Remove maintenance", status_code=204)
def remove_maintenance(session: Session, project: Written, maintenance_id: str) -> None:
    """Call off all further windows, and end one that lasts; what has been still counts."""
    planning.remove_maintenance(session, project, maintenance_id, now=utc_now())


@router.get(WINDOWS, summary="List maintenance windows")
def list_windows(  # noqa: PLR0913 - what can be chosen
    session: Session,
    project: Viewed,
    *,
    since: Annotated[datetime | None, Query(alias="from", description="Default: now.")] = None,
    until: Annotated[
        datetime | None, Query(alias="to", description="Default: 60 days later.")
    ] = None,
    status: Annotated[
        Literal["upcoming", "active", "ended"] | None, Query(description="Default: all.")
    ] = None,
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> WindowsAnswer:
    """The windows that overlap a range of at most 366 days, by their start."""
    now = utc_now()
    since = since or now
    if since.tzinfo is None or (until is not None and until.tzinfo is None):
        raise Invalid("from and to need a time zone, such as a Z at their end.")
    since = max(since, FIRST)
    until = until or min(since, LAST - AHEAD) + AHEAD
    if not timedelta() < until - since <= timedelta(days=MOST_DAYS):
        raise Invalid(f"from must be before to, by at most {MOST_DAYS} days.")
    found = listing.windows_of_project(session, project.id, since=since, until=until)
    page = page_within(
        [each for each in found if status in (None, each.status_at(now))],
        limit=limit,
        cursor=cursor,
        key=lambda each: (each.started_at.isoformat(timespec="microseconds"), each.id),
    )
    return WindowsAnswer(
        windows=[_window(each, now=now) for each in page.items], next_cursor=page.next_cursor
    )


@router.patch(WINDOW, summary="Move a maintenance window")
def move_window(
    session: Session, project: Written, window_id: WindowId, changes: WindowChanges
) -> WindowAnswer:
    """Give one window another start or end; of one that lasts, only the end."""
    now = utc_now()
    moved = acting.move_window(
        session,
        project,
        window_id,
        starts_at=changes.starts_at,
        ends_at=changes.ends_at,
        now=now,
    )
    return _window(moved, now=now)


@router.post(WINDOW + "/start", summary="Start a maintenance window early")
def start_window(session: Session, project: Written, window_id: WindowId) -> WindowAnswer:
    """Begin it now; its end stays."""
    now = utc_now()
    return _window(acting.start_window(session, project, window_id, now=now), now=now)


@router.post(WINDOW + "/end", summary="End a maintenance window early")
def end_window(session: Session, project: Written, window_id: WindowId) -> WindowAnswer:
    """End it now; what is still in trouble is told."""
    now = utc_now()
    return _window(acting.end_window(session, project, window_id, now=now), now=now)


@router.post(WINDOW + "/cancel", summary="Cancel a maintenance window", status_code=204)
def cancel_window(session: Session, project: Written, window_id: WindowId) -> None:
    """Call off this one; others of the same maintenance stay."""
    acting.cancel_window(session, project, window_id, now=utc_now())


def _answer_of(session: Session, found: Maintenance, *, now: datetime) -> MaintenanceAnswer:
    return _answer(listing.with_plans(session, [found], now=now)[0], now=now)


def _answer(planned: Planned, *, now: datetime) -> MaintenanceAnswer:
    found, plan = planned.maintenance, planned.plan
    return MaintenanceAnswer(
        id=found.id,
        name=found.name,
        description=found.description,
        starts_at=plan.wall_start,
        time_zone=plan.time_zone,
        duration_minutes=plan.duration_minutes,
        schedule=plan.schedule,
        announce_minutes=found.announce_minutes,
        instance_ids=plan.instance_ids,
        tags=plan.tags,
        subject_ids=plan.subject_ids,
        created_at=found.created_at,
        next_window=_window(planned.next_window, now=now) if planned.next_window else None,
    )


def _window(each: Occurrence, *, now: datetime) -> WindowAnswer:
    return WindowAnswer(
        id=each.id,
        maintenance_id=each.maintenance.id,
        name=each.maintenance.name,
        description=each.maintenance.description,
        status=each.status_at(now),
        starts_at=each.started_at,
        ends_at=each.ended_at,
        instance_ids=each.plan.instance_ids,
        tags=each.plan.tags,
        subject_ids=each.plan.subject_ids,
    )
