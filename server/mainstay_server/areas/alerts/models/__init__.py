"""Alerts, the rules that fire them, the channels that carry them, and each single telling."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.contracts.alerts.severities import Severity as Severity
from mainstay_server.kernel.clock import WAITS
from mainstay_server.kernel.database import Base, Id
from mainstay_server.kernel.sealing import SealedText, SealedTexts


class AlertType(StrEnum):
    """What an alert can be about: the types of REQUIREMENTS P4, then errors, keys, the guard."""

    INSTANCE_DOWN = "instance_down"
    INSTANCE_DEGRADED = "instance_degraded"
    BACKUP_FAILED = "backup_failed"
    HIGH_ERROR_RATE = "high_error_rate"
    STORAGE_LIMIT = "storage_limit"
    RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"
    NEW_ISSUE = "new_issue"
    ISSUE_REGRESSED = "issue_regressed"
    API_KEY_LEAKED = "api_key_leaked"
    API_KEY_ROTATION = "api_key_rotation"
    ABUSE_DETECTED = "abuse_detected"
    QUOTA_REACHED = "quota_reached"
    VULNERABILITY_FOUND = "vulnerability_found"
    HEARTBEAT_MISSED = "heartbeat_missed"
    ERROR_BUDGET_BURNING = "error_budget_burning"
    CERTIFICATE_EXPIRING = "certificate_expiring"
    DOMAIN_EXPIRING = "domain_expiring"
    PROBE_SILENT = "probe_silent"
    THRESHOLD_PASSED = "threshold_passed"
    NO_DATA = "no_data"
    EVENT_SAID = "event_said"
    APP_ALERT = "app_alert"
    EXTERNAL_ALERT = "external_alert"


class AlertStatus(StrEnum):
    """An alert is active until it is resolved, and never active again after that."""

    ACTIVE = "active"
    RESOLVED = "resolved"


class Change(StrEnum):
    """What a notification tells of; a test tells of no alert."""

    OPENED = "opened"
    RESOLVED = "resolved"
    TEST = "test"


class NotificationState(StrEnum):
    """`waiting` until the receiver took it or no try is left; a resent one waits again."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


OF_ISSUES = (AlertType.NEW_ISSUE, AlertType.ISSUE_REGRESSED)
FLOOD = "flood"  # what stands in an identity for issues that were too many to tell of one by one
ACTIVE = sa.text("status = 'active'")
PROJECT_WIDE = sa.text("instance_id IS NULL")
ONE_INSTANCE = sa.text("instance_id IS NOT NULL")


class AlertRule(Base):
    """What somebody changed about when a type of alert fires, for a project or one instance.

    Without a row the defaults in code hold; an instance's row wins over its project's.
    """

    __tablename__ = "alert_rules"
    __table_args__ = (
        sa.Index(
            "uq_alert_rules_project_type",
            "project_id",
            "type",
            unique=True,
            sqlite_where=PROJECT_WIDE,
            postgresql_where=PROJECT_WIDE,
        ),
        sa.Index(
            "uq_alert_rules_instance_type",
            "instance_id",
            "type",
            unique=True,
            sqlite_where=ONE_INSTANCE,
            postgresql_where=ONE_INSTANCE,
        ),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    instance_id: Mapped[str | None] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE")
    )
    type: Mapped[AlertType] = mapped_column(sa.String(30))
    enabled: Mapped[bool]
    severity: Mapped[Severity] = mapped_column(sa.String(10))
    threshold: Mapped[float]
    window_seconds: Mapped[int]
    minimum_count: Mapped[int]
    runbook: Mapped[str] = mapped_column(sa.String(500), default="", server_default="")
    changed_at: Mapped[datetime]


