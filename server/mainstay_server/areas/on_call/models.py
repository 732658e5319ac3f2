"""Who is on call when, what happens when nobody answers, and what happened of each alert."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.clock import WAITS
from mainstay_server.kernel.database import Base, Id
from mainstay_server.kernel.sealing import SealedText


class EscalationState(StrEnum):
    """`unanswered` when all rounds are over and nobody acknowledged; only `ended` is for good."""

    RUNNING = "running"
    ACKNOWLEDGED = "acknowledged"
    UNANSWERED = "unanswered"
    ENDED = "ended"


class NoticeState(StrEnum):
    """`waiting` until the mail server took it, or no try is left.

    What is `gathered` waits for others, to leave as one mail with them.
    """

    GATHERED = "gathered"
    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


class NoticeChange(StrEnum):
    """What a person is told: that an alert needs them, or that it is over."""

    OPENED = "opened"
    ENDED = "ended"


class OnCallSchedule(Base):
    """Who is on call when: layers of rotations, on the clocks of one time zone.

    A later layer covers an earlier one; calendars cover layers, and overrides cover all.
    """

    __tablename__ = "on_call_schedules"

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(sa.String(100))
    time_zone: Mapped[str] = mapped_column(sa.String(60))
    layers: Mapped[list[Any]]
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class OnCallOverride(Base):
    """A person takes over for a while, whatever the layers say; of two, the later made counts."""

    __tablename__ = "on_call_overrides"

    id: Mapped[Id] = mapped_column(primary_key=True)
    schedule_id: Mapped[str] = mapped_column(
        sa.ForeignKey("on_call_schedules.id", ondelete="CASCADE"), index=True
    )
    person_id: Mapped[str] = mapped_column(
        sa.ForeignKey("people.id", ondelete="CASCADE"), index=True
    )
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    created_at: Mapped[datetime]


class OnCallCalendar(Base):
    """A calendar of somewhere else that says who is on call: fetched from a URL, or pasted.

    `shifts` is what was read of it for the time around `read_at`: person, start, end. The URL lies
    sealed, since who has it can read the calendar.
    """

    __tablename__ = "on_call_calendars"

    id: Mapped[Id] = mapped_column(primary_key=True)
    schedule_id: Mapped[str] = mapped_column(
        sa.ForeignKey("on_call_schedules.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(sa.String(100))
    url: Mapped[str] = mapped_column(SealedText("on_call_calendars.url"), default="")
    text: Mapped[str] = mapped_column(sa.Text, default="")
    shifts: Mapped[list[Any]]
    unmatched: Mapped[int] = mapped_column(default=0)
    read_at: Mapped[datetime | None]
    due_at: Mapped[datetime] = mapped_column(index=True, info=WAITS)
    failed_at: Mapped[datetime | None]
    last_error: Mapped[str] = mapped_column(sa.String(500), default="")
    created_at: Mapped[datetime]


class OnCallFeed(Base):
    """A private address at which calendars read the shifts of a schedule, or of one person."""

    __tablename__ = "on_call_feeds"
    __table_args__ = (sa.UniqueConstraint("organization_id", "about"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE")
    )
    # `schedule:` or `person:` and the id.
    about: Mapped[str] = mapped_column(sa.String(60))
    key: Mapped[str] = mapped_column(SealedText("on_call_feeds.key"))
    key_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    made_at: Mapped[datetime]


class EscalationPolicy(Base):
    """What happens of an alert until somebody acknowledges it: steps, each with its wait.

    It holds for one instance, a whole project, or without both for all of the organization.
    """

    __tablename__ = "on_call_policies"

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    project_id: Mapped[str | None] = mapped_column(
        sa.ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    instance_id: Mapped[str | None] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(sa.String(100))
    enabled: Mapped[bool] = mapped_column(default=True)
    minimum_severity: Mapped[str] = mapped_column(sa.String(10))
    steps: Mapped[list[Any]]
    repeat: Mapped[int]
    acknowledge_timeout_minutes: Mapped[int]
    created_at: Mapped[datetime]


class Escalation(Base):
    """One alert on its way through the steps of a policy, as they were when it opened.

    `position` is the step that comes next, at `due_at`; while it is acknowledged, `due_at` is when
    the acknowledgement runs out. None: nothing more happens by itself.
    """

    __tablename__ = "on_call_escalations"
    __table_args__ = (
        sa.Index("ix_on_call_escalations_organization_opened", "organization_id", "opened_at"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE")
    )
    project_id: Mapped[str] = mapped_column(
        sa.ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    instance_id: Mapped[str] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), index=True
    )
    alert_id: Mapped[str] = mapped_column(sa.String(36), unique=True)
    type: Mapped[str] = mapped_column(sa.String(60))
    severity: Mapped[str] = mapped_column(sa.String(10))
    title: Mapped[str] = mapped_column(sa.String(200))
    message: Mapped[str] = mapped_column(sa.String(2000))
    policy_id: Mapped[str] = mapped_column(sa.String(36))
    policy_name: Mapped[str] = mapped_column(sa.String(100))
    steps: Mapped[list[Any]]
    repeat: Mapped[int]
    acknowledge_timeout_minutes: Mapped[int]
    state: Mapped[EscalationState] = mapped_column(sa.String(12))
    round: Mapped[int]
    position: Mapped[int]
    due_at: Mapped[datetime | None] = mapped_column(index=True, info=WAITS)
    opened_at: Mapped[datetime]
    # Why nobody is to be told at present, such as a silence of the alert.
    held: Mapped[str] = mapped_column(sa.String(300), default="")
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str] = mapped_column(sa.String(200), default="")
    ended_at: Mapped[datetime | None] = mapped_column(index=True)


class EscalationLine(Base):
    """One thing that happened in an escalation, in words."""

    __tablename__ = "on_call_lines"

    id: Mapped[Id] = mapped_column(primary_key=True)
    escalation_id: Mapped[str] = mapped_column(
        sa.ForeignKey("on_call_escalations.id", ondelete="CASCADE"), index=True
    )
    at: Mapped[datetime]
    tone: Mapped[str] = mapped_column(sa.String(10))
    text: Mapped[str] = mapped_column(sa.String(500))


class EscalationNotice(Base):
    """One mail to one person: of each step and round at most one.

    The link in it acknowledges once, until `link_ends_at`.
    """

    __tablename__ = "on_call_notices"
    __table_args__ = (
        sa.UniqueConstraint("escalation_id", "change", "round", "position", "person_id"),
        sa.Index("ix_on_call_notices_person_created", "person_id", "created_at"),
        sa.Index("ix_on_call_notices_state", "state"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    escalation_id: Mapped[str] = mapped_column(
        sa.ForeignKey("on_call_escalations.id", ondelete="CASCADE")
    )
    person_id: Mapped[str] = mapped_column(sa.ForeignKey("people.id", ondelete="CASCADE"))
    change: Mapped[NoticeChange] = mapped_column(sa.String(10))
    round: Mapped[int]
    position: Mapped[int]
    state: Mapped[NoticeState] = mapped_column(sa.String(10), default=NoticeState.WAITING)
    # The notice whose mail carries this one, too; "" for one that has a mail of its own.
    carried_by: Mapped[str] = mapped_column(sa.String(36), default="", index=True)
    last_error: Mapped[str] = mapped_column(sa.String(500), default="")
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    link_ends_at: Mapped[datetime]
    link_used_at: Mapped[datetime | None]
