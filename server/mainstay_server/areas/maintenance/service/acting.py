"""Acting on single windows by hand: begin or end one early, extend, move or cancel it."""

from datetime import UTC, datetime
from typing import TypedDict

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.maintenance.models import (
    ChangedWindow,
    Maintenance,
    MaintenancePlan,
)
from mainstay_server.contracts.maintenance import (
    MaintenanceCancelled,
    MaintenanceEnded,
    MaintenanceExtended,
    MaintenanceWindowCancelled,
    MaintenanceWindowChanged,
)
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.tenancy.subjects import ProjectRef

from .telling import row_of, tell, told_of
from .windows import LONGEST, STAMP, Occurrence, as_changed, as_planned, is_planned

_ID_LENGTH = 36


class WindowNames(TypedDict):
    """Whose something is: what every audited event about a window carries."""

    organization_id: str
    project_id: str
    maintenance_id: str
    window_id: str
    name: str


def get_window(session: Session, project: ProjectRef, window_id: str) -> Occurrence:
    """A window of a project that was not cancelled. Raises `NotFound`."""
    found = _find(session, project, window_id)
    if found is None:
        raise NotFound("The project has no such maintenance window; list them first.")
    return found


def start_window(
    session: Session, project: ProjectRef, window_id: str, *, now: datetime
) -> Occurrence:
    """Begin a window now instead of later; its end stays. Raises `Conflict` if it has begun."""
    return move_window(session, project, window_id, starts_at=now, now=now)


def end_window(
    session: Session, project: ProjectRef, window_id: str, *, now: datetime
) -> Occurrence:
    """End a window that lasts, now. Raises `Conflict` if it does not last."""
    window = _locked(session, project, window_id)
    if window.status_at(now) != "active":
        raise Conflict("The window does not last; one that has not begun can be cancelled.")
    before = _times(window)
    end_now(session, window, now=now)
    _say_changed(session, window, before, now=now)
    tell(session, window.maintenance, now=now)
    return get_window(session, project, window_id)


def move_window(
    session: Session,
    project: ProjectRef,
    window_id: str,
    *,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    now: datetime,
) -> Occurrence:
    """Give a window another start or end; what is None stays.

    Raises:
        Conflict: it is over, or it has begun and its start would move.
        Invalid: it would end before it begins, begin in the past, or last over 31 days.
    """
    window = _locked(session, project, window_id)
    status = window.status_at(now)
    start, end = starts_at or window.started_at, ends_at or window.ended_at
    if status == "ended" or (status == "active" and start != window.started_at):
        raise Conflict("What has been of a window stays; only the end of one that lasts can move.")
    if start < min(now, window.started_at) or end <= max(start, now) or end - start > LONGEST:
        raise Invalid("A window must end after it begins and after now, and last at most 31 days.")
    before = _times(window)
    row = row_of(session, window)
    row.started_at, row.ended_at = start, end
    session.flush()
    moved = get_window(session, project, window_id)
    if _times(moved) == before:
        return moved
    if status == "active":
        say(session, MaintenanceExtended(**told_of(moved)), now=now)
    elif start > now and row.announced_at is not None:
        row.announced_at = None  # what was announced is another time now
    _say_changed(session, moved, before, now=now)
    tell(session, window.maintenance, now=now)
    return moved


def cancel_window(session: Session, project: ProjectRef, window_id: str, *, now: datetime) -> None:
    """Call off a window that has not begun. Raises `Conflict` if it has."""
    window = _locked(session, project, window_id)
    if window.status_at(now) != "upcoming":
        raise Conflict("The window has begun; one that lasts can be ended.")
    row = row_of(session, window)
    row.is_cancelled = True
    session.flush()
    if row.announced_at is not None:
        say(session, MaintenanceCancelled(**told_of(window)), now=now)
    say(session, MaintenanceWindowCancelled(**_names(window)), now=now)
    tell(session, window.maintenance, now=now)


def end_now(session: Session, window: Occurrence, *, now: datetime) -> None:
    """End a window that lasts, and say so if it was said to have begun.

    One that begins in this very moment is gone as if it had never been.
    """
    row = row_of(session, window)
    row.ended_at, row.is_cancelled = now, now <= window.started_at
    session.flush()
    if row.began_told_at is not None:
        row.ended_told_at = now
        ended = Occurrence(
            maintenance=window.maintenance,
            plan=window.plan,
            planned_for=window.planned_for,
            started_at=window.started_at,
            ended_at=now,
            changed=row,
        )
        say(session, MaintenanceEnded(**told_of(ended)), now=now)


def _locked(session: Session, project: ProjectRef, window_id: str) -> Occurrence:
    """The window, with its maintenance held: one acts at a time."""
    window = get_window(session, project, window_id)
    session.refresh(window.maintenance, with_for_update=True)
    return get_window(session, project, window_id)


def _find(session: Session, project: ProjectRef, window_id: str) -> Occurrence | None:
    maintenance = session.get(Maintenance, window_id[:_ID_LENGTH])
    planned_for = _stamp_of(window_id[_ID_LENGTH:])
    if maintenance is None or maintenance.project_id != project.id or planned_for is None:
        return None
    row = session.scalar(
        sa.select(ChangedWindow).where(
            ChangedWindow.maintenance_id == maintenance.id,
            ChangedWindow.planned_for == planned_for,
        )
    )
    if row is not None:
        plan = session.get_one(MaintenancePlan, row.plan_id)
        return None if row.is_cancelled else as_changed(maintenance, plan, row)
    plans = session.scalars(
        sa.select(MaintenancePlan).where(MaintenancePlan.maintenance_id == maintenance.id)
    )
    found = next((plan for plan in plans if is_planned(plan, planned_for)), None)
    return None if found is None else as_planned(maintenance, found, planned_for)


def _stamp_of(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, f"-{STAMP}Z").replace(tzinfo=UTC)
    except ValueError:
        return None


def _times(window: Occurrence) -> dict[str, object]:
    return {"started_at": window.started_at, "ended_at": window.ended_at}


def _names(window: Occurrence) -> WindowNames:
    return {
        "organization_id": window.maintenance.organization_id,
        "project_id": window.maintenance.project_id,
        "maintenance_id": window.maintenance.id,
        "window_id": window.id,
        "name": window.maintenance.name,
    }


def _say_changed(
    session: Session, window: Occurrence, before: dict[str, object], *, now: datetime
) -> None:
    row = row_of(session, window)
    after = {"started_at": row.started_at, "ended_at": row.ended_at}
    changes = changes_between(before, after)
    say(session, MaintenanceWindowChanged(**_names(window), changes=changes), now=now)
