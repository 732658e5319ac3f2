"""Shapes: what a probe is told and answers, and what the API takes and gives."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator

from mainstay_server.kernel.web.bodies import Answer, Body, Instant

from .models import HealthState

MOST_SECONDS = 86_400
SHORTEST_INTERVAL_SECONDS = 5
LONGEST_TIMEOUT_SECONDS = 120
LONGEST_URL = 2_000


@dataclass(frozen=True, kw_only=True)
class ProbeOrder:
    """One turn of one check, as claimed. `fence` tells later whether the claim still held."""

    check_id: str
    instance_id: str
    kind: str
    url: str
    interval_seconds: int
    timeout_seconds: int
    degraded_after_ms: int
    state: HealthState
    at: datetime
    fence: int | None = None


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """What one try found. Times in milliseconds; `status_code` is 0 when nothing was answered.

    `reason` is empty when healthy. `conclusive` is false when the fault was our own (no free
    connection): that says nothing about the app.
    """

    state: HealthState
    response_ms: float
    status_code: int = 0
    reason: str = ""
    resolve_ms: float = 0.0
    connect_ms: float = 0.0
    tls_ms: float = 0.0
    first_byte_ms: float = 0.0
    transfer_ms: float = 0.0
    conclusive: bool = True


@dataclass(frozen=True, kw_only=True)
class Finished:
    """One turn that was asked; `result` is None when it says nothing about the app."""

    order: ProbeOrder
    at: datetime
    finished_at: datetime
    result: ProbeResult | None
    tries: int = 1


Interval = Annotated[int, Field(ge=SHORTEST_INTERVAL_SECONDS, le=MOST_SECONDS)]
Timeout = Annotated[int, Field(ge=1, le=LONGEST_TIMEOUT_SECONDS)]
Threshold = Annotated[int, Field(ge=1, le=100)]
Milliseconds = Annotated[int, Field(ge=1, le=LONGEST_TIMEOUT_SECONDS * 1000)]
Name = Annotated[str, Field(min_length=1, max_length=100)]


def checked_url(url: str) -> str:
    """The URL without surrounding blanks; raises ValueError when it cannot be asked."""
    url = url.strip()
    if not url.startswith(("http://", "https://")) or len(url) > LONGEST_URL:
        raise ValueError("must begin with http:// or https:// and have at most 2,000 characters")
    return url


class NewHealthCheck(Body):
    """A further check of an instance."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": "https://example.com/health", "name": "shop"}]}
    )

    url: str
    name: Name = "health"
    kind: Literal["http"] = "http"
    interval_seconds: Interval = 300
    timeout_seconds: Timeout = 10
    degraded_after_ms: Milliseconds = 2_000
    fail_after: Threshold = 1
    recover_after: Threshold = 1

    _url = field_validator("url")(checked_url)


class HealthCheckChanges(Body):
    """What to change; fields left out stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"failAfter": 3}]})

    url: str | None = None
    name: Name | None = None
    interval_seconds: Interval | None = None
    timeout_seconds: Timeout | None = None
    degraded_after_ms: Milliseconds | None = None
    fail_after: Threshold | None = None
    recover_after: Threshold | None = None

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        return None if url is None else checked_url(url)


class HealthCheckAnswer(Answer):
    """One check as it stands."""

    id: str
    instance_id: str
    name: str
    kind: str
    url: str
    follows_instance: bool
    interval_seconds: int
    timeout_seconds: int
    degraded_after_ms: int
    fail_after: int
    recover_after: int
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


class ResultAnswer(Answer):
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

    `uptime` is up time in percent of known time; `coverage` is known time in percent of the range.
    """

    health_check_id: str
    since: Instant = Field(alias="from", serialization_alias="from")
    until: Instant = Field(alias="to", serialization_alias="to")
    uptime: float | None
    coverage: float
    seconds: dict[str, float]
    intervals: list[SpellAnswer]


Row = dict[str, Any]
