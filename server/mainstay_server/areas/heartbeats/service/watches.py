"""Heartbeats as those see them who only care how something is: status pages, say."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session
from typing_extensions import override

from mainstay_server.areas.heartbeats.models import Heartbeat
from mainstay_server.kernel.subjects import Watched, Watches
from mainstay_server.tenancy.models import Instance, Project


class HeartbeatsWatched(Watches):
    """What the area watches."""

    @override
    def list(self, session: Session, project_id: str, *, limit: int) -> Sequence[Watched]:
        return _watched(session, Heartbeat.project_id == project_id, limit=limit)

    @override
    def find(self, session: Session, ids: Collection[str]) -> Sequence[Watched]:
        return _watched(session, Heartbeat.id.in_(ids), limit=len(ids))


HEARTBEATS = HeartbeatsWatched()


def _watched(
    session: Session, condition: sa.ColumnElement[bool], *, limit: int
) -> Sequence[Watched]:
    rows = session.execute(
        sa.select(Heartbeat, Project.slug)
        .join(Instance, Instance.id == Heartbeat.instance_id)
        .join(Project, Project.id == Instance.project_id)
        .where(condition)
        .order_by(Heartbeat.name, Heartbeat.id)
        .limit(limit)
    )
    return [_as_watched(row, slug) for row, slug in rows]


def _as_watched(heartbeat: Heartbeat, slug: str) -> Watched:
    return Watched(
        id=heartbeat.id,
        kind="heartbeat",
        organization_id=heartbeat.organization_id,
        project_id=heartbeat.project_id,
        instance_id=heartbeat.instance_id,
        name=heartbeat.name,
        tags=tuple(heartbeat.tags),
        state=heartbeat.state,
        state_since=heartbeat.state_since,
        state_reason=heartbeat.state_reason,
        flapping=heartbeat.flapping_since is not None,
        watched_until=heartbeat.watched_until,
        silent_at=heartbeat.silent_at,
        page=f"/dashboard/projects/{slug}/heartbeats/{heartbeat.instance_id}/{heartbeat.id}",
    )
