"""Shapes: what the API takes and gives of single backups, drills and restores."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from mainstay_server.areas.backups.models import (
    BackupKind,
    BackupStatus,
    CopyStatus,
    DestinationKind,
    DrillStatus,
    RestoreStatus,
)
from mainstay_server.areas.backups.service.retention import Policy
from mainstay_server.kernel.web import Answer, Body
from mainstay_server.kernel.web.bodies import Instant

from .shapes import MOST_KEPT, Config, SecretKey

DestinationId = Annotated[str | None, Field(max_length=36)]
Tried = Annotated[int | None, Field(ge=0, le=MOST_KEPT, description="Another rule, tried only.")]


class BackupProgress(Answer):
    """How far something under way is."""

    plain_bytes: int
    sealed_bytes: int
    bytes_per_second: float
    seconds_left: float | None = None
    at: Instant | None = None


class BackupCopyAnswer(Answer):
    """A copy at one destination; `fault` names what is wrong with it, `reason` says it."""

    destination_id: str
    destination_name: str
    kind: DestinationKind
    status: CopyStatus
    reason: str
    fault: str
    stored_at: Instant | None = None
    checked_at: Instant | None = None
    locked_until: Instant | None = None


class BackupAnswer(Answer):
    """One backup. `progress` is there while it is under way; `verifiedAt` once it was proven."""

    id: str
    target_id: str
    target_name: str
    instance_id: str
    engine: str
    kind: BackupKind
    status: BackupStatus
    reason: str
    queued_at: Instant
    started_at: Instant | None = None
    finished_at: Instant | None = None
    cancel_asked_at: Instant | None = None
    progress: BackupProgress | None = None
    plain_bytes: int
    sealed_bytes: int
    verified_at: Instant | None = None
    kept: bool
    removed_at: Instant | None = None
    notes: list[str]
    copies: list[BackupCopyAnswer]


class BackupsAnswer(Answer):
    """Backups, newest first."""

    backups: list[BackupAnswer]
    next_cursor: str | None = None


class KeepBackup(Body):
    """Whether retention may never remove it."""

    kept: Annotated[bool, Field(examples=[True])]


class BackupRetentionQuery(BaseModel):
    """Rules to be tried; all left out, those of the target."""

    days: Tried = None
    count: Tried = None
    daily: Tried = None
    weekly: Tried = None
    monthly: Tried = None
    yearly: Tried = None

    def policy(self, time_zone: str) -> Policy | None:
        """The rules, or None when none is given."""
        given = {name: value for name, value in self.model_dump().items() if value is not None}
        return Policy(**given, time_zone=time_zone) if given else None


class BackupFate(Answer):
    """What retention does with a backup: the rules that keep it, or none, and then it goes."""

    id: str
    finished_at: Instant
    bytes: int
    reasons: list[str]


class BackupRetentionAnswer(Answer):
    """What stays and what goes, newest first."""

    backups: list[BackupFate]


class BackupDifference(Answer):
    """A table or file that a restore did not give back as it was."""

    name: str
    what: Literal["missing", "extra", "rows", "content"]
    rows_before: int
    rows_after: int


class NewBackupDrill(Body):
    """A drill; without a destination it reads a copy without a known fault."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    destination_id: DestinationId = None


class BackupDrillAnswer(Answer):
    """One drill. When it was not `opened`, copies were only looked at from outside."""

    id: str
    backup_id: str
    destination_id: str | None = None
    status: DrillStatus
    step: str
    progress: BackupProgress | None = None
    queued_at: Instant
    started_at: Instant | None = None
    finished_at: Instant | None = None
    opened: bool
    restore_seconds: float | None = None
    compare_seconds: float | None = None
    tables: int
    rows: int
    differences: list[BackupDifference]
    reason: str


class BackupDrillsAnswer(Answer):
    """Drills, newest first."""

    drills: list[BackupDrillAnswer]
    next_cursor: str | None = None


class RestoreCheck(Body):
    """Where it would go; without a config into the target that it is of."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    config: Config | None = None


class RestoreCheckAnswer(Answer):
    """The versions of both sides; `problem` is why it cannot be restored there, or "".

    `empty` is whether nothing is there that would have to be removed first.
    """

    to: str
    server: str
    backup_server: str
    problem: str
    empty: bool | None = None


class NewBackupRestore(RestoreCheck):
    """A restore.

    `confirm` is the target's name, or with a config where it goes as `check` tells it, typed by
    whoever wants what is there removed; without it nothing is. What is there is backed up before,
    unless `safetyCopy` is false. `identity` is the secret key of age that opens the copy, where no
    key for drills is kept; it is forgotten when the restore has ended.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"confirm": "orders"}]})

    confirm: Annotated[str, Field(max_length=500)] = ""
    safety_copy: bool = True
    identity: SecretKey = ""
    destination_id: DestinationId = None


class BackupRestoreAnswer(Answer):
    """One restore; `differences` are what was not as it was in the backup."""

    id: str
    backup_id: str
    to: str
    status: RestoreStatus
    step: str
    progress: BackupProgress | None = None
    queued_at: Instant
    started_at: Instant | None = None
    finished_at: Instant | None = None
    safety_backup_id: str | None = None
    differences: list[BackupDifference]
    reason: str


class BackupRestoresAnswer(Answer):
    """Restores, newest first."""

    restores: list[BackupRestoreAnswer]
    next_cursor: str | None = None
