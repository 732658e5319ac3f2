"""What is backed up and where to, each run with its copies, and the drills and restores of them."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.clock import LEASED, WAITS
from mainstay_server.kernel.database import Base, Id
from mainstay_server.kernel.sealing import SealedText, SealedTexts

DEFAULT_INTERVAL_HOURS = 6
DEFAULT_KEEP_DAYS = 30
STAGING_KEEP_DAYS = 7
DEFAULT_TOO_SMALL_PERCENT = 50
LONGEST_REASON = 500


class DestinationKind(StrEnum):
    """Where copies go: beside this server's own objects, a folder of this machine, a bucket."""

    SERVER = "server"
    FOLDER = "folder"
    S3 = "s3"


class Drills(StrEnum):
    """When a target's backups are restored to be compared."""

    AFTER_EACH = "after_each"
    WEEKLY = "weekly"
    OFF = "off"


class BackupKind(StrEnum):
    """Why a backup was made."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"
    BEFORE_RESTORE = "before_restore"


class BackupStatus(StrEnum):
    """How far a backup is; degraded: it is stored, and not at every destination."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    DEGRADED = "degraded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class CopyStatus(StrEnum):
    """What is known of one copy; locked: retention would remove it and the store keeps it."""

    STORED = "stored"
    FAILED = "failed"
    LOCKED = "locked"
    REMOVED = "removed"


class DrillStatus(StrEnum):
    """How far a drill is."""

    QUEUED = "queued"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"


