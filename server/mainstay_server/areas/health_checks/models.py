"""Health checks: what is asked, how, and what the latest answers amount to."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column
from typing_extensions import override

from mainstay_server.kernel.database import Base
from mainstay_server.kernel.watching import State, Watchable

HealthState = State

EXPIRY_DAYS = (14, 7, 3, 1)


class HealthCheck(Watchable, Base):
    """One question to one instance, and what its latest answers amount to.

    `kind` names the provider that asks, `config` is what it is told, with each secret in it sealed
    (an http check's address is `url`, which may follow the instance). `target` is where it asks,
    fit for any eye. `default_of` is the instance whose own URL this check follows; at most one
    check does. `parent_id` is a check of the project that this one depends on; when there is no
    such check any more, it depends on nothing.
    `next_at` is its next turn, `owner`, `fence` and `claimed_until` say who is asking now.
    `watched_until` is how long its latest result speaks for: one interval.
    `certificate_told_days` and `domain_told_days` are the lowest thresholds that were told of those
    ends, None before the first.
    """

    __tablename__ = "health_checks"

    default_of: Mapped[str | None] = mapped_column(sa.String(36), unique=True)
    kind: Mapped[str] = mapped_column(sa.String(20), default="http")
    url: Mapped[str] = mapped_column(sa.String(2600), default="")
    target: Mapped[str] = mapped_column(sa.String(2600), default="")
    config: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    conditions: Mapped[list[str]] = mapped_column(sa.JSON, default=list)
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

    worse_in_row: Mapped[int] = mapped_column(default=0)
    better_in_row: Mapped[int] = mapped_column(default=0)
    last_result_at: Mapped[datetime | None]
    last_response_ms: Mapped[float | None]

    expiry_days: Mapped[list[int]] = mapped_column(sa.JSON, default=lambda: list(EXPIRY_DAYS))
    certificate_ends_at: Mapped[datetime | None]
    certificate_told_days: Mapped[int | None]
    domain_ends_at: Mapped[datetime | None]
    domain_told_days: Mapped[int | None]

    @property
    def is_watched(self) -> bool:
        """Whether it is asked at all: it has a target and nobody paused it."""
        return bool(self.target) and not self.paused

    @property
    @override
    def rhythm(self) -> timedelta:
        return timedelta(seconds=self.interval_seconds)
