"""Health checks: what is asked, how, and what the latest answers amount to."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column
from typing_extensions import override

from mainstay_server.kernel.database import Base, Id
from mainstay_server.kernel.watching import State, Watchable

HealthState = State

HERE = "here"
"""The place where Mainstay itself runs; every other place is that of a probe."""

EXPIRY_DAYS = (14, 7, 3, 1)


class HealthCheck(Watchable, Base):
    """One question to one instance, and what its latest answers amount to.

    `kind` names the provider that asks, `config` is what it is told, with each secret in it sealed
    (an http check's address is `url`, which may follow the instance). `target` is where it asks,
    fit for any eye. `default_of` is the instance whose own URL this check follows; at most one
    check does. `parent_id` is a check of the project that this one depends on; when there is no
    such check any more, it depends on nothing.
    `next_at` is its next turn, `owner`, `fence` and `claimed_until` say who is asking now.
    `awaited_since` is since when something that depends on it waits for its next answer.
    `watched_until` is how long its latest result speaks for: one interval.
    `certificate_told_days` and `domain_told_days` are the lowest thresholds that were told of those
    ends, None before the first.
    `locations` are the places it is asked from, `asked_here` and `asked_elsewhere` sum them up; of
    several, `quorum` (any, majority, all) says how many of those that answer must agree that it is
    down.
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

    locations: Mapped[list[str]] = mapped_column(default=lambda: [HERE])
    asked_here: Mapped[bool] = mapped_column(default=True)
    asked_elsewhere: Mapped[bool] = mapped_column(default=False)
    quorum: Mapped[str] = mapped_column(sa.String(8), default="majority")

    next_at: Mapped[datetime] = mapped_column(index=True)
    owner: Mapped[str] = mapped_column(sa.String(120), default="")
    fence: Mapped[int] = mapped_column(default=0)
    claimed_until: Mapped[datetime | None]

    worse_in_row: Mapped[int] = mapped_column(default=0)
    better_in_row: Mapped[int] = mapped_column(default=0)
    last_result_at: Mapped[datetime | None]
    last_response_ms: Mapped[float | None]
    awaited_since: Mapped[datetime | None]

    expiry_days: Mapped[list[int]] = mapped_column(sa.JSON, default=lambda: list(EXPIRY_DAYS))
    certificate_ends_at: Mapped[datetime | None]
    certificate_told_days: Mapped[int | None]
    certificate_later_since: Mapped[datetime | None]
    domain_ends_at: Mapped[datetime | None]
    domain_told_days: Mapped[int | None]
    domain_later_since: Mapped[datetime | None]

    @property
    def is_watched(self) -> bool:
        """Whether it is asked at all: it has a target and nobody paused it."""
        return bool(self.target) and not self.paused

    @property
    @override
    def rhythm(self) -> timedelta:
        return timedelta(seconds=self.interval_seconds)


class Probe(Base):
    """A program on another machine that asks checks from there and reports what it found.

    It has a credential of its own, of which only the hash is kept. `plan_version` grows with every
    change of what it is to ask, `asked_version` with every wish that it asks something at once.
    `silent_since` is set while it has not been heard of for too long, and others were told.
    """

    __tablename__ = "probes"
    __table_args__ = (sa.UniqueConstraint("organization_id", "location"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE")
    )
    name: Mapped[str] = mapped_column(sa.String(100))
    location: Mapped[str] = mapped_column(sa.String(50))
    credential_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    credential_hint: Mapped[str] = mapped_column(sa.String(20))
    made_at: Mapped[datetime]
    last_seen_at: Mapped[datetime | None]
    version: Mapped[str] = mapped_column(sa.String(40), default="")
    dropped_results: Mapped[int] = mapped_column(default=0)
    plan_version: Mapped[int] = mapped_column(default=1)
    asked_version: Mapped[int] = mapped_column(default=0)
    silent_since: Mapped[datetime | None]


class CheckPlace(Base):
    """How a check that is asked from elsewhere stands at one of its places.

    `asked_at` is when somebody wished for an answer from there at once, `asked_version` the version
    of that wish.
    """

    __tablename__ = "health_check_places"

    health_check_id: Mapped[str] = mapped_column(
        sa.ForeignKey("health_checks.id", ondelete="CASCADE"), primary_key=True
    )
    location: Mapped[str] = mapped_column(sa.String(50), primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    state: Mapped[State] = mapped_column(sa.String(12), default=State.UNKNOWN)
    reason: Mapped[str] = mapped_column(sa.String(300), default="")
    worse_in_row: Mapped[int] = mapped_column(default=0)
    better_in_row: Mapped[int] = mapped_column(default=0)
    last_result_at: Mapped[datetime | None]
    last_response_ms: Mapped[float | None]
    watched_until: Mapped[datetime | None]
    silent_at: Mapped[datetime | None]
    asked_at: Mapped[datetime | None]
    asked_version: Mapped[int] = mapped_column(default=0)


class HealthPart(Base):
    """One dependency that an app's own health document tells of, as it was told last.

    `state` is unknown while the document is away, or names it no more.
    """

    __tablename__ = "health_parts"
    __table_args__ = (sa.UniqueConstraint("health_check_id", "name"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    health_check_id: Mapped[str] = mapped_column(
        sa.ForeignKey("health_checks.id", ondelete="CASCADE")
    )
    name: Mapped[str] = mapped_column(sa.String(100))
    state: Mapped[State] = mapped_column(sa.String(12))
    state_since: Mapped[datetime]
    reason: Mapped[str] = mapped_column(sa.String(300), default="")
    response_ms: Mapped[float | None]


class HealthPartSpell(Base):
    """A spell of one state of a part, from its start up to its end; open while it lasts."""

    __tablename__ = "health_part_spells"
    __table_args__ = (sa.Index("ix_health_part_spells_part", "part_id", "started_at"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    part_id: Mapped[str] = mapped_column(sa.ForeignKey("health_parts.id", ondelete="CASCADE"))
    state: Mapped[State] = mapped_column(sa.String(12))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None] = mapped_column(index=True)
    reason: Mapped[str] = mapped_column(sa.String(300), default="")
