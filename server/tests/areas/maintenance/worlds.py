"""Maintenance as tests of this area plan it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from mainstay_server.areas.maintenance.models import Maintenance
from mainstay_server.areas.maintenance.service import listing, planning
from mainstay_server.areas.maintenance.service.planning import Wanted
from mainstay_server.areas.maintenance.service.windows import Occurrence
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import ProjectRef, find_project
from sqlalchemy.orm import Session

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def project_of(session: Session, instance: InstanceRef) -> ProjectRef:
    found = find_project(session, instance.project_slug)
    assert found is not None
    return found


def planned(session: Session, instance: InstanceRef, **wanted: Any) -> Maintenance:
    """Maintenance of an hour that is planned at noon; by default it begins an hour later."""
    values: dict[str, Any] = {
        "name": "Patching",
        "starts_at": NOON + HOUR,
        "duration_minutes": 60,
    } | wanted
    return planning.plan_maintenance(
        session, project_of(session, instance), Wanted(**values), now=NOON
    )


def windows(
    session: Session, maintenance: Maintenance, *, days: int = 400, since: datetime = NOON
) -> list[Occurrence]:
    return listing.windows_of(
        session, maintenance.id, since=since - DAY, until=since + timedelta(days=days)
    )


def times(found: list[Occurrence]) -> list[tuple[datetime, datetime]]:
    return [(each.started_at, each.ended_at) for each in found]
