"""Shapes of the API of health checks."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator

from mainstay_server.areas.health_checks.models import EXPIRY_DAYS, HERE
from mainstay_server.kernel.web.bodies import Answer, Body, Instant

MOST_SECONDS = 86_400
SHORTEST_INTERVAL_SECONDS = 5
LONGEST_TIMEOUT_SECONDS = 120
LONGEST_URL = 2_000


Interval = Annotated[int, Field(ge=SHORTEST_INTERVAL_SECONDS, le=MOST_SECONDS)]
Timeout = Annotated[int, Field(ge=1, le=LONGEST_TIMEOUT_SECONDS)]
TellAfter = Annotated[int, Field(ge=0, le=MOST_SECONDS)]
Threshold = Annotated[int, Field(ge=1, le=100)]
Milliseconds = Annotated[int, Field(ge=1, le=LONGEST_TIMEOUT_SECONDS * 1000)]
Name = Annotated[str, Field(min_length=1, max_length=100)]
Tags = Annotated[list[Annotated[str, Field(min_length=1, max_length=50)]], Field(max_length=20)]
Conditions = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=500)]],
    Field(
        max_length=20,
        description="What must hold of every answer, such as `[STATUS] == 200`.",
    ),
]
ParentId = Annotated[str | None, Field(max_length=36)]
Locations = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=50)]],
    Field(
        min_length=1,
        max_length=20,
        description="`here`, and locations of probes; of several a quorum decides.",
    ),
]
ExpiryDays = Annotated[
    list[Annotated[int, Field(ge=1, le=365)]],
    Field(max_length=10, description="Told so many days before a certificate or domain ends."),
]


def checked_url(url: str) -> str:
    """The URL without surrounding blanks; raises ValueError when it cannot be asked."""
    url = url.strip()
    if not url.startswith(("http://", "https://")) or len(url) > LONGEST_URL:
        raise ValueError("must begin with http:// or https:// and have at most 2,000 characters")
    return url


class NewCheck(Body):
    """What a further check of an instance has, whatever its kind."""

    name: Name = "health"
    kind: str
    config: Any
    interval_seconds: Interval = 300
    timeout_seconds: Timeout = 10
    degraded_after_ms: Milliseconds = 2_000
    fail_after: Threshold = 1
    recover_after: Threshold = 1
    tell_after_seconds: TellAfter = 0
    conditions: Conditions = Field(default_factory=list)
    tags: Tags = Field(default_factory=list)
    parent_id: ParentId = None
    expiry_days: ExpiryDays = Field(default_factory=lambda: list(EXPIRY_DAYS))
    locations: Locations = Field(default_factory=lambda: [HERE])
    quorum: Literal["any", "majority", "all"] = "majority"


class NewHealthCheck(NewCheck):
    """A check that asks a URL; `config` says how, where the usual way does not do."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": "https://example.com/health", "name": "shop"}]}
    )

    kind: Literal["http"] = "http"
    url: str
    config: Any = Field(default_factory=dict)

    _url = field_validator("url")(checked_url)


class HealthCheckChanges(Body):
    """What to change; fields left out stay.

    `config` replaces the whole of the check's own, but a secret that is left out of it stays as
    well; null takes it away. The kind of a check never changes.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"failAfter": 3}]})

    url: str | None = None
    config: dict[str, Any] | None = None
    name: Name | None = None
    interval_seconds: Interval | None = None
    timeout_seconds: Timeout | None = None
    degraded_after_ms: Milliseconds | None = None
    fail_after: Threshold | None = None
    recover_after: Threshold | None = None
    tell_after_seconds: TellAfter | None = None
    conditions: Conditions | None = None
    tags: Tags | None = None
    parent_id: ParentId = None
    expiry_days: ExpiryDays | None = None
    locations: Locations | None = None
    quorum: Literal["any", "majority", "all"] | None = None

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        return None if url is None else checked_url(url)


class HealthCheckAnswer(Answer):
    """One check as it stands. Of the secrets in its config only the paths are told, as `secrets`.

    `target` is where it asks, in short. `url` is empty for kinds that have none.
    """

    id: str
    instance_id: str
    name: str
    kind: str
    target: str
    url: str
    config: dict[str, Any]
    secrets: list[str]
    conditions: list[str]
    tags: list[str]
    parent_id: str | None
    expiry_days: list[int]
    locations: list[str]
    quorum: str
    follows_instance: bool
    interval_seconds: int
    timeout_seconds: int
    degraded_after_ms: int
    fail_after: int
    recover_after: int
    tell_after_seconds: int
    paused: bool
    state: str
    state_since: Instant
    state_reason: str
    last_result_at: Instant | None
    last_response_ms: float | None
    next_at: Instant | None


class HealthChecksAnswer(Answer):
    """The checks of an instance, the one that follows its URL first."""

    health_checks: list[HealthCheckAnswer]
    next_cursor: str | None


class FoundAnswer(Answer):
    """What a check found just now; `status` is `unknown` when the fault was our own."""

    instance_id: str
    health_check_id: str
    status: str
    response_time_ms: float
    status_code: int
    timestamp: Instant
    error_message: str = Field("", exclude_if=lambda text: not text)


class RecentCheck(Answer):
    """One of the newest results, as REQUIREMENTS P9 names it."""

    instance_id: str
    status: str
    response_time_ms: float
    timestamp: Instant
    error_message: str = Field("", exclude_if=lambda text: not text)


class HealthMetrics(Answer):
    """Figures over the range: times in milliseconds, rates in percent."""

    instance_id: str
    avg_response_time: float
    p95_response_time: float
    p99_response_time: float
    error_rate: float
    uptime: float
    last_check_at: Instant


class HealthAnswer(Answer):
    """REQUIREMENTS P9: `metrics` is null when the range holds no result."""

    metrics: HealthMetrics | None
    recent_checks: list[RecentCheck]


class SpellAnswer(Answer):
    """A spell of one state, cut to the range; `ongoing` when it has not ended."""

    state: str
    started_at: Instant
    ended_at: Instant
    ongoing: bool
    reason: str


class UptimeAnswer(Answer):
    """Uptime over a range, by interval arithmetic. `uptime` is null when nothing is known.

    `uptime` is up time in percent of known time; `coverage` is known time in percent of the range;
    maintenance is in neither.
    """

    health_check_id: str
    since: Instant = Field(alias="from", serialization_alias="from")
    until: Instant = Field(alias="to", serialization_alias="to")
    uptime: float | None
    coverage: float
    maintenance_seconds: float
    seconds: dict[str, float]
    intervals: list[SpellAnswer]


Row = dict[str, Any]
