"""Maintenances that a page announces: from when to when, of what, and what is said about them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.status_pages.models import (
    StatusMaintenance,
    StatusPage,
    StatusUpdate,
)
from mainstay_server.areas.status_pages.schemas.bodies import NewStatusMaintenance
from mainstay_server.areas.status_pages.schemas.events import StatusUpdateSaid
from mainstay_server.contracts.status_pages import (
    StatusMaintenanceAnnounced,
    StatusMaintenanceChanged,
    StatusMaintenanceRemoved,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound

from .changing import record_change
from .components import list_components

MOST_AHEAD = 100
LONGEST = timedelta(days=31)
TOLD = ("title", "starts_at", "ends_at", "component_ids")


def list_maintenances(
    session: Session, page_id: str, *, limit: int, before: tuple[datetime, str] | None = None
) -> Sequence[StatusMaintenance]:
    """The maintenances of a page, those that begin last first."""
    statement = sa.select(StatusMaintenance).where(StatusMaintenance.page_id == page_id)
    if before is not None:
        order = sa.tuple_(StatusMaintenance.starts_at, StatusMaintenance.id)
        statement = statement.where(order < before)
    return session.scalars(
        statement.order_by(StatusMaintenance.starts_at.desc(), StatusMaintenance.id.desc()).limit(
            limit
        )
    ).all()


def get_maintenance(session: Session, page: StatusPage, maintenance_id: str) -> StatusMaintenance:
    """One maintenance of a page. Raises `NotFound` when the page announces no such one."""
    found = session.get(StatusMaintenance, maintenance_id)
    if found is None or found.page_id != page.id:
        raise NotFound("The page announces no such maintenance; its list has the ids of all.")
    return found


def announce(
    session: Session, page: StatusPage, wanted: NewStatusMaintenance, *, now: datetime
) -> StatusMaintenance:
    """Announce a maintenance on a page, and to its subscribers if wanted.

    Raises:
        Conflict: 100 are ahead.
        Invalid: it ends before it begins, lasts over 31 days, or is of what is not on the page.
    """
    ahead = session.scalar(
        sa.select(sa.func.count()).where(
            StatusMaintenance.page_id == page.id, StatusMaintenance.ends_at > now
        )
    )
    if (ahead or 0) >= MOST_AHEAD:
        raise Conflict(f"{ahead} maintenances are announced already; remove one first.")
    maintenance = StatusMaintenance(
        id=new_id(),
        page_id=page.id,
        title=wanted.title,
        component_ids=list(wanted.component_ids),
        starts_at=wanted.starts_at,
        ends_at=wanted.ends_at,
        created_at=now,
        changed_at=now,
    )
    _refuse_nonsense(session, page, maintenance)
    session.add(maintenance)
    session.flush()
    made = changes_between({}, facts_of(maintenance, TOLD))
    say(session, StatusMaintenanceAnnounced(**_about(page, maintenance), changes=made), now=now)
    _say_update(session, page, maintenance, body=wanted.body, notify=wanted.notify, now=now)
    return maintenance


def change_maintenance(
    session: Session,
    page: StatusPage,
    maintenance: StatusMaintenance,
    changes: Mapping[str, Any],
    *,
    now: datetime,
) -> None:
    """Change what is given; with a `body` it is said on the page, and told if `notify`.

    Raises:
        Invalid: it ends before it begins, lasts over 31 days, or is of what is not on the page.
    """
    before = facts_of(maintenance, TOLD)
    for name in TOLD:
        if changes.get(name) is not None:
            setattr(maintenance, name, changes[name])
    maintenance.changed_at = now
    _refuse_nonsense(session, page, maintenance)
    session.flush()
    changed = changes_between(before, facts_of(maintenance, TOLD))
    say(session, StatusMaintenanceChanged(**_about(page, maintenance), changes=changed), now=now)
    if changes.get("body"):
        _say_update(
            session,
            page,
            maintenance,
            body=changes["body"],
            notify=bool(changes.get("notify", True)),
            now=now,
        )
    record_change(session, page.id, now=now)


def remove_maintenance(
    session: Session, page: StatusPage, maintenance: StatusMaintenance, *, now: datetime
) -> None:
    """Take back what was announced."""
    gone = changes_between(facts_of(maintenance, TOLD), {})
    say(session, StatusMaintenanceRemoved(**_about(page, maintenance), changes=gone), now=now)
    session.delete(maintenance)
    record_change(session, page.id, now=now)


def status_at(starts_at: datetime, ends_at: datetime, *, now: datetime) -> str:
    """How far a maintenance has come, in Statuspage's words."""
    if now < starts_at:
        return "scheduled"
    return "in_progress" if now < ends_at else "completed"


def updates_of(session: Session, maintenance_ids: Sequence[str]) -> dict[str, list[StatusUpdate]]:
    """What was said about each maintenance, the newest first."""
    rows = session.scalars(
        sa.select(StatusUpdate)
        .where(StatusUpdate.maintenance_id.in_(maintenance_ids))
        .order_by(StatusUpdate.said_at.desc(), StatusUpdate.id.desc())
    )
    found: dict[str, list[StatusUpdate]] = {one: [] for one in maintenance_ids}
    for row in rows:
        found[str(row.maintenance_id)].append(row)
    return found


def _say_update(
    session: Session,
    page: StatusPage,
    maintenance: StatusMaintenance,
    *,
    body: str,
    notify: bool,
    now: datetime,
) -> None:
    update = StatusUpdate(
        id=new_id(),
        maintenance_id=maintenance.id,
        status=status_at(maintenance.starts_at, maintenance.ends_at, now=now),
        body=body,
        said_at=now,
    )
    session.add(update)
    record_change(session, page.id, now=now)
    if notify and page.published:
        say(session, StatusUpdateSaid(page_id=page.id, update_id=update.id), now=now)


def _refuse_nonsense(session: Session, page: StatusPage, maintenance: StatusMaintenance) -> None:
    if not timedelta() < maintenance.ends_at - maintenance.starts_at <= LONGEST:
        raise Invalid(f"endsAt comes after startsAt, by at most {LONGEST.days} days.")
    known = {component.id for component in list_components(session, page.id)}
    strange = next((one for one in maintenance.component_ids if one not in known), None)
    if strange is not None:
        raise Invalid(f"componentIds names {strange[:40]!r}, which is not on the page.")


def _about(page: StatusPage, maintenance: StatusMaintenance) -> dict[str, str]:
    return {
        "organization_id": page.organization_id,
        "page_id": page.id,
        "maintenance_id": maintenance.id,
        "title": maintenance.title,
    }
