"""Figures over incidents: how long until somebody took them up, and until they were over."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.incidents.models import Incident, Severity

from .states import open_ms_at


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Figures over the incidents that were opened in a range; a mean of nothing is None.

    MTTA, the mean time to acknowledge, is over those that alerts opened and somebody took up: who
    opens one by hand has taken it up already. MTTR, the mean time to resolve, is over those that
    are over; what lay between an end and a reopening does not count. Both are in seconds.
    """

    opened: int
    open: int
    resolved: int
    acknowledged: int
    never_acknowledged: int
    mtta_seconds: float | None
    mttr_seconds: float | None
    longest_seconds: float | None
    by_severity: dict[Severity, int]


@dataclass(frozen=True, kw_only=True)
class OwnFigures:
    """The same of one incident; None where it has not come to that, or does not count."""

    acknowledged_after: timedelta | None
    open_for: timedelta
    resolved_after: timedelta | None


def figures_of(session: Session, project_id: str, *, since: datetime, until: datetime) -> Figures:
    """The figures over what was opened from `since` to before `until`; one statement, exact."""
    is_over = Incident.resolved_at.is_not(None)
    unseen = sa.and_(Incident.automatic, Incident.acknowledged_at.is_(None))
    rows = session.execute(
        sa.select(
            Incident.severity,
            sa.func.count(),
            sa.func.sum(sa.case((is_over, 1), else_=0)),
            sa.func.sum(sa.case((is_over, Incident.open_ms), else_=0)),
            sa.func.max(sa.case((is_over, Incident.open_ms))),
            sa.func.count(Incident.acknowledged_after_ms),
            sa.func.sum(Incident.acknowledged_after_ms),
            sa.func.sum(sa.case((unseen, 1), else_=0)),
        )
        .where(
            Incident.project_id == project_id,
            Incident.opened_at >= since,
            Incident.opened_at < until,
        )
        .group_by(Incident.severity)
    ).all()
    opened, resolved, open_ms, acknowledged, acknowledged_ms, unseen_count = (
        sum(int(row[column] or 0) for row in rows) for column in (1, 2, 3, 5, 6, 7)
    )
    longest = max((int(row[4]) for row in rows if row[4] is not None), default=None)
    return Figures(
        opened=opened,
        open=opened - resolved,
        resolved=resolved,
        acknowledged=acknowledged,
        never_acknowledged=unseen_count,
        mtta_seconds=_mean_seconds(acknowledged_ms, acknowledged),
        mttr_seconds=_mean_seconds(open_ms, resolved),
        longest_seconds=None if longest is None else longest / 1000,
        by_severity=dict.fromkeys(Severity, 0) | {Severity(row[0]): int(row[1]) for row in rows},
    )


def own_figures(incident: Incident, *, now: datetime) -> OwnFigures:
    """How long one incident waited and lasted, up to now while it is open."""
    waited = incident.acknowledged_after_ms
    lasted = timedelta(milliseconds=open_ms_at(incident, now))
    return OwnFigures(
        acknowledged_after=None if waited is None else timedelta(milliseconds=waited),
        open_for=lasted,
        resolved_after=None if incident.is_open else lasted,
    )


def _mean_seconds(total_ms: int, count: int) -> float | None:
    return total_ms / count / 1000 if count else None