class Alert(Base):
    """One firing of a rule. `identity` says what it is about: of it, one at most is active.

    `labels` are what routes, silences and Alertmanager know it by, `annotations` what else there is
    to read about it.
    """

    __tablename__ = "alerts"
    __table_args__ = (
        sa.Index(
            "uq_alerts_active_identity",
            "instance_id",
            "identity",
            unique=True,
            sqlite_where=ACTIVE,
            postgresql_where=ACTIVE,
        ),
        sa.Index("ix_alerts_instance_opened", "instance_id", "opened_at"),
        sa.Index("ix_alerts_project_type_opened", "project_id", "type", "opened_at"),
        sa.Index("ix_alerts_resolved_at", "resolved_at"),
        sa.Index("ix_alerts_project_fingerprint", "project_id", "fingerprint"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    instance_id: Mapped[str] = mapped_column(sa.ForeignKey("instances.id", ondelete="CASCADE"))
    identity: Mapped[str] = mapped_column(sa.String(120))
    type: Mapped[AlertType] = mapped_column(sa.String(30))
    severity: Mapped[Severity] = mapped_column(sa.String(10))
    title: Mapped[str] = mapped_column(sa.String(200))
    message: Mapped[str] = mapped_column(sa.String(2000))
    status: Mapped[AlertStatus] = mapped_column(sa.String(10), default=AlertStatus.ACTIVE)
    opened_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    count: Mapped[int] = mapped_column(default=1)
    supersedes: Mapped[str] = mapped_column(sa.String(36), default="")
    labels: Mapped[dict[str, str]] = mapped_column(sa.JSON, default=dict)
    annotations: Mapped[dict[str, str]] = mapped_column(sa.JSON, default=dict)
    fingerprint: Mapped[str] = mapped_column(sa.String(16), default="")
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str] = mapped_column(sa.String(36), default="")
    muted_until: Mapped[datetime | None]
    # Since when what it is about looks well again, without having lasted long enough.
    calm_since: Mapped[datetime | None] = mapped_column(info=WAITS)
    # When its channels were written down; the end is told only to those that heard the beginning.
    announced_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    resolved_by: Mapped[str] = mapped_column(sa.String(36), default="")
    resolution: Mapped[str] = mapped_column(sa.String(500), default="")

    @property
    def issue_id(self) -> str:
        """The issue it tells of; empty for other types, a flood of issues, and one by hand."""
        kind, _, about = self.identity.partition(":")
        of_one = kind in OF_ISSUES and about != FLOOD and ":" not in about
        return about if of_one else ""


class AlertChannel(Base):
    """Who is told of alerts: of one instance, or of all of a project's when `instance_id` is NULL.

    Its name is its own among those of the same reach. Its target and the signing secret lie
    sealed, for they are used again with every message.
    """

    __tablename__ = "alert_channels"

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    project_id: Mapped[str] = mapped_column(
        sa.ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    instance_id: Mapped[str | None] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(sa.String(100))
    type: Mapped[str] = mapped_column(sa.String(20))
    config: Mapped[dict[str, Any]] = mapped_column(SealedTexts("alert_channels.config"))
    secret: Mapped[str] = mapped_column(SealedText("alert_channels.secret"), default="")
    enabled: Mapped[bool] = mapped_column(default=True)
    minimum_severity: Mapped[Severity] = mapped_column(sa.String(10), default=Severity.INFO)
    created_at: Mapped[datetime]
    last_delivered_at: Mapped[datetime | None]
    last_error: Mapped[str] = mapped_column(sa.String(500), default="")
    failing_since: Mapped[datetime | None]
    disabled_reason: Mapped[str] = mapped_column(sa.String(500), default="")
    # Who is told in its stead when it gives up or is off because its receiver is gone.
    fallback_id: Mapped[str] = mapped_column(sa.String(36), default="", server_default="")
    # Messages a minute, 0 for as many as there are; when the next one may leave.
    per_minute: Mapped[int] = mapped_column(default=0, server_default="0")
    next_slot_at: Mapped[datetime | None] = mapped_column(info=WAITS)
    # The signing secret before the last rotation: until then messages are signed with it too.
    previous_secret: Mapped[str] = mapped_column(
        SealedText("alert_channels.previous_secret"), default="", server_default=""
    )
    previous_secret_until: Mapped[datetime | None]
    muted_until: Mapped[datetime | None]
    mute_times: Mapped[str] = mapped_column(sa.String(500), default="")
    time_zone: Mapped[str] = mapped_column(sa.String(64), default="UTC")


class AlertNotification(Base):
    """One change of an alert on its way to one channel: what people see as delivery history.

    `delivery_id` is the outbox delivery that carries it, and the idempotency key of all its tries.
    Of a digest one row leaves; the others are `carried_by` it and fare as it does. `turn` counts
    how often a lasting alert was told again; `thread` is what its end may not overtake.
    """

    __tablename__ = "alert_notifications"
    __table_args__ = (
        sa.UniqueConstraint("alert_id", "channel_id", "change", "turn"),
        sa.Index("ix_alert_notifications_channel_state", "channel_id", "state"),
        sa.Index("ix_alert_notifications_carried_by", "carried_by"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    alert_id: Mapped[str | None] = mapped_column(sa.ForeignKey("alerts.id", ondelete="CASCADE"))
    channel_id: Mapped[str] = mapped_column(sa.ForeignKey("alert_channels.id", ondelete="CASCADE"))
    change: Mapped[Change] = mapped_column(sa.String(10))
    state: Mapped[NotificationState] = mapped_column(
        sa.String(10), default=NotificationState.WAITING
    )
    attempts: Mapped[int] = mapped_column(default=0)
    delivery_id: Mapped[str] = mapped_column(sa.String(36), default="")
    turn: Mapped[int] = mapped_column(default=0)
    carried_by: Mapped[str] = mapped_column(sa.String(36), default="")
    thread: Mapped[str] = mapped_column(sa.String(200), default="")
    last_error: Mapped[str] = mapped_column(sa.String(500), default="")
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    # What the receiver called the message; what is about the same alert may stand beneath it.
    receipt: Mapped[str] = mapped_column(sa.String(100), default="", server_default="")
    # Of a channel with a limit: when this one's turn is.
    slot_at: Mapped[datetime | None] = mapped_column(info=WAITS)
    # The notification that another channel could not deliver and this one stands in for.
    stands_in_for: Mapped[str] = mapped_column(sa.String(36), default="", server_default="")

    @hybrid_property
    def by_step(self) -> bool:
        """Whether a step of an escalation sent it: of a row, and in SQL."""
        return (self.change == Change.OPENED) & (self.turn < 0)


class AlertSubjectHeard(Base):
    """Up to when a watched subject was heard, so that a late word of an older state is none."""

    __tablename__ = "alert_subjects_heard"

    subject_id: Mapped[Id] = mapped_column(primary_key=True)
    instance_id: Mapped[str] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), index=True
    )
    since: Mapped[datetime]


class AlertSilence(Base):
    """Alerts whose labels fit `matchers` are told to nobody from `starts_at` until `ends_at`.

    It reaches the alerts of one project, or those of the whole organization when `project_id` is
    NULL. What has ended stays to be read about; it is extended only by making another one. `by` is
    the name of whoever made it, as Alertmanager's clients give it.
    """

    __tablename__ = "alert_silences"
    __table_args__ = (
        sa.Index("ix_alert_silences_organization_ends", "organization_id", "ends_at"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE")
    )
    project_id: Mapped[str | None] = mapped_column(
        sa.ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    matchers: Mapped[list[Any]]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    by: Mapped[str] = mapped_column(sa.String(200))
    comment: Mapped[str] = mapped_column(sa.String(1000))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    @property
    def reach(self) -> Literal["project", "organization"]:
        """Whose alerts it holds: `project` or `organization`."""
        return "project" if self.project_id else "organization"


class AlertReceipt(Base):
    """What is known of an alert that another system sent, beside the alert itself.

    `live_until` is when it is over unless it is sent again, NULL once it is; `end_is_given` says
    that the sender chose that time. One that a person resolved stays live while it is sent, so that
    the same firing does not open again.
    """

    __tablename__ = "alert_receipts"
    __table_args__ = (sa.Index("ix_alert_receipts_project_print", "project_id", "fingerprint"),)

    alert_id: Mapped[Id] = mapped_column(
        sa.ForeignKey("alerts.id", ondelete="CASCADE"), primary_key=True
    )
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    fingerprint: Mapped[str] = mapped_column(sa.String(16))
    started_at: Mapped[datetime]
    live_until: Mapped[datetime | None] = mapped_column(index=True)
    end_is_given: Mapped[bool]
    generator_url: Mapped[str] = mapped_column(sa.String(2000), default="")
    heard_at: Mapped[datetime]
