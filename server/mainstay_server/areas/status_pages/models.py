"""Status pages: what they show, what was told on them, and who asked to be told."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.database import Base, Id
from mainstay_server.kernel.sealing import SealedText


class Visibility(StrEnum):
    """Who sees a published page."""

    PUBLIC = "public"
    PASSWORD = "password"  # noqa: S105 - a word, not a secret
    ALLOWLIST = "allowlist"
    MEMBERS = "members"


class ComponentStatus(StrEnum):
    """How a component is, in the words of Statuspage; `unknown` where nobody looked."""

    OPERATIONAL = "operational"
    DEGRADED = "degraded_performance"
    PARTIAL_OUTAGE = "partial_outage"
    MAJOR_OUTAGE = "major_outage"
    MAINTENANCE = "under_maintenance"
    UNKNOWN = "unknown"


class ReportStatus(StrEnum):
    """How far an incident has come; a resolved one is over."""

    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"


class Impact(StrEnum):
    """How much an incident hurts; `rank` puts them in order."""

    NONE = "none"
    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for none, 3 for critical."""
        return tuple(Impact).index(self)


class SubscriberKind(StrEnum):
    """How somebody is told."""

    EMAIL = "email"
    WEBHOOK = "webhook"


OPEN_AUTOMATIC = sa.text("automatic AND resolved_at IS NULL")


