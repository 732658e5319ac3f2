"""Our own API: what is expected of a job, and how it stands."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from mainstay_server.areas.heartbeats.models import (
    DEFAULT_GRACE_SECONDS,
    DEFAULT_PERIOD_SECONDS,
    KeyKind,
    ScheduleKind,
)
from mainstay_server.kernel.web.bodies import Answer, Body, Instant

LONGEST = 31_536_000
MOST_TAGS = 20
Seconds = Annotated[int, Field(ge=1, le=LONGEST)]
Tag = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^\S{1,40}$")]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,100}$")]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Words = Annotated[str, StringConstraints(max_length=200)]
Times = Annotated[int, Field(ge=1, le=100)]
Methods = Literal["", "POST"]


class HeartbeatChanges(Body):
    """What to change; fields left out stay."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"graceSeconds": 600, "maxDurationSeconds": 3600}]}
    )

    name: Name | None = None
    slug: Slug | None = None
    tags: Annotated[list[Tag], Field(max_length=MOST_TAGS)] | None = None
    description: Annotated[str, Field(max_length=2_000)] | None = None
    schedule_kind: ScheduleKind | None = None
    period_seconds: Seconds | None = None
    expression: Annotated[str, Field(max_length=200)] | None = None
    time_zone: Annotated[str, Field(max_length=60)] | None = None
    grace_seconds: Seconds | None = None
    early_seconds: Annotated[int, Field(ge=0, le=86_400)] | None = None
    start_grace_seconds: Seconds | None = None
    min_duration_seconds: Seconds | None = None
    max_duration_seconds: Seconds | None = None
    most_reports: Times | None = None
    most_reports_seconds: Seconds | None = None
    fail_after: Times | None = None
    recover_after: Times | None = None
    tell_after_seconds: Annotated[int, Field(ge=0, le=86_400)] | None = None
    manual_resume: bool | None = None
    methods: Methods | None = None
    filter_subject: bool | None = None
    filter_body: bool | None = None
    filter_http_body: bool | None = None
    filter_default_fail: bool | None = None
    start_words: Words | None = None
    success_words: Words | None = None
    failure_words: Words | None = None


class NewHeartbeat(HeartbeatChanges):
    """A job that will report. A period in seconds, or an expression with `scheduleKind`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Nightly backup",
                    "scheduleKind": "cron",
                    "expression": "0 3 * * *",
                    "timeZone": "Europe/Berlin",
                    "graceSeconds": 600,
                }
            ]
        }
    )

    name: Name
    schedule_kind: ScheduleKind = ScheduleKind.PERIOD
    period_seconds: Seconds = DEFAULT_PERIOD_SECONDS
    grace_seconds: Seconds = DEFAULT_GRACE_SECONDS


class HeartbeatAnswer(Answer):
    """One heartbeat as it stands."""

    id: str
    instance_id: str
    name: str
    slug: str
    tags: list[str]
    description: str
    ping_url: str
    schedule_kind: str
    period_seconds: int
    expression: str
    time_zone: str
    grace_seconds: int
    early_seconds: int
    start_grace_seconds: int | None
    min_duration_seconds: int | None
    max_duration_seconds: int | None
    most_reports: int | None
    most_reports_seconds: int
    fail_after: int
    recover_after: int
    tell_after_seconds: int
    manual_resume: bool
    methods: str
    filter_subject: bool
    filter_body: bool
    filter_http_body: bool
    filter_default_fail: bool
    start_words: str
    success_words: str
    failure_words: str
    state: str
    late: bool
    running: bool
    state_since: Instant
    state_reason: str
    pings_count: int
    last_ping_at: Instant | None
    last_duration_ms: int | None
    due_at: Instant | None
    alert_at: Instant | None


class HeartbeatsAnswer(Answer):
    """The heartbeats of an instance, by name."""

    heartbeats: list[HeartbeatAnswer]
    next_cursor: str | None


class PingAnswer(Answer):
    """One report as it was kept; `body` says how many bytes came with it."""

    number: int
    at: Instant
    signal: str
    scheme: str
    method: str
    address: str
    client: str
    run_id: str
    exit_status: int | None
    duration_ms: int | None
    body_bytes: int


class PingsAnswer(Answer):
    """Reports, newest first."""

    pings: list[PingAnswer]
    next_cursor: str | None


class HeartbeatSpellAnswer(Answer):
    """A spell of one state, cut to the range; `ongoing` when it has not ended."""

    state: str
    started_at: Instant
    ended_at: Instant
    ongoing: bool
    reason: str


class HeartbeatUptimeAnswer(Answer):
    """How long a job was well over a range, in percent of the time of which that is known."""

    heartbeat_id: str
    since: Instant = Field(alias="from", serialization_alias="from")
    until: Instant = Field(alias="to", serialization_alias="to")
    uptime: float | None
    coverage: float | None
    spells: list[HeartbeatSpellAnswer]


class SchedulePreview(Answer):
    """The next turns of a schedule, in UTC and as the clocks of its zone show them."""

    turns: list[Instant]
    local: list[str]


class NewHeartbeatKey(Body):
    """A key of this instance, or of the whole project when `wholeProject` is set."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "write", "name": "deploy"}]})

    kind: KeyKind
    name: Name
    whole_project: bool = False


class HeartbeatKeyAnswer(Answer):
    """A key. `key` is whole for a ping key; an API key is whole only right after it was made."""

    id: str
    kind: str
    name: str
    whole_project: bool
    key: str
    created_at: Instant
    last_used_at: Instant | None


class HeartbeatKeysAnswer(Answer):
    """The keys of an instance and of its project, oldest first; at most 50."""

    keys: list[HeartbeatKeyAnswer]
    next_cursor: str | None
