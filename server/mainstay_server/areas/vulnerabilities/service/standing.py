"""What is open for too long."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.vulnerabilities.models import Severity, Status, VulnerabilityFinding


def old_criticals(
    session: Session, instance_id: str, *, before: datetime
) -> tuple[int, VulnerabilityFinding | None]:
    """How many critical findings are open since before a moment, and the oldest of them.

    One that came back is as old as its return.
    """
    since = sa.func.coalesce(VulnerabilityFinding.reopened_at, VulnerabilityFinding.main_since)
    old = sa.select(VulnerabilityFinding).where(
        VulnerabilityFinding.instance_id == instance_id,
        VulnerabilityFinding.status == Status.OPEN,
        VulnerabilityFinding.severity == Severity.CRITICAL,
        since < before,
    )
    count = session.scalar(sa.select(sa.func.count()).select_from(old.subquery())) or 0
    return count, session.scalar(old.order_by(since).limit(1))
