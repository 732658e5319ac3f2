"""Health checks and the spells of their states; the spells are the truth for uptime."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.database import Base, Id

EXPIRY_DAYS = (14, 7, 3, 1)


class HealthState(StrEnum):
    """What is known of the app: the first three were seen, the last two mean we did not look."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"
    PAUSED = "paused"


class HealthCheck(Base):
    """One question to one instance, and what its latest answers amount to.

    `kind` names the provider that asks, `config` is what it is told, with each secret in it sealed
    (an http check's address is `url`, which may follow the instance). `target` is where it asks,
    fit for any eye. `default_of` is the instance whose own URL this check follows; at most one
    check does. `parent_id` is a check of the project that this one depends on; when there is no
    such check any more, it depends on nothing.
    `next_at` is its next turn, `owner`, `fence` and `claimed_until` say who is asking now.
    `watched_until` is how long its latest result speaks for: one interval. `told_state` is the
    last state that others were told of, empty before the first; `troubled_since` is when it last
    stopped being healthy, as they were told. `certificate_told_days` and `domain_told_days` are the
    lowest thresholds that were told of those ends, None before the first.
    """

    __tablename__ = "health_checks"

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE")
    )
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    instance_id: Mapped[str] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), index=True
    )
    default_of: Mapped[str | None] = mapped_column(sa.String(36), unique=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    kind: Mapped[str] = mapped_column(sa.String(20), default="http")
    url: Mapped[str] = mapped_column(sa.String(2600), default="")
    target: Mapped[str] = mapped_column(sa.String(2600), default="")
    config: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    conditions: Mapped[list[str]] = mapped_column(sa.JSON, default=list)
    tags: Mapped[list[str]] = mapped_column(sa.JSON, default=list)
    parent_id: Mapped[str | None] = mapped_column(sa.String(36), index=True)
    interval_seconds: Mapped[int]
    timeout_seconds: Mapped[int]
    degraded_after_ms: Mapped[int]
    fail_after: Mapped[int] = mapped_column(default=1)
    recover_after: Mapped[int] = mapped_column(default=1)
    paused: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]

    next_at: Mapped[datetime] = mapped_column(index=True)
    owner: Mapped[str] = mapped_column(sa.String(120), default="")
    fence: Mapped[int] = mapped_column(default=0)
    claimed_until: Mapped[datetime | None]

    state: Mapped[HealthState] = mapped_column(sa.String(10))
    state_since: Mapped[datetime]
    state_reason: Mapped[str] = mapped_column(sa.String(300), default="")
    worse_in_row: Mapped[int] = mapped_column(default=0)
    better_in_row: Mapped[int] = mapped_column(default=0)
    watched_until: Mapped[datetime]
    last_result_at: Mapped[datetime | None]
    last_response_ms: Mapped[float | None]
    told_state: Mapped[str] = mapped_column(sa.String(10), default="")
    troubled_since: Mapped[datetime | None]

    expiry_days: Mapped[list[int]] = mapped_column(sa.JSON, default=lambda: list(EXPIRY_DAYS))
    certificate_ends_at: Mapped[datetime | None]
    certificate_told_days: Mapped[int | None]
    domain_ends_at: Mapped[datetime | None]
    domain_told_days: Mapped[int | None]

    @property
    def is_watched(self) -> bool:
        """Whether it is asked at all: it has a target and nobody paused it."""
        return bool(self.target) and not self.paused


class HealthInterval(Base):
    """A spell of one state, from its start up to but not including its end; open while it lasts."""

    __tablename__ = "health_intervals"
    __table_args__ = (sa.Index("ix_health_intervals_spell", "health_check_id", "started_at"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    health_check_id: Mapped[str] = mapped_column(
        sa.ForeignKey("health_checks.id", ondelete="CASCADE")
    )
    state: Mapped[HealthState] = mapped_column(sa.String(10))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(sa.String(300), default="")
