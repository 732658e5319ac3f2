"""Shapes: the batch that an SDK sends, and what the API answers (REQUIREMENTS P9)."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from pydantic import Field

from mainstay_server.kernel.web.bodies import Answer, Instant

MOST_REQUESTS = 1000
MOST_DROPPED = 1_000_000_000
Short = Annotated[str, Meta(max_length=200)]


class SdkName(msgspec.Struct, frozen=True):
    """Which SDK sent the batch."""

    name: Short = ""
    version: Short = ""


class ReceivedRequest(msgspec.Struct, frozen=True, rename="camel"):
    """One request that the app served; `path` is the route's template."""

    at: datetime
    method: Annotated[str, Meta(max_length=20)]
    path: Annotated[str, Meta(max_length=500)]
    status: Annotated[int, Meta(ge=100, le=599)]
    duration_ms: Annotated[float, Meta(ge=0, le=86_400_000)]
    client_address: Annotated[str, Meta(max_length=64)] = ""
    api_key: Short = ""
    trace_id: Annotated[str, Meta(max_length=32)] | None = None


class RequestBatch(msgspec.Struct, frozen=True, rename="camel"):
    """What an SDK sends, about once a second; the golden messages are in `wire/requests/`.

    `batch_id` stays the same when it is sent again; one without it is stored as often as it comes.
    """

    requests: Annotated[list[ReceivedRequest], Meta(max_length=MOST_REQUESTS)]
    environment: Short = "production"
    release: Short | None = None
    server_name: Short | None = None
    sdk: SdkName = SdkName()
    sent_at: datetime | None = None
    batch_id: Annotated[str, Meta(min_length=8, max_length=64)] | None = None
    dropped: Annotated[int, Meta(ge=0, le=MOST_DROPPED)] = 0


class StoredRequest(msgspec.Struct, frozen=True):
    """One row of the table `request_metrics`."""

    instance_id: str
    at: datetime
    method: str
    path: str
    status: int
    duration_ms: float
    api_key: str
    client_address: str
    trace_id: str
    release: str
    server_name: str
    # Only when it is not the path.
    endpoint: str | msgspec.UnsetType = msgspec.UNSET


class StoredLoss(msgspec.Struct, frozen=True):
    """One row of the table `request_losses`."""

    instance_id: str
    at: datetime
    server_name: str
    requests: int


class MetricsSummary(Answer):
    """All requests of the span; latencies in milliseconds, the error rate in percent."""

    instance_id: str = Field(examples=["0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"])
    period: str = Field(examples=["24h"])
    total_requests: int = Field(examples=[12_480])
    avg_latency_ms: float = Field(examples=[41.7])
    p95_latency_ms: float = Field(examples=[130.9])
    p99_latency_ms: float = Field(examples=[310.2])
    error_rate: float = Field(examples=[0.35])
    requests_per_second: float = Field(examples=[0.14])


class EndpointMetrics(Answer):
    """One endpoint, by its route template."""

    path: str = Field(examples=["/inspections/{inspection_id}"])
    count: int = Field(examples=[8_211])
    avg_latency: float = Field(examples=[38.2])
    error_rate: float = Field(examples=[0.12])


class MetricsBucket(Answer):
    """One interval; `timestamp` is its beginning."""

    timestamp: Instant
    requests: int = Field(examples=[520])
    avg_latency: float = Field(examples=[40.1])
    errors: int = Field(examples=[2])


class Metrics(Answer):
    """What one instance served; `summary` is null when it served nothing."""

    summary: MetricsSummary | None
    endpoints: list[EndpointMetrics]
    time_series: list[MetricsBucket]