class RestoreStatus(StrEnum):
    """How far a restore is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


STORED = (BackupStatus.SUCCEEDED, BackupStatus.DEGRADED)
THERE = (CopyStatus.STORED, CopyStatus.LOCKED)
UNDER_WAY = (BackupStatus.QUEUED, BackupStatus.RUNNING)
IS_RUNNING = sa.text("status = 'running'")
IS_QUEUED = sa.text("status = 'queued'")


class Leased:
    """Who works on a row, and until when it is theirs; `fence` grows with every claim."""

    owner: Mapped[str] = mapped_column(sa.String(120), default="")
    fence: Mapped[int] = mapped_column(default=0)
    leased_until: Mapped[datetime | None] = mapped_column(info=LEASED)


class BackupDestination(Base):
    """A place for the copies of a project's backups. Its URL may hold keys, and so lies sealed.

    `problem` is why it could not be used when it was last tried, since `problem_since`.
    """

    __tablename__ = "backup_destinations"
    __table_args__ = (sa.UniqueConstraint("project_id", "name"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(sa.String(100))
    kind: Mapped[DestinationKind] = mapped_column(sa.String(10))
    url: Mapped[str] = mapped_column(SealedText("backup_destinations.url"), default="")
    shown: Mapped[str] = mapped_column(sa.String(500))
    created_at: Mapped[datetime]
    checked_at: Mapped[datetime | None]
    problem: Mapped[str] = mapped_column(sa.String(LONGEST_REASON), default="")
    problem_since: Mapped[datetime | None]


class BackupSchedule(Base):
    """What somebody said of all backups of an instance: for its targets now, and for new ones."""

    __tablename__ = "backup_schedules"

    instance_id: Mapped[str] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), primary_key=True
    )
    enabled: Mapped[bool] = mapped_column(default=True)
    interval_hours: Mapped[int] = mapped_column(default=DEFAULT_INTERVAL_HOURS)
    retention_days: Mapped[int] = mapped_column(default=DEFAULT_KEEP_DAYS)
    changed_at: Mapped[datetime]


class BackupTarget(Base):
    """What is backed up: an engine and where it is, how often, how long it is kept.

    Either `interval_hours` or `cron` in `time_zone` says when. `folder` is where its copies lie
    below each destination, and never changes. `next_run_at` is its next turn, None while it is
    off. `drill_key` is a secret key of age that somebody gave for drills, or "". `drill_place` is
    the config of what drills may fill and empty, None for a scratch server. `troubles` says what is
    wrong with its backups, each kind with the time since when; others are told of it.
    """

    __tablename__ = "backup_targets"
    __table_args__ = (sa.UniqueConstraint("instance_id", "name"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    project_id: Mapped[str] = mapped_column(
        sa.ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    instance_id: Mapped[str] = mapped_column(sa.ForeignKey("instances.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(sa.String(100))
    engine: Mapped[str] = mapped_column(sa.String(20))
    config: Mapped[dict[str, Any]] = mapped_column(SealedTexts("backup_targets.config"))
    shown: Mapped[str] = mapped_column(sa.String(500))
    folder: Mapped[str] = mapped_column(sa.String(120))
    is_enabled: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]

    interval_hours: Mapped[int | None]
    cron: Mapped[str] = mapped_column(sa.String(100), default="")
    time_zone: Mapped[str] = mapped_column(sa.String(60), default="UTC")
    next_run_at: Mapped[datetime | None] = mapped_column(index=True)
    # No backup is expected before: it was made, switched on or put on another schedule.
    expected_since: Mapped[datetime]

    keep_days: Mapped[int] = mapped_column(default=DEFAULT_KEEP_DAYS)
    keep_count: Mapped[int] = mapped_column(default=0)
    keep_daily: Mapped[int] = mapped_column(default=0)
    keep_weekly: Mapped[int] = mapped_column(default=0)
    keep_monthly: Mapped[int] = mapped_column(default=0)
    keep_yearly: Mapped[int] = mapped_column(default=0)

    recipients: Mapped[list[str]]
    drill_key: Mapped[str] = mapped_column(SealedText("backup_targets.drill_key"), default="")
    drills: Mapped[Drills] = mapped_column(sa.String(12), default=Drills.AFTER_EACH)
    drill_place: Mapped[dict[str, Any] | None] = mapped_column(SealedTexts("backup_targets.place"))
    too_small_percent: Mapped[int] = mapped_column(default=DEFAULT_TOO_SMALL_PERCENT)
    heartbeat_url: Mapped[str] = mapped_column(
        SealedText("backup_targets.heartbeat_url"), default=""
    )
    heartbeat_problem: Mapped[str] = mapped_column(sa.String(LONGEST_REASON), default="")

    fence: Mapped[int] = mapped_column(default=0)
    troubles: Mapped[dict[str, Any]]


class BackupTargetDestination(Base):
    """One destination of a target."""

    __tablename__ = "backup_target_destinations"

    target_id: Mapped[str] = mapped_column(
        sa.ForeignKey("backup_targets.id", ondelete="CASCADE"), primary_key=True
    )
    destination_id: Mapped[str] = mapped_column(
        sa.ForeignKey("backup_destinations.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class Backup(Leased, Base):
    """One run of a target, and what came of it. `step` says what is done while it runs.

    It may begin at `due_at`. While it runs, `plain_bytes` and `sealed_bytes` are how far it is;
    afterwards, how large it is. `key` is where its copies lie below each destination, `beside` the
    small files with them. `manifest` is the signed one, compressed. It is verified when a drill
    or a reading with the key found it whole. Kept ones are out of retention's reach. One whose
    copies were all removed has `removed_at`, and stays in the history.
    """

    __tablename__ = "backups"
    __table_args__ = (
        sa.Index("ix_backups_target_queued", "target_id", "queued_at"),
        sa.Index("ix_backups_instance_queued", "instance_id", "queued_at"),
        sa.Index("ix_backups_status_due", "status", "due_at"),
        sa.Index(
            "uq_backups_running_target",
            "target_id",
            unique=True,
            sqlite_where=IS_RUNNING,
            postgresql_where=IS_RUNNING,
        ),
        sa.Index(
            "uq_backups_queued_target",
            "target_id",
            unique=True,
            sqlite_where=IS_QUEUED,
            postgresql_where=IS_QUEUED,
        ),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    project_id: Mapped[str] = mapped_column(
        sa.ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    instance_id: Mapped[str] = mapped_column(sa.ForeignKey("instances.id", ondelete="CASCADE"))
    target_id: Mapped[str] = mapped_column(sa.ForeignKey("backup_targets.id", ondelete="CASCADE"))
    engine: Mapped[str] = mapped_column(sa.String(20))
    kind: Mapped[BackupKind] = mapped_column(sa.String(15))
    status: Mapped[BackupStatus] = mapped_column(sa.String(10), default=BackupStatus.QUEUED)
    attempt: Mapped[int] = mapped_column(default=1)
    asked_by: Mapped[str] = mapped_column(sa.String(36), default="")
    queued_at: Mapped[datetime]
    due_at: Mapped[datetime] = mapped_column(info=WAITS)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    cancel_asked_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(sa.String(LONGEST_REASON), default="")

    plain_bytes: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    sealed_bytes: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    bytes_per_second: Mapped[float] = mapped_column(default=0.0)
    seconds_left: Mapped[float | None]
    progress_at: Mapped[datetime | None]
    step: Mapped[str] = mapped_column(sa.String(30), default="")
    # Whether nothing unfinished of it can be left at its destinations.
    is_swept: Mapped[bool] = mapped_column(default=True)

    key: Mapped[str] = mapped_column(sa.String(400), default="")
    beside: Mapped[list[Any]]
    sha256: Mapped[str] = mapped_column(sa.String(64), default="")
    notes: Mapped[list[str]]
    manifest: Mapped[bytes] = mapped_column(sa.LargeBinary, default=b"", deferred=True)
    verified_at: Mapped[datetime | None]
    is_kept: Mapped[bool] = mapped_column(default=False)
    removed_at: Mapped[datetime | None]


class BackupCopy(Base):
    """A backup at one destination.

    `checked_at` is when it was last read whole from outside, and `fault` what was found then.
    """

    __tablename__ = "backup_copies"
    __table_args__ = (sa.UniqueConstraint("backup_id", "destination_id"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    backup_id: Mapped[str] = mapped_column(sa.ForeignKey("backups.id", ondelete="CASCADE"))
    destination_id: Mapped[str] = mapped_column(
        sa.ForeignKey("backup_destinations.id", ondelete="CASCADE"), index=True
    )
    status: Mapped[CopyStatus] = mapped_column(sa.String(10))
    reason: Mapped[str] = mapped_column(sa.String(LONGEST_REASON), default="")
    stored_at: Mapped[datetime | None]
    checked_at: Mapped[datetime | None] = mapped_column(index=True)
    fault: Mapped[str] = mapped_column(sa.String(20), default="")
    locked_until: Mapped[datetime | None]


class BackupDrill(Leased, Base):
    """A backup restored into a scratch server and compared, or looked at from outside.

    `is_opened` tells the two apart. `differences` are the tables or files that were not as they
    were, at most 100. `filled` is the key of the drill place that may hold something of it, or "".
    """

    __tablename__ = "backup_drills"
    __table_args__ = (
        sa.Index("ix_backup_drills_target_queued", "target_id", "queued_at"),
        sa.Index("ix_backup_drills_status", "status"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    project_id: Mapped[str] = mapped_column(
        sa.ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    instance_id: Mapped[str] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), index=True
    )
    target_id: Mapped[str] = mapped_column(sa.ForeignKey("backup_targets.id", ondelete="CASCADE"))
    backup_id: Mapped[str] = mapped_column(
        sa.ForeignKey("backups.id", ondelete="CASCADE"), index=True
    )
    destination_id: Mapped[str | None] = mapped_column(
        sa.ForeignKey("backup_destinations.id", ondelete="SET NULL"), index=True
    )
    status: Mapped[DrillStatus] = mapped_column(sa.String(10), default=DrillStatus.QUEUED)
    asked_by: Mapped[str] = mapped_column(sa.String(36), default="")
    queued_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    step: Mapped[str] = mapped_column(sa.String(30), default="")
    plain_bytes: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    seconds_left: Mapped[float | None]
    is_opened: Mapped[bool] = mapped_column(default=False)
    filled: Mapped[str] = mapped_column(sa.String(64), default="")
    restore_seconds: Mapped[float | None]
    compare_seconds: Mapped[float | None]
    tables: Mapped[int] = mapped_column(default=0)
    rows: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    differences: Mapped[list[Any]]
    reason: Mapped[str] = mapped_column(sa.String(LONGEST_REASON), default="")


class BackupRestore(Leased, Base):
    """A target filled from a backup because a person asked for it.

    Without a `config` it goes back to its own target; else to that one, which may be anywhere.
    `safety_backup_id` is the backup that was made of what was there before. `empties` says that
    somebody had what is there removed. `erasures` is how many people were erased from it again,
    None where nobody remembers erasures.
    """

    __tablename__ = "backup_restores"
    __table_args__ = (
        sa.Index("ix_backup_restores_target_queued", "target_id", "queued_at"),
        sa.Index("ix_backup_restores_status", "status"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    project_id: Mapped[str] = mapped_column(
        sa.ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    instance_id: Mapped[str] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), index=True
    )
    target_id: Mapped[str] = mapped_column(sa.ForeignKey("backup_targets.id", ondelete="CASCADE"))
    backup_id: Mapped[str] = mapped_column(
        sa.ForeignKey("backups.id", ondelete="CASCADE"), index=True
    )
    destination_id: Mapped[str | None] = mapped_column(
        sa.ForeignKey("backup_destinations.id", ondelete="SET NULL"), index=True
    )
    safety_backup_id: Mapped[str | None] = mapped_column(
        sa.ForeignKey("backups.id", ondelete="SET NULL"), index=True
    )
    config: Mapped[dict[str, Any] | None] = mapped_column(SealedTexts("backup_restores.config"))
    shown: Mapped[str] = mapped_column(sa.String(500))
    empties: Mapped[bool] = mapped_column(default=False)
    erasures: Mapped[int | None]
    # The secret key that opens the copy, until the restore has ended; then it is gone.
    identity: Mapped[str] = mapped_column(SealedText("backup_restores.identity"), default="")
    status: Mapped[RestoreStatus] = mapped_column(sa.String(10), default=RestoreStatus.QUEUED)
    asked_by: Mapped[str] = mapped_column(sa.String(36), default="")
    queued_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    cancel_asked_at: Mapped[datetime | None]
    step: Mapped[str] = mapped_column(sa.String(30), default="")
    plain_bytes: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    bytes_per_second: Mapped[float] = mapped_column(default=0.0)
    seconds_left: Mapped[float | None]
    differences: Mapped[list[Any]]
    reason: Mapped[str] = mapped_column(sa.String(LONGEST_REASON), default="")
