"""Rules that people write themselves, how each stands, and what to do when one fires."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.clock import WAITS
from mainstay_server.kernel.database import Base, Id


class MeasureRule(Base):
    """A rule over a measure: of one instance, or of a whole project when `instance_id` is NULL.

    `default_of` names the default whose place it takes in its project; "" for one of its own.
    `compares` is above, below or absent; of `levels` each has a `severity`, its `threshold` and
    the `clear` that ends it. `part` is "" for the whole of an instance, "*" for each of its parts.
    """

    __tablename__ = "alert_measure_rules"
    __table_args__ = (sa.UniqueConstraint("project_id", "name"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    instance_id: Mapped[str | None] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), index=True
    )
    default_of: Mapped[str] = mapped_column(sa.String(40), default="")
    name: Mapped[str] = mapped_column(sa.String(100))
    enabled: Mapped[bool] = mapped_column(default=True)
    measure: Mapped[str] = mapped_column(sa.String(60))
    part: Mapped[str] = mapped_column(sa.String(500), default="")
    compares: Mapped[str] = mapped_column(sa.String(10))
    levels: Mapped[list[Any]]
    window_seconds: Mapped[int]
    for_seconds: Mapped[int] = mapped_column(default=0)
    clear_seconds: Mapped[int] = mapped_column(default=0)
    minimum_count: Mapped[int] = mapped_column(default=0)
    runbook: Mapped[str] = mapped_column(sa.String(500), default="")
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class MeasureRuleState(Base):
    """How a level of a rule stands at an instance or a part of it; what is calm has no row.

    A row of the level "seen" says that a rule about absence has seen data there.
    """

    __tablename__ = "alert_measure_rule_states"

    rule: Mapped[str] = mapped_column(sa.String(60), primary_key=True)
    instance_id: Mapped[str] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), primary_key=True
    )
    part: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    level: Mapped[str] = mapped_column(sa.String(10), primary_key=True)
    phase: Mapped[str] = mapped_column(sa.String(10))
    since: Mapped[datetime] = mapped_column(info=WAITS)


class EventRule(Base):
    """A rule over what somebody administers: which audited actions of a project are an alert.

    `action` is a pattern such as `backup_target.removed` or `api_key.*`, `fields` are the values
    that an event has to have beside it, also patterns, by name.
    """

    __tablename__ = "alert_event_rules"
    __table_args__ = (sa.UniqueConstraint("project_id", "name"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(sa.String(100))
    enabled: Mapped[bool] = mapped_column(default=True)
    action: Mapped[str] = mapped_column(sa.String(100))
    fields: Mapped[dict[str, Any]]
    severity: Mapped[str] = mapped_column(sa.String(10))
    runbook: Mapped[str] = mapped_column(sa.String(500), default="")
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class Runbook(Base):
    """What to do when an alert fires, in Markdown, as a project wrote it."""

    __tablename__ = "alert_runbooks"
    __table_args__ = (sa.UniqueConstraint("project_id", "name"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(sa.String(100))
    body: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class AppAlert(Base):
    """An alert that an app sent, by the id it gave it, so that one sent twice is heard once."""

    __tablename__ = "alert_app_alerts"

    instance_id: Mapped[str] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), primary_key=True
    )
    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    received_at: Mapped[datetime] = mapped_column(index=True)