class StatusPage(Base):
    """One page of an organization, found by its slug, or by a host of its own.

    `version` grows with every change of anything on it, in the transaction of the change: whoever
    keeps what was rendered compares it.
    """

    __tablename__ = "status_pages"

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    slug: Mapped[str] = mapped_column(sa.String(60), unique=True)
    host: Mapped[str | None] = mapped_column(sa.String(253), unique=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    description: Mapped[str] = mapped_column(sa.String(2000), default="")
    published: Mapped[bool] = mapped_column(default=False)
    visibility: Mapped[Visibility] = mapped_column(sa.String(10), default=Visibility.PUBLIC)
    password_hash: Mapped[str] = mapped_column(sa.String(200), default="")
    networks: Mapped[list[str]] = mapped_column(default=list)
    language: Mapped[str] = mapped_column(sa.String(5), default="en")
    time_zone: Mapped[str] = mapped_column(sa.String(60), default="UTC")
    theme: Mapped[str] = mapped_column(sa.String(10), default="auto")
    accent: Mapped[str] = mapped_column(sa.String(7), default="#2360c4")
    shows_uptime: Mapped[bool] = mapped_column(default=True)
    shows_charts: Mapped[bool] = mapped_column(default=False)
    names_windows: Mapped[bool] = mapped_column(default=False)
    is_indexed: Mapped[bool] = mapped_column(default=True)
    auto_report_minutes: Mapped[int] = mapped_column(default=0)
    takes_emails: Mapped[bool] = mapped_column(default=True)
    takes_webhooks: Mapped[bool] = mapped_column(default=False)
    badge_version: Mapped[int] = mapped_column(default=1)
    version: Mapped[int] = mapped_column(default=1)
    snapshot_version: Mapped[str] = mapped_column(sa.String(64), default="")
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class StatusLogo(Base):
    """The picture on top of a page; at most 128 KiB, and of a kind that holds no script."""

    __tablename__ = "status_logos"

    page_id: Mapped[str] = mapped_column(
        sa.ForeignKey("status_pages.id", ondelete="CASCADE"), primary_key=True
    )
    media_type: Mapped[str] = mapped_column(sa.String(20))
    digest: Mapped[str] = mapped_column(sa.String(32))
    content: Mapped[bytes]


class StatusGroup(Base):
    """Components that stand together under a name."""

    __tablename__ = "status_groups"

    id: Mapped[Id] = mapped_column(primary_key=True)
    page_id: Mapped[str] = mapped_column(
        sa.ForeignKey("status_pages.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(sa.String(100))
    position: Mapped[int]
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class StatusComponent(Base):
    """One line of a page: bound to a watched subject, or set by hand.

    `subject_id` is the id of a health check or heartbeat; empty where `manual_status` counts.
    """

    __tablename__ = "status_components"

    id: Mapped[Id] = mapped_column(primary_key=True)
    page_id: Mapped[str] = mapped_column(
        sa.ForeignKey("status_pages.id", ondelete="CASCADE"), index=True
    )
    group_id: Mapped[str | None] = mapped_column(
        sa.ForeignKey("status_groups.id", ondelete="SET NULL")
    )
    name: Mapped[str] = mapped_column(sa.String(100))
    description: Mapped[str] = mapped_column(sa.String(500), default="")
    position: Mapped[int]
    subject_id: Mapped[str] = mapped_column(sa.String(36), default="")
    manual_status: Mapped[ComponentStatus] = mapped_column(
        sa.String(20), default=ComponentStatus.OPERATIONAL
    )
    only_if_degraded: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class StatusManualSpell(Base):
    """One interval in which a component was set to a status by hand; open while it lasts."""

    __tablename__ = "status_manual_spells"
    __table_args__ = (sa.Index("ix_status_manual_spells_spell", "component_id", "started_at"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    component_id: Mapped[str] = mapped_column(
        sa.ForeignKey("status_components.id", ondelete="CASCADE")
    )
    status: Mapped[ComponentStatus] = mapped_column(sa.String(20))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class StatusReport(Base):
    """One incident as it is told; an automatic one is opened and closed by what was watched."""

    __tablename__ = "status_reports"
    __table_args__ = (
        sa.Index("ix_status_reports_page_started", "page_id", "started_at"),
        sa.Index(
            "uq_status_reports_open_automatic",
            "page_id",
            unique=True,
            sqlite_where=OPEN_AUTOMATIC,
            postgresql_where=OPEN_AUTOMATIC,
        ),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    page_id: Mapped[str] = mapped_column(sa.ForeignKey("status_pages.id", ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(sa.String(200))
    status: Mapped[ReportStatus] = mapped_column(sa.String(15))
    impact: Mapped[Impact] = mapped_column(sa.String(10))
    automatic: Mapped[bool] = mapped_column(default=False)
    started_at: Mapped[datetime]
    resolved_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class StatusReportComponent(Base):
    """A component that a report says is affected, and how, while the report is open."""

    __tablename__ = "status_report_components"

    report_id: Mapped[str] = mapped_column(
        sa.ForeignKey("status_reports.id", ondelete="CASCADE"), primary_key=True
    )
    component_id: Mapped[str] = mapped_column(
        sa.ForeignKey("status_components.id", ondelete="CASCADE"), primary_key=True
    )
    status: Mapped[ComponentStatus] = mapped_column(sa.String(20))


class StatusUpdate(Base):
    """What was said at one moment, in Markdown: of a report, or of a scheduled maintenance.

    `status` is a report's then, or `scheduled`, `in_progress`, `completed` of a maintenance.
    """

    __tablename__ = "status_updates"
    __table_args__ = (
        sa.Index("ix_status_updates_report", "report_id", "said_at"),
        sa.Index("ix_status_updates_maintenance", "maintenance_id", "said_at"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    report_id: Mapped[str | None] = mapped_column(
        sa.ForeignKey("status_reports.id", ondelete="CASCADE")
    )
    maintenance_id: Mapped[str | None] = mapped_column(
        sa.ForeignKey("status_maintenances.id", ondelete="CASCADE")
    )
    status: Mapped[str] = mapped_column(sa.String(15))
    body: Mapped[str] = mapped_column(sa.String(10_000), default="")
    said_at: Mapped[datetime]


class StatusMaintenance(Base):
    """A maintenance that the page announces by itself, beside the windows that are planned."""

    __tablename__ = "status_maintenances"
    __table_args__ = (sa.Index("ix_status_maintenances_page_starts", "page_id", "starts_at"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    page_id: Mapped[str] = mapped_column(sa.ForeignKey("status_pages.id", ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(sa.String(200))
    component_ids: Mapped[list[str]] = mapped_column(default=list)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class StatusSubscriber(Base):
    """Somebody who asked to be told of what is said on a page; told only once confirmed.

    `address` is an e-mail address in lower case, or a URL. Without `component_ids` it is about all
    of the page. `asked_at` is when the last message to confirm was ordered.
    """

    __tablename__ = "status_subscribers"
    __table_args__ = (
        sa.UniqueConstraint("page_id", "address_hash"),
        sa.Index("ix_status_subscribers_page_id_id", "page_id", "id"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    page_id: Mapped[str] = mapped_column(sa.ForeignKey("status_pages.id", ondelete="CASCADE"))
    kind: Mapped[SubscriberKind] = mapped_column(sa.String(10))
    address: Mapped[str] = mapped_column(SealedText("status_subscribers.address"))
    address_hash: Mapped[str] = mapped_column(sa.String(64))
    secret: Mapped[str] = mapped_column(SealedText("status_subscribers.secret"), default="")
    component_ids: Mapped[list[str]] = mapped_column(default=list)
    created_at: Mapped[datetime]
    asked_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    last_delivered_at: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str] = mapped_column(sa.String(500), default="")


class StatusNotice(Base):
    """One update on its way to one subscriber; a second row of the same pair cannot be."""

    __tablename__ = "status_notices"
    __table_args__ = (sa.UniqueConstraint("update_id", "subscriber_id"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    update_id: Mapped[str] = mapped_column(sa.ForeignKey("status_updates.id", ondelete="CASCADE"))
    subscriber_id: Mapped[str] = mapped_column(
        sa.ForeignKey("status_subscribers.id", ondelete="CASCADE"), index=True
    )
    delivered_at: Mapped[datetime | None]
    last_error: Mapped[str] = mapped_column(sa.String(500), default="")
    created_at: Mapped[datetime]
