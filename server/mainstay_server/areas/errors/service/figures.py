"""Figures: what the overview shows of an instance's errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.errors.models import Issue, IssueInstance, Status

from .reading import events_by_instance

HOURS = 24


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Error events of the last 24 hours, hour by hour, and how many issues wait for somebody."""

    events: tuple[int, ...]
    unresolved: int


def figures_of(
    session: Session, instance_ids: Sequence[str], *, now: datetime
) -> dict[str, Figures]:
    """The figures of each instance, also of those without an error."""
    events = events_by_instance(instance_ids, hours=HOURS, now=now)
    unresolved = _unresolved(session, instance_ids)
    return {
        instance_id: Figures(
            events=events.get(instance_id, ()), unresolved=unresolved.get(instance_id, 0)
        )
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
