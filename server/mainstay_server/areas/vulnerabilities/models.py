"""What scans found: findings, the lines of scans that see them, each upload, and how it went on."""

from datetime import date, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.database import Base, Id

MAIN = "main"
FLOORS = {"critical": 9.0, "high": 7.0, "medium": 4.0, "low": 0.1, "unknown": 0.0}


class Severity(StrEnum):
    """How grave a finding is, by the bands of CVSS; `unknown` when nobody said."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    UNKNOWN = "unknown"

    @property
    def rank(self) -> int:
        """4 for critical, 0 for unknown."""
        return len(Severity) - 1 - tuple(Severity).index(self)


class Status(StrEnum):
    """`unmerged` was seen on other branches than the main one, and never there."""

    OPEN = "open"
    ACCEPTED = "accepted"
    FALSE_POSITIVE = "false_positive"
    FIXED = "fixed"
    UNMERGED = "unmerged"


class Decision(StrEnum):
    """What somebody decided of a finding; it holds when the finding goes and comes back, too."""

    NONE = ""
    ACCEPTED = "accepted"
    FALSE_POSITIVE = "false_positive"


class VulnerabilitySettings(Base):
    """How an instance takes scans. The row is also what its uploads queue for, one at a time."""

    __tablename__ = "vulnerability_settings"

    instance_id: Mapped[Id] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), primary_key=True
    )
    main_branch: Mapped[str] = mapped_column(sa.String(200), default=MAIN)


class ScanSource(Base):
    """One line of scans that follow each other: the same scan, of the same branch.

    `is_main` says that what it sees is what is true of the instance. `branch` is "" when none was
    named, which is the main one.
    """

    __tablename__ = "vulnerability_sources"
    __table_args__ = (sa.UniqueConstraint("instance_id", "name", "branch"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    instance_id: Mapped[str] = mapped_column(sa.ForeignKey("instances.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(sa.String(200))
    branch: Mapped[str] = mapped_column(sa.String(200))
    is_main: Mapped[bool]
    scanned_at: Mapped[datetime]
    commit: Mapped[str] = mapped_column(sa.String(64), default="")


class Scan(Base):
    """One upload and what it changed. An `outdated` one was older than what is known already."""

    __tablename__ = "vulnerability_scans"
    __table_args__ = (sa.Index("ix_vulnerability_scans_newest", "instance_id", "id"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    instance_id: Mapped[str] = mapped_column(sa.ForeignKey("instances.id", ondelete="CASCADE"))
    source: Mapped[str] = mapped_column(sa.String(200))
    branch: Mapped[str] = mapped_column(sa.String(200))
    tool: Mapped[str] = mapped_column(sa.String(100))
    kind: Mapped[str] = mapped_column(sa.String(20))
    commit: Mapped[str] = mapped_column(sa.String(64))
    release: Mapped[str] = mapped_column(sa.String(200))
    complete: Mapped[bool]
    outdated: Mapped[bool]
    scanned_at: Mapped[datetime]
    received_at: Mapped[datetime] = mapped_column(index=True)
    findings: Mapped[int]
    new: Mapped[int]
    fixed: Mapped[int]
    reopened: Mapped[int]
    suppressed: Mapped[int]
    components: Mapped[int]


class VulnerabilityFinding(Base):
    """One weakness: of the code at a place, or of a package that is used.

    `subject` groups what may be one and the same: `pypi/jinja2` for a package, "" for code.
    `identifiers` are all names of the advisory; two findings of one package that share one are one.
    `present` says whether the newest scan of some main source names it.
    """

    __tablename__ = "vulnerability_findings"
    __table_args__ = (
        sa.UniqueConstraint("instance_id", "fingerprint"),
        sa.Index("ix_vulnerability_findings_list", "instance_id", "status", "rank", "id"),
        sa.Index("ix_vulnerability_findings_subject", "instance_id", "subject"),
        sa.Index("ix_vulnerability_findings_until", "status", "decided_until"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    instance_id: Mapped[str] = mapped_column(sa.ForeignKey("instances.id", ondelete="CASCADE"))
    fingerprint: Mapped[str] = mapped_column(sa.String(64))
    digest: Mapped[str] = mapped_column(sa.String(16))
    subject: Mapped[str] = mapped_column(sa.String(300))
    rule: Mapped[str] = mapped_column(sa.String(200))
    identifiers: Mapped[list[str]]
    tool: Mapped[str] = mapped_column(sa.String(100))
    title: Mapped[str] = mapped_column(sa.String(300))
    description: Mapped[str] = mapped_column(sa.Text)
    severity: Mapped[Severity] = mapped_column(sa.String(10))
    rank: Mapped[int]
    score: Mapped[float | None]
    package: Mapped[str] = mapped_column(sa.String(300))
    versions: Mapped[list[str]]
    fixed_in: Mapped[list[str]]
    places: Mapped[list[str]]
    links: Mapped[list[str]]
    status: Mapped[Status] = mapped_column(sa.String(20))
    present: Mapped[bool]
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    main_since: Mapped[datetime | None]
    reopened_at: Mapped[datetime | None]
    fixed_at: Mapped[datetime | None]
    fixed_release: Mapped[str] = mapped_column(sa.String(200), default="")
    fixed_commit: Mapped[str] = mapped_column(sa.String(64), default="")
    decision: Mapped[Decision] = mapped_column(sa.String(20), default=Decision.NONE)
    decided_reason: Mapped[str] = mapped_column(sa.String(500), default="")
    decided_until: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]


class Sighting(Base):
    """A source sees a finding, or did and does not any more."""

    __tablename__ = "vulnerability_sightings"
    __table_args__ = (sa.Index("ix_vulnerability_sightings_finding", "finding_id"),)

    source_id: Mapped[Id] = mapped_column(
        sa.ForeignKey("vulnerability_sources.id", ondelete="CASCADE"), primary_key=True
    )
    finding_id: Mapped[Id] = mapped_column(
        sa.ForeignKey("vulnerability_findings.id", ondelete="CASCADE"), primary_key=True
    )
    present: Mapped[bool]


class OpenOnDay(Base):
    """How many findings of each severity were open when a day was last looked at."""

    __tablename__ = "vulnerability_days"

    instance_id: Mapped[Id] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), primary_key=True
    )
    day: Mapped[date] = mapped_column(primary_key=True)
    critical: Mapped[int]
    high: Mapped[int]
    medium: Mapped[int]
    low: Mapped[int]
    unknown: Mapped[int]
