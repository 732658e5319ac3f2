"""Issues: what a project's error events are grouped into, and what is known of each."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.database import Base, Id

LONGEST_TITLE = 300
LONGEST_CULPRIT = 200
LONGEST_RELEASE = 250


class Status(StrEnum):
    """Where an issue stands in the work of its team."""

    UNRESOLVED = "unresolved"
    RESOLVED = "resolved"
    IGNORED = "ignored"


class Issue(Base):
    """One kind of error of a project. Times are those of receipt, by the server's clock.

    The id is computed from the project and the grouping hash, so that an event knows its issue
    before anything was looked up, in every process alike; and that makes a pair of them unique.
    """

    __tablename__ = "error_issues"
    __table_args__ = (
        sa.UniqueConstraint("project_id", "number"),
        sa.Index("ix_error_issues_status", "project_id", "status", "last_seen"),
        sa.Index("ix_error_issues_first_seen", "project_id", "first_seen"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    number: Mapped[int]
    first_instance_id: Mapped[str] = mapped_column(sa.String(36))
    grouping: Mapped[str] = mapped_column(sa.String(10))
    grouping_hash: Mapped[str] = mapped_column(sa.String(32))
    title: Mapped[str] = mapped_column(sa.String(LONGEST_TITLE))
    culprit: Mapped[str] = mapped_column(sa.String(LONGEST_CULPRIT))
    level: Mapped[str] = mapped_column(sa.String(10))
    first_release: Mapped[str] = mapped_column(sa.String(LONGEST_RELEASE))
    last_release: Mapped[str] = mapped_column(sa.String(LONGEST_RELEASE))
    count: Mapped[int] = mapped_column(sa.BigInteger)
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]
    status: Mapped[Status] = mapped_column(sa.String(10), default=Status.UNRESOLVED)
    resolved_at: Mapped[datetime | None]
    ignored_until: Mapped[datetime | None]
    ignored_until_count: Mapped[int | None] = mapped_column(sa.BigInteger)


class IssueInstance(Base):
    """What one instance saw of an issue."""

    __tablename__ = "error_issue_instances"
    __table_args__ = (sa.Index("ix_error_issue_instances_seen", "instance_id", "last_seen"),)

    issue_id: Mapped[str] = mapped_column(
        sa.ForeignKey("error_issues.id", ondelete="CASCADE"), primary_key=True
    )
    instance_id: Mapped[str] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), primary_key=True
    )
    count: Mapped[int] = mapped_column(sa.BigInteger)
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]


class IssueNumbers(Base):
    """The last number that a project gave to an issue, for short ids such as `SHOP-7`."""

    __tablename__ = "error_issue_numbers"

    project_id: Mapped[str] = mapped_column(
        sa.ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True
    )
    last_number: Mapped[int]


class IntakeName(Base):
    """A name under which one process stores batches, and the last batch that is in the counts.

    Batches of a name are numbered from 1 and folded into the counts in that order. What lies in
    the columns with a higher number was stored right before a crash and is folded by a job.
    """

    __tablename__ = "error_intake_names"

    id: Mapped[Id] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(sa.String(200))
    folded: Mapped[int] = mapped_column(sa.BigInteger)
    folded_at: Mapped[datetime]
