"""Figures: what the overview shows of an instance's errors."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.errors.models import Issue, IssueInstance, Status
from mainstay_server.kernel.area import Tile

from .reading import events_by_instance

PAGE = "errors"
HOURS = 24


def draw_tiles(session: Session, instance_ids: Sequence[str], now: datetime) -> Mapping[str, Tile]:
    """The error events of the last 24 hours, and how many issues wait for somebody."""
    events = events_by_instance(instance_ids, hours=HOURS, now=now)
    unresolved = _unresolved(session, instance_ids)
    tiles = {}
    for instance_id in instance_ids:
        values = events.get(instance_id, ())
        waiting = unresolved.get(instance_id, 0)
        tiles[instance_id] = Tile(
            label="Errors, 24 h",
            value=f"{sum(values):,}",
            tone="critical" if sum(values) and waiting else "ok" if not waiting else "warn",
            hint=f"{waiting:,} unresolved" if waiting else "nothing unresolved",
            page=PAGE,
            spark=values,
        )
    return tiles


def summarize(
    session: Session, instance_ids: Sequence[str], now: datetime
) -> Mapping[str, Mapping[str, Any]]:
    """The same for programs: `errors24h` and `unresolvedIssues`."""
    events = events_by_instance(instance_ids, hours=HOURS, now=now)
    unresolved = _unresolved(session, instance_ids)
    return {
        instance_id: {
            "errors24h": sum(events.get(instance_id, ())),
            "unresolvedIssues": unresolved.get(instance_id, 0),
        }
        for instance_id in instance_ids
    }


def _unresolved(session: Session, instance_ids: Sequence[str]) -> dict[str, int]:
    rows = session.execute(
        sa.select(IssueInstance.instance_id, sa.func.count())
        .join(Issue, Issue.id == IssueInstance.issue_id)
        .where(IssueInstance.instance_id.in_(instance_ids), Issue.status == Status.UNRESOLVED)
        .group_by(IssueInstance.instance_id)
    )
    return {instance_id: count for instance_id, count in rows}  # noqa: C416 - rows are no pairs
