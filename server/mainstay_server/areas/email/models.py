"""Mails that apps have sent, how they look, who must not be written to, and who wants reports."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.database import Base, Id
from mainstay_server.kernel.sealing import SealedText


class EmailState(StrEnum):
    """`queued` until a mail server took it or refused it; what bounces later was sent before."""

    QUEUED = "queued"
    SENT = "sent"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    SUPPRESSED = "suppressed"
    FAILED = "failed"


class EmailKind(StrEnum):
    """A transactional mail answers something its reader did; others can be unsubscribed from."""

    TRANSACTIONAL = "transactional"
    SUBSCRIPTION = "subscription"


class Reason(StrEnum):
    """Why an address is not written to; `unsubscribed` holds back only subscriptions."""

    HARD_BOUNCE = "hard_bounce"
    COMPLAINT = "complaint"
    UNSUBSCRIBED = "unsubscribed"
    MANUAL = "manual"


class Period(StrEnum):
    """What a report is about: a week from Monday on, or a calendar month, in one's time zone."""

    WEEKLY = "weekly"
    MONTHLY = "monthly"


class EmailLook(Base):
    """How an organization's mails look; without a row they look like Mainstay's own."""

    __tablename__ = "email_looks"

    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(sa.String(100), default="")
    colour: Mapped[str] = mapped_column(sa.String(7), default="")
    logo_url: Mapped[str] = mapped_column(sa.String(1000), default="")
    footer: Mapped[str] = mapped_column(sa.String(300), default="")
    reply_to: Mapped[str] = mapped_column(sa.String(254), default="")


class EmailSender(Base):
    """Whether whoever has a project's DSN may send mail; without a row only tokens may."""

    __tablename__ = "email_senders"

    project_id: Mapped[str] = mapped_column(
        sa.ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True
    )
    by_dsn: Mapped[bool]


class EmailTemplate(Base):
    """An organization's own template, in the small part of Jinja that `service.sandbox` allows."""

    __tablename__ = "email_templates"
    __table_args__ = (sa.UniqueConstraint("organization_id", "name"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE")
    )
    name: Mapped[str] = mapped_column(sa.String(60))
    kind: Mapped[EmailKind] = mapped_column(sa.String(15))
    subject: Mapped[str] = mapped_column(sa.String(500))
    html: Mapped[str] = mapped_column(sa.Text())
    text: Mapped[str] = mapped_column(sa.Text(), default="")
    example: Mapped[dict[str, Any]]
    changed_at: Mapped[datetime]


class Email(Base):
    """One mail to one address. What it says lies sealed, and is forgotten before the rest is.

    `delivery_id` is the outbox delivery that carries it. `provider_id` is what a mail service calls
    it, when one told.
    """

    __tablename__ = "emails"
    __table_args__ = (
        sa.Index("ix_emails_organization", "organization_id", "id"),
        sa.Index("ix_emails_project_created", "project_id", "created_at"),
        sa.Index("ix_emails_project_state", "project_id", "state"),
        sa.Index("ix_emails_recipient", "recipient", "id"),
        sa.Index("ix_emails_provider_id", "provider_id"),
        sa.Index("ix_emails_created_at", "created_at"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE")
    )
    project_id: Mapped[str | None] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    person_id: Mapped[str | None] = mapped_column(sa.ForeignKey("people.id", ondelete="CASCADE"))
    template: Mapped[str] = mapped_column(sa.String(60))
    kind: Mapped[EmailKind] = mapped_column(sa.String(15))
    recipient: Mapped[str] = mapped_column(sa.String(254))
    subject: Mapped[str] = mapped_column(sa.String(300))
    html: Mapped[str] = mapped_column(SealedText("emails.html"))
    text: Mapped[str] = mapped_column(SealedText("emails.text"))
    sender_name: Mapped[str] = mapped_column(sa.String(100))
    reply_to: Mapped[str] = mapped_column(sa.String(254), default="")
    state: Mapped[EmailState] = mapped_column(sa.String(12), default=EmailState.QUEUED)
    reason: Mapped[str] = mapped_column(sa.String(500), default="")
    attempts: Mapped[int] = mapped_column(default=0)
    delivery_id: Mapped[str] = mapped_column(sa.String(36), default="")
    provider_id: Mapped[str] = mapped_column(sa.String(200), default="")
    made_by: Mapped[str] = mapped_column(sa.String(100), default="")
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    changed_at: Mapped[datetime]


class EmailRequest(Base):
    """One request under an idempotency key, and the mails it made, for 24 hours."""

    __tablename__ = "email_requests"
    __table_args__ = (sa.UniqueConstraint("project_id", "key"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(sa.String(200))
    digest: Mapped[str] = mapped_column(sa.String(64))
    email_ids: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(index=True)


class EmailSuppression(Base):
    """An address, in lower case, that an organization's mails are kept from."""

    __tablename__ = "email_suppressions"
    __table_args__ = (sa.UniqueConstraint("organization_id", "address"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE")
    )
    address: Mapped[str] = mapped_column(sa.String(254))
    reason: Mapped[Reason] = mapped_column(sa.String(15))
    note: Mapped[str] = mapped_column(sa.String(500), default="")
    created_at: Mapped[datetime]


class ReportWish(Base):
    """Which reports a person wants of an organization, when, and in which time zone."""

    __tablename__ = "report_wishes"
    __table_args__ = (
        sa.UniqueConstraint("organization_id", "person_id"),
        sa.Index("ix_report_wishes_weekly_due_at", "weekly_due_at"),
        sa.Index("ix_report_wishes_monthly_due_at", "monthly_due_at"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE")
    )
    person_id: Mapped[str] = mapped_column(
        sa.ForeignKey("people.id", ondelete="CASCADE"), index=True
    )
    time_zone: Mapped[str] = mapped_column(sa.String(60))
    hour: Mapped[int]
    weekday: Mapped[int]
    # NULL where it is not wanted.
    weekly_due_at: Mapped[datetime | None]
    monthly_due_at: Mapped[datetime | None]


class ReportSent(Base):
    """That a person was sent the report of a period: there is no second one."""

    __tablename__ = "reports_sent"

    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True
    )
    person_id: Mapped[str] = mapped_column(
        sa.ForeignKey("people.id", ondelete="CASCADE"), primary_key=True
    )
    period: Mapped[Period] = mapped_column(sa.String(10), primary_key=True)
    begins_on: Mapped[date] = mapped_column(primary_key=True)
    sent_at: Mapped[datetime] = mapped_column(index=True)
