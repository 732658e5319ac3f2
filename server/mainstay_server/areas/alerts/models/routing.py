"""Who is told when: routes, inhibition, the groups that wait, and what each channel knows."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.clock import WAITS
from mainstay_server.kernel.database import Base, Id


class TellingState(StrEnum):
    """How a channel stands to an alert: gathered for a message, held back, told, or not any more.

    What is over before it was told, or whose channel was switched off, is dropped.
    """

    WAITING = "waiting"
    HELD = "held"
    TOLD = "told"
    DROPPED = "dropped"


class Ending(StrEnum):
    """How a channel stands to an alert's end: it lasts, its end is gathered, or all is said."""

    LASTS = ""
    WAITING = "waiting"
    OVER = "over"


class AlertRoute(Base):
    """A row of a project's routes: alerts whose labels fit `matchers` go to its channels."""

    __tablename__ = "alert_routes"

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    project_id: Mapped[str] = mapped_column(
        sa.ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    position: Mapped[int]
    name: Mapped[str] = mapped_column(sa.String(100))
    matchers: Mapped[str] = mapped_column(sa.Text)
    channel_ids: Mapped[list[str]]
    goes_on: Mapped[bool] = mapped_column(default=False)
    group_by: Mapped[list[str]]
    wait_seconds: Mapped[int]
    interval_seconds: Mapped[int]
    repeat_seconds: Mapped[int]
    enabled: Mapped[bool] = mapped_column(default=True)
    muted_until: Mapped[datetime | None]
    mute_times: Mapped[str] = mapped_column(sa.String(500), default="")
    time_zone: Mapped[str] = mapped_column(sa.String(64), default="UTC")
    created_at: Mapped[datetime]


class AlertInhibition(Base):
    """While an alert that fits `source` is active, those that fit `target` are not told."""

    __tablename__ = "alert_inhibitions"

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    project_id: Mapped[str] = mapped_column(
        sa.ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(sa.String(100))
    source: Mapped[str] = mapped_column(sa.Text)
    target: Mapped[str] = mapped_column(sa.Text)
    equal: Mapped[list[str]]
    enabled: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]


class AlertGroup(Base):
    """What one channel hears together, and when it is told next: `due_at` is the earliest of all.

    Its row is locked while what it gathers is told, so that two workers tell nothing twice.
    """

    __tablename__ = "alert_groups"
    __table_args__ = (
        sa.UniqueConstraint("channel_id", "route_id", "key"),
        sa.Index("ix_alert_groups_due_at", "due_at"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(
        sa.ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    channel_id: Mapped[str] = mapped_column(sa.ForeignKey("alert_channels.id", ondelete="CASCADE"))
    route_id: Mapped[str] = mapped_column(sa.String(36), default="")
    key: Mapped[str] = mapped_column(sa.String(64))
    labels: Mapped[dict[str, str]] = mapped_column(sa.JSON, default=dict)
    told_at: Mapped[datetime | None] = mapped_column(info=WAITS)
    opens_due_at: Mapped[datetime | None] = mapped_column(info=WAITS)
    ends_due_at: Mapped[datetime | None] = mapped_column(info=WAITS)
    due_at: Mapped[datetime | None] = mapped_column(info=WAITS)
    touched_at: Mapped[datetime]


class AlertTelling(Base):
    """What one channel knows of one alert; `reason` is why it is not told yet.

    `follows` says that the channel heard of the alert whose place this one took: then it hears of
    the end, too, even of one that ended before it was told itself.
    """

    __tablename__ = "alert_tellings"
    __table_args__ = (
        sa.UniqueConstraint("alert_id", "channel_id"),
        sa.Index("ix_alert_tellings_group_state", "group_id", "state", "ending"),
        sa.Index("ix_alert_tellings_state", "state"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    alert_id: Mapped[str] = mapped_column(sa.ForeignKey("alerts.id", ondelete="CASCADE"))
    channel_id: Mapped[str] = mapped_column(
        sa.ForeignKey("alert_channels.id", ondelete="CASCADE"), index=True
    )
    group_id: Mapped[str] = mapped_column(sa.ForeignKey("alert_groups.id", ondelete="CASCADE"))
    state: Mapped[TellingState] = mapped_column(sa.String(10))
    ending: Mapped[Ending] = mapped_column(sa.String(10), default=Ending.LASTS)
    reason: Mapped[str] = mapped_column(sa.String(300), default="")
    follows: Mapped[bool] = mapped_column(default=False)
    told_at: Mapped[datetime | None] = mapped_column(info=WAITS)
    repeats: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
