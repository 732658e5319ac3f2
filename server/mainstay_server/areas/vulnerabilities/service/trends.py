"""How many findings are open, now and on each day before."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.vulnerabilities.models import (
    OpenOnDay,
    Severity,
    Status,
    VulnerabilityFinding,
)
from mainstay_server.kernel.database import insert

Counts = dict[Severity, int]


def open_by_severity(session: Session, instance_ids: Sequence[str]) -> dict[str, Counts]:
    """How many findings of each severity are open, for each of some instances."""
    found = {one: dict.fromkeys(Severity, 0) for one in instance_ids}
    rows = session.execute(
        sa.select(VulnerabilityFinding.instance_id, VulnerabilityFinding.severity, sa.func.count())
        .where(
            VulnerabilityFinding.instance_id.in_(instance_ids),
            VulnerabilityFinding.status == Status.OPEN,
        )
        .group_by(VulnerabilityFinding.instance_id, VulnerabilityFinding.severity)
    )
    for instance_id, severity, count in rows:
        found[instance_id][Severity(severity)] = count
    return found


def record_open(session: Session, instance_id: str, *, now: datetime) -> None:
    """Keep how many are open now as today's figure; the last one of a day stays."""
    counts = open_by_severity(session, [instance_id])[instance_id]
    figures = {severity.value: count for severity, count in counts.items()}
    row = insert(OpenOnDay).values(
        instance_id=instance_id, day=now.astimezone(UTC).date(), **figures
    )
    session.execute(row.on_conflict_do_update(index_elements=["instance_id", "day"], set_=figures))


def open_by_day(
    session: Session, instance_id: str, *, days: int, now: datetime
) -> list[tuple[date, Counts | None]]:
    """The open findings at the end of each of the last days, today last; None before the first.

    A day on which nothing changed has no figure of its own and is as the one before.
    """
    today = now.astimezone(UTC).date()
    first = today - timedelta(days=days - 1)
    earlier = (
        sa.select(sa.func.max(OpenOnDay.day))
        .where(OpenOnDay.instance_id == instance_id, OpenOnDay.day < first)
        .scalar_subquery()
    )
    rows = session.scalars(
        sa.select(OpenOnDay)
        .where(
            OpenOnDay.instance_id == instance_id,
            OpenOnDay.day >= sa.func.coalesce(earlier, first),
        )
        .order_by(OpenOnDay.day)
    ).all()
    known = {row.day: {one: int(getattr(row, one.value)) for one in Severity} for row in rows}
    last = known[rows[0].day] if rows and rows[0].day < first else None
    found = []
    for each in range(days):
        day = first + timedelta(days=each)
        last = known.get(day, last)
        found.append((day, last))
    return found
