"""Heartbeats, what they reported, the keys that open them, and when our own doors were open."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column
from typing_extensions import override

from mainstay_server.kernel.database import Base, Id
from mainstay_server.kernel.watching import Watchable

DEFAULT_PERIOD_SECONDS = 86_400
DEFAULT_GRACE_SECONDS = 3_600


class ScheduleKind(StrEnum):
    """How it is told when the next report is due."""

    PERIOD = "period"
    CRON = "cron"
    ON_CALENDAR = "oncalendar"


class Signal(StrEnum):
    """What one report says; `ign` was kept and changed nothing."""

    SUCCESS = "success"
    START = "start"
    FAIL = "fail"
    LOG = "log"
    IGNORED = "ign"


class KeyKind(StrEnum):
    """What a key of this area opens: the way in for reports, or Healthchecks' management API."""

    PING = "ping"
    READ = "read"
    WRITE = "write"


class Heartbeat(Watchable, Base):
    """One job that reports to us, and what its latest reports amount to.

    `due_at` is when the next report is expected, `alert_at` the moment at which silence becomes
    an outage; both are empty while nothing is expected. `counted_from` is what the next due time
    is counted from: the latest report, or a turn that was missed and forgiven (`fail_after`).
    `forgiven_until` holds an outage back after one of our own.
    `open_runs` holds the runs that have started and not ended, by run id ("" for one without),
    and when they started; `recent` the latest reports while `most_reports` limits them.
    """

    __tablename__ = "heartbeats"
    __table_args__ = (sa.Index("ix_heartbeats_project_slug", "project_id", "slug"),)

    ping_id: Mapped[str] = mapped_column(sa.String(36), unique=True)
    push_token: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    slug: Mapped[str] = mapped_column(sa.String(100))
    description: Mapped[str] = mapped_column(sa.Text, default="")
    created_at: Mapped[datetime]

    schedule_kind: Mapped[ScheduleKind] = mapped_column(sa.String(12), default=ScheduleKind.PERIOD)
    period_seconds: Mapped[int] = mapped_column(default=DEFAULT_PERIOD_SECONDS)
    expression: Mapped[str] = mapped_column(sa.String(200), default="")
    time_zone: Mapped[str] = mapped_column(sa.String(60), default="UTC")
    grace_seconds: Mapped[int] = mapped_column(default=DEFAULT_GRACE_SECONDS)
    early_seconds: Mapped[int] = mapped_column(default=0)
    start_grace_seconds: Mapped[int | None]
    min_duration_seconds: Mapped[int | None]
    max_duration_seconds: Mapped[int | None]
    most_reports: Mapped[int | None]
    most_reports_seconds: Mapped[int] = mapped_column(default=3_600)
    fail_after: Mapped[int] = mapped_column(default=1)
    recover_after: Mapped[int] = mapped_column(default=1)

    manual_resume: Mapped[bool] = mapped_column(default=False)
    methods: Mapped[str] = mapped_column(sa.String(10), default="")
    filter_subject: Mapped[bool] = mapped_column(default=False)
    filter_body: Mapped[bool] = mapped_column(default=False)
    filter_http_body: Mapped[bool] = mapped_column(default=False)
    filter_default_fail: Mapped[bool] = mapped_column(default=False)
    start_words: Mapped[str] = mapped_column(sa.String(200), default="")
    success_words: Mapped[str] = mapped_column(sa.String(200), default="")
    failure_words: Mapped[str] = mapped_column(sa.String(200), default="")

    pings_count: Mapped[int] = mapped_column(default=0)
    last_ping_at: Mapped[datetime | None]
    last_signal: Mapped[str] = mapped_column(sa.String(10), default="")
    last_start_at: Mapped[datetime | None]
    last_duration_ms: Mapped[int | None] = mapped_column(sa.BigInteger)
    counted_from: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    alert_at: Mapped[datetime | None] = mapped_column(index=True)
    forgiven_until: Mapped[datetime | None]
    failures_in_row: Mapped[int] = mapped_column(default=0)
    successes_in_row: Mapped[int] = mapped_column(default=0)
    open_runs: Mapped[dict[str, Any]] = mapped_column(default=dict)
    recent: Mapped[list[str]] = mapped_column(default=list)

    @property
    @override
    def rhythm(self) -> timedelta:
        """How often it reports, as far as its schedule says it in seconds."""
        return timedelta(seconds=self.period_seconds)

    @property
    def grace(self) -> timedelta:
        """How late a report may be."""
        return timedelta(seconds=self.grace_seconds)

    @property
    def is_running(self) -> bool:
        """Whether a run has started and not ended."""
        return bool(self.open_runs)


class HeartbeatPing(Base):
    """One report as it came; `number` counts those of its heartbeat from 1 and is never reused."""

    __tablename__ = "heartbeat_pings"

    heartbeat_id: Mapped[str] = mapped_column(
        sa.ForeignKey("heartbeats.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    signal: Mapped[Signal] = mapped_column(sa.String(10))
    scheme: Mapped[str] = mapped_column(sa.String(10))
    address: Mapped[str] = mapped_column(sa.String(64), default="")
    method: Mapped[str] = mapped_column(sa.String(10), default="")
    client: Mapped[str] = mapped_column(sa.String(200), default="")
    run_id: Mapped[str] = mapped_column(sa.String(36), default="")
    exit_status: Mapped[int | None]
    duration_ms: Mapped[int | None] = mapped_column(sa.BigInteger)
    body: Mapped[bytes | None] = mapped_column(sa.LargeBinary, deferred=True)
    body_bytes: Mapped[int] = mapped_column(default=0)


class HeartbeatKey(Base):
    """What opens the heartbeats of a project, or of one instance of it.

    A ping key may only report, so it lies readable and is shown again in snippets, like an ingest
    key. Of an API key only the hash is kept.
    """

    __tablename__ = "heartbeat_keys"

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
    kind: Mapped[KeyKind] = mapped_column(sa.String(10))
    name: Mapped[str] = mapped_column(sa.String(100))
    ping_key: Mapped[str | None] = mapped_column(sa.String(40), unique=True)
    token_hash: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    hint: Mapped[str] = mapped_column(sa.String(20), default="")
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]


class HeartbeatDoors(Base):
    """One row: until when reports could certainly have arrived.

    What should have come while no door was open is unknown, not missing.
    """

    __tablename__ = "heartbeat_doors"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    open_until: Mapped[datetime]
