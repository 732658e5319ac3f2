"""Shapes: what the API of backups takes and gives."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from mainstay_server.areas.backups.models import (
    BackupStatus,
    DestinationKind,
    Drills,
)
from mainstay_server.areas.backups.service.targets import NewKey
from mainstay_server.kernel.web import Answer, Body
from mainstay_server.kernel.web.bodies import Instant

MOST_KEPT = 3660
MOST_CONFIG = 20
LONGEST_KEY = 200
LONGEST_URL = 2000

Name = Annotated[str, Field(min_length=1, max_length=100, examples=["orders"])]
Engine = Annotated[str, Field(max_length=20, examples=["postgresql"])]
Config = Annotated[
    dict[str, Any],
    Field(
        max_length=MOST_CONFIG,
        examples=[{"url": "postgresql://reader:secret@db.example:5432/orders"}],
    ),
]
Kept = Annotated[int, Field(ge=0, le=MOST_KEPT)]
Recipients = Annotated[
    list[Annotated[str, Field(max_length=LONGEST_KEY)]], Field(min_length=1, max_length=20)
]
Ids = Annotated[list[Annotated[str, Field(max_length=36)]], Field(min_length=1, max_length=8)]
SecretKey = Annotated[str, Field(max_length=LONGEST_KEY)]


class NewBackupDestination(Body):
    """A place for copies. The kind `server` has no url; the others have one.

    `folder` is `file:///folder` inside of a folder that the operator named; `s3` is
    `s3://bucket/prefix?access_key_id=…&secret_access_key=…`, and may name `endpoint` and `region`.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "This machine", "kind": "server"}]}
    )

    name: Name
    kind: DestinationKind
    url: Annotated[str, Field(max_length=LONGEST_URL)] = ""


class BackupDestinationChanges(Body):
    """What to change; fields left out stay. While copies lie there only keys may change."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Other region"}]})

    name: Name | None = None
    url: Annotated[str, Field(max_length=LONGEST_URL)] | None = None


class BackupDestinationAnswer(Answer):
    """One destination; `shown` is its place without its keys.

    `problem` is why it could not be used when it was last tried, and is empty while it can.
    """

    id: str
    name: str
    kind: DestinationKind
    shown: str
    created_at: Instant
    checked_at: Instant | None = None
    problem: str
    problem_since: Instant | None = None
    copies: int


class BackupDestinationsAnswer(Answer):
    """Destinations by name."""

    backup_destinations: list[BackupDestinationAnswer]
    next_cursor: str | None = None


class BackupScheduleShape(Body):
    """Either every so many hours, or by a cron expression of five fields in a time zone."""

    interval_hours: Annotated[int, Field(ge=1, le=24 * 90, examples=[6])] | None = None
    cron: Annotated[str, Field(max_length=100)] = ""
    time_zone: Annotated[str, Field(max_length=60)] = "UTC"


class BackupRetentionShape(Body):
    """How long backups stay: one stays when any rule keeps it; zeros alone keep all.

    `days` keeps those of the last days, `count` the newest ones, the others the newest of each of
    so many days, weeks, months and years that have one.
    """

    days: Kept = 0
    count: Kept = 0
    daily: Kept = 0
    weekly: Kept = 0
    monthly: Kept = 0
    yearly: Kept = 0


class BackupTargetBase(Body):
    """What a new target and a change of one have in common."""

    destination_ids: Ids | None = None
    enabled: bool | None = None
    schedule: BackupScheduleShape | None = None
    retention: BackupRetentionShape | None = None
    recipients: Recipients | None = None
    drills: Drills | None = None
    drill_place: Annotated[dict[str, Any], Field(max_length=MOST_CONFIG)] | None = Field(
        None,
        description="An empty database, server or folder as `config` names it, which drills fill"
        " and empty instead of a scratch server; `{}` goes back to that. Its secrets are not shown"
        " again.",
        examples=[{}],
    )
    too_small_percent: Annotated[int, Field(ge=0, le=100)] | None = None
    heartbeat_url: Annotated[str, Field(max_length=LONGEST_URL)] | None = Field(
        None,
        description="Asked with GET after each success, so that somebody else notices when none"
        " comes; empty for nobody. It is not shown again.",
        examples=["https://watch.example/ping/orders"],
    )


class NewBackupTarget(BackupTargetBase):
    """What is to be backed up; what is left out has its default.

    Each copy is sealed for the `recipients`, public keys of age. `newKey` makes a pair: its secret
    key is shown in the answer only, and kept here for drills only when it says so.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "orders",
                    "engine": "postgresql",
                    "config": {"url": "postgresql://reader:secret@127.0.0.1:9/orders"},
                    "enabled": False,
                    "schedule": {"cron": "0 2 * * *", "timeZone": "UTC"},
                    "retention": {"days": 30},
                    "newKey": "shown",
                }
            ]
        }
    )

    name: Name
    engine: Engine
    config: Config
    new_key: NewKey = NewKey.NONE


