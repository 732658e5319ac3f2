"""Health checks as those see them who only care how something is: status pages, say."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session
from typing_extensions import override

from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.kernel.subjects import InstanceRef, Watched, Watches
from mainstay_server.tenancy.subjects import find_instance


class HealthChecksWatched(Watches):
    """What the area watches."""

    @override
    def list(self, session: Session, project_id: str, *, limit: int) -> Sequence[Watched]:
        return _watched(
            session,
            sa.select(HealthCheck)
            .where(HealthCheck.project_id == project_id)
            .order_by(HealthCheck.name, HealthCheck.id)
            .limit(limit),
        )

    @override
    def find(self, session: Session, ids: Collection[str]) -> Sequence[Watched]:
        return _watched(session, sa.select(HealthCheck).where(HealthCheck.id.in_(ids)))


HEALTH_CHECKS = HealthChecksWatched()


def _watched(session: Session, wanted: sa.Select[HealthCheck]) -> list[Watched]:
    checks = session.scalars(wanted).all()
    instances = {id_: find_instance(session, id_) for id_ in {c.instance_id for c in checks}}
    return [_as_watched(check, instances[check.instance_id]) for check in checks]


def _as_watched(check: HealthCheck, instance: InstanceRef | None) -> Watched:
    return Watched(
        id=check.id,
        kind="health_check",
        organization_id=check.organization_id,
        project_id=check.project_id,
        instance_id=check.instance_id,
        name=check.name,
        tags=tuple(check.tags),
        state=check.state,
        state_since=check.state_since,
        state_reason=check.state_reason,
        flapping=check.flapping_since is not None,
        watched_until=check.watched_until,
        silent_at=check.silent_at,
        page="" if instance is None else _page_of(check, instance),
    )


def _page_of(check: HealthCheck, instance: InstanceRef) -> str:
    return f"/dashboard/projects/{instance.project_slug}/health-checks/{check.id}"
