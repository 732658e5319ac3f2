"""What is not kept for ever: branches that are gone, what was fixed long ago, old uploads."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.vulnerabilities.models import (
    OpenOnDay,
    Scan,
    ScanSource,
    Sighting,
    Status,
    VulnerabilityFinding,
)
from mainstay_server.kernel.database import rows_changed

AT_ONCE = 2000


def forget_branches(session: Session, *, before: datetime) -> int:
    """Forget branches that were not scanned since, and what was seen on them alone."""
    gone = sa.select(ScanSource.id).where(~ScanSource.is_main, ScanSource.scanned_at < before)
    sources = list(session.scalars(gone.limit(AT_ONCE)))
    session.execute(sa.delete(ScanSource).where(ScanSource.id.in_(sources)))
    nowhere = sa.select(VulnerabilityFinding.id).where(
        VulnerabilityFinding.main_since.is_(None),
        VulnerabilityFinding.last_seen_at < before,
        ~sa.exists().where(Sighting.finding_id == VulnerabilityFinding.id),
    )
    return len(sources) + _delete(session, nowhere)


def forget_old(session: Session, *, before: datetime) -> int:
    """Forget what was fixed before, unless it was called false; and uploads and days before."""
    fixed = sa.select(VulnerabilityFinding.id).where(
        VulnerabilityFinding.status == Status.FIXED,
        VulnerabilityFinding.fixed_at < before,
        VulnerabilityFinding.decision != "false_positive",
    )
    deleted = _delete(session, fixed)
    scans = list(
        session.scalars(sa.select(Scan.id).where(Scan.received_at < before).limit(AT_ONCE))
    )
    deleted += rows_changed(session, sa.delete(Scan).where(Scan.id.in_(scans)))
    return deleted + rows_changed(
        session, sa.delete(OpenOnDay).where(OpenOnDay.day < before.date())
    )


def _delete(session: Session, ids: sa.Select[str]) -> int:
    found = list(session.scalars(ids.limit(AT_ONCE)))
    return rows_changed(
        session, sa.delete(VulnerabilityFinding).where(VulnerabilityFinding.id.in_(found))
    )
