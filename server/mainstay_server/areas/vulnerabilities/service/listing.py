"""Looking at findings and scans: filtered, the gravest and newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.vulnerabilities.models import (
    Scan,
    ScanSource,
    Severity,
    Sighting,
    Status,
    VulnerabilityFinding,
)
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, Page, decode_cursor, page_of

Finding = VulnerabilityFinding
MOST_SOURCES = 200


@dataclass(frozen=True, kw_only=True)
class FindingFilter:
    """Which findings; an empty field stands for all."""

    status: Status | None = None
    severity: Severity | None = None
    text: str = ""
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class SeenBy:
    """A source that names a finding, or did."""

    source: str
    branch: str
    present: bool
    scanned_at: datetime


def list_findings(
    session: Session,
    instance_id: str,
    chosen: FindingFilter,
    *,
    limit: int = DEFAULT_PER_PAGE,
    cursor: str = "",
) -> Page[VulnerabilityFinding]:
    """The findings of an instance, the gravest first, then the newest."""
    statement = (
        sa.select(Finding)
        .where(Finding.instance_id == instance_id, *_conditions(chosen))
        .order_by(Finding.rank.desc(), Finding.id.desc())
        .limit(limit + 1)
    )
    if chosen.source:
        seen = (
            sa.select(Sighting.finding_id)
            .join(ScanSource, ScanSource.id == Sighting.source_id)
            .where(ScanSource.instance_id == instance_id, ScanSource.name == chosen.source)
        )
        statement = statement.where(Finding.id.in_(seen))
    after = decode_cursor(cursor, parts=2)
    if after is not None:
        rank, last = _number(after[0]), str(after[1])
        statement = statement.where(
            sa.or_(Finding.rank < rank, sa.and_(Finding.rank == rank, Finding.id < last))
        )
    found = session.scalars(statement).all()
    return page_of(found, limit=limit, key=lambda one: (one.rank, one.id))


def count_by_status(session: Session, instance_id: str) -> dict[Status, int]:
    """How many findings of each status an instance has."""
    counts = dict.fromkeys(Status, 0)
    rows = session.execute(
        sa.select(Finding.status, sa.func.count())
        .where(Finding.instance_id == instance_id)
        .group_by(Finding.status)
    )
    for status, count in rows:
        counts[Status(status)] = count
    return counts


def list_scans(
    session: Session, instance_id: str, *, limit: int = DEFAULT_PER_PAGE, cursor: str = ""
) -> Page[Scan]:
    """The uploads of an instance, newest first."""
    statement = (
        sa.select(Scan)
        .where(Scan.instance_id == instance_id)
        .order_by(Scan.id.desc())
        .limit(limit + 1)
    )
    after = decode_cursor(cursor, parts=1)
    if after is not None:
        statement = statement.where(Scan.id < str(after[0]))
    return page_of(session.scalars(statement).all(), limit=limit, key=lambda scan: (scan.id,))


def sources_of(session: Session, instance_id: str) -> Sequence[ScanSource]:
    """The lines of scans of the main branch, those heard of last first."""
    return session.scalars(
        sa.select(ScanSource)
        .where(ScanSource.instance_id == instance_id, ScanSource.is_main)
        .order_by(ScanSource.scanned_at.desc())
        .limit(MOST_SOURCES)
    ).all()


def seen_by(session: Session, finding_id: str) -> list[SeenBy]:
    """Who names a finding, or did, on which branch."""
    rows = session.execute(
        sa.select(ScanSource.name, ScanSource.branch, Sighting.present, ScanSource.scanned_at)
        .join(ScanSource, ScanSource.id == Sighting.source_id)
        .where(Sighting.finding_id == finding_id)
        .order_by(Sighting.present.desc(), ScanSource.scanned_at.desc())
        .limit(MOST_SOURCES)
    )
    return [
        SeenBy(source=name, branch=branch, present=present, scanned_at=at)
        for name, branch, present, at in rows
    ]


def _conditions(chosen: FindingFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if chosen.status is not None:
        conditions.append(Finding.status == chosen.status)
    if chosen.severity is not None:
        conditions.append(Finding.severity == chosen.severity)
    if chosen.text.strip():
        columns = (
            Finding.title,
            Finding.rule,
            Finding.package,
            sa.cast(Finding.identifiers, sa.Text),
            sa.cast(Finding.places, sa.Text),
        )
        text = chosen.text.strip()
        conditions.append(sa.or_(*(one.icontains(text, autoescape=True) for one in columns)))
    return conditions


def _number(part: str | float) -> int:
    return int(part) if isinstance(part, int | float) else 0