class BackupTargetChanges(BackupTargetBase):
    """What to change; fields left out stay. `drillKey: ""` takes the key for drills away."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"retention": {"daily": 7, "weekly": 4, "monthly": 12}}]}
    )

    name: Name | None = None
    config: Config | None = None
    drill_key: SecretKey | None = None


class NewBackupKey(Body):
    """Whether the secret key stays here, sealed, so that drills can restore."""

    keep_for_drills: Annotated[bool, Field(examples=[False])] = False


class NewBackupKeyAnswer(Answer):
    """A pair of keys: the secret one is told this once."""

    secret_key: str
    recipient: str


class BackupTargetCheck(Body):
    """A target that somebody is about to set up."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "engine": "postgresql",
                    "config": {"url": "postgresql://reader:secret@127.0.0.1:9/orders"},
                }
            ]
        }
    )

    engine: Engine
    config: Config


class BackupTargetCheckAnswer(Answer):
    """What answered: its version and that of the tools here; `problem` is empty when it is well."""

    engine: str
    shown: str
    server: str
    tools: str
    problem: str


class BackupFigures(Answer):
    """A target at a glance. Seconds are measured: see the docs of the area."""

    status: BackupStatus | None = None
    last_backup_id: str | None = None
    last_backup_at: Instant | None = None
    last_verified_at: Instant | None = None
    would_be_lost_seconds: float | None = None
    restore_seconds: float | None = None
    stored_count: int
    stored_bytes: int


class BackupTargetAnswer(Answer):
    """One target; `shown` is where it is, without secrets, and `troubles` what is wrong with it.

    `drillPlaceShown` is where its drills restore, and is empty for a scratch server.
    """

    id: str
    instance_id: str
    name: str
    engine: str
    shown: str
    enabled: bool
    schedule: BackupScheduleShape
    retention: BackupRetentionShape
    recipients: list[str]
    has_drill_key: bool
    drills: Drills
    drill_place_shown: str
    too_small_percent: int
    has_heartbeat: bool
    heartbeat_problem: str
    destination_ids: list[str]
    created_at: Instant
    next_run_at: Instant | None = None
    figures: BackupFigures
    troubles: list[str]


class NewBackupTargetAnswer(BackupTargetAnswer):
    """A target right after it was made: `secretKey` is shown in this answer only."""

    secret_key: str = ""


class BackupTargetsAnswer(Answer):
    """Targets by name."""

    backup_targets: list[BackupTargetAnswer]
    next_cursor: str | None = None


class BackupSummaryAnswer(Answer):
    """All targets of an instance in a few figures."""

    targets: int
    enabled: int
    failing: int
    never_verified: int
    last_verified_at: Instant | None = None
    would_be_lost_seconds: float | None = None
    restore_seconds: float | None = None
    stored_count: int
    stored_bytes: int
