"""Requests: what an app served, how fast, and how often it failed."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy.orm import Session

from mainstay_server.contracts.requests import EndpointFigures, RequestCount, RequestSlice
from mainstay_server.kernel.clock import SenderClock
from mainstay_server.kernel.measures import Measure, MeasureFamily, Past, PastQuestion, Reading
from mainstay_server.kernel.problems import Invalid

from . import columns
from .schemas import (
    EndpointMetrics,
    Metrics,
    MetricsBucket,
    MetricsSummary,
    RequestBatch,
    StoredLoss,
    StoredRequest,
)

ENDPOINTS_SHOWN = 20
ENDPOINTS_COMPARED = 50
LEAST_TO_COMPARE = 10
MOST_BUCKETS = 3000
PERCENT = 100
# An app has fewer routes than that. One that reports raw paths has as many as it has requests, and
# each would be a row of the sums in every hour.
MOST_ENDPOINTS = 200
OTHER_ENDPOINTS = "(other)"


class _Endpoints:
    """The paths that each instance was seen to serve in this hour, `MOST_ENDPOINTS` at most."""

    def __init__(self) -> None:
        self._hour: datetime | None = None
        self._paths: dict[str, set[str]] = {}

    def of(self, instance_id: str, *, now: datetime) -> set[str]:
        hour = now.replace(minute=0, second=0, microsecond=0)
        if hour != self._hour:
            self._hour, self._paths = hour, {}
        return self._paths.setdefault(instance_id, set())


_endpoints = _Endpoints()
_decoder = msgspec.json.Decoder(RequestBatch)
_encoder = msgspec.json.Encoder()


def read_batch(body: bytes) -> RequestBatch:
    """The batch in a body; raises `Invalid` that names the field which is wrong."""
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Invalid(f"The batch of requests is not readable: {error}.") from error


def rows_of(batch: RequestBatch, *, instance_id: str, received_at: datetime) -> bytes:
    """The rows to store, one JSON object a line.

    Times are the app's own, as `SenderClock` believes them.

    The first `MOST_ENDPOINTS` paths that this process sees of an instance in an hour are endpoints
    of their own in all sums, the rest are one.
    """
    endpoints = _endpoints.of(instance_id, now=received_at)
    clock = SenderClock(batch.sent_at, received_at=received_at)
    return _encoder.encode_lines(
        [
            StoredRequest(
                instance_id=instance_id,
                at=clock.ours(request.at),
                method=request.method,
                path=request.path,
                status=request.status,
                duration_ms=request.duration_ms,
                api_key=request.api_key,
                client_address=request.client_address,
                trace_id=request.trace_id or "",
                release=batch.release or "",
                server_name=batch.server_name or "",
                endpoint=_endpoint(request.path, endpoints),
            )
            for request in batch.requests
        ]
    )


def loss_of(batch: RequestBatch, *, instance_id: str, received_at: datetime) -> bytes:
    """The row that says how many requests did not come with the batch, nor with any before."""
    return _encoder.encode(
        StoredLoss(
            instance_id=instance_id,
            at=received_at,
            server_name=batch.server_name or "",
            requests=batch.dropped,
        )
    )


def get_metrics(instance_id: str, *, hours: int, interval_minutes: int, now: datetime) -> Metrics:
    """REQUIREMENTS P9's answer for the last hours, with a bucket for every interval.

    Raises:
        Invalid: when the interval would make more than 3,000 buckets.
    """
    if interval_minutes < 1 or hours * 60 / interval_minutes > MOST_BUCKETS:
        smallest = max(1, -(-hours * 60 // MOST_BUCKETS))
        raise Invalid(f"interval is in minutes and must be at least {smallest} for {hours} hours.")
    summary, endpoints = measure(instance_id, hours=hours, now=now)
    return Metrics(
        summary=summary,
        endpoints=[
            EndpointMetrics(
                path=row["path"],
                count=row["total"],
                avg_latency=round(row["average"], 3),
                error_rate=_percent(row["errors"], row["total"]),
            )
            for row in endpoints
        ],
        time_series=time_series(
            instance_id,
            since=now - timedelta(hours=hours),
            until=now,
            seconds=interval_minutes * 60,
        ),
    )


def summarize(instance_id: str, *, hours: int, now: datetime) -> MetricsSummary | None:
    """The figures of the last hours; None when nothing was served."""
    return measure(instance_id, hours=hours, now=now, endpoints=0)[0]


def measure(
    instance_id: str, *, hours: int, now: datetime, endpoints: int = ENDPOINTS_SHOWN
) -> tuple[MetricsSummary | None, list[dict[str, Any]]]:
    """The figures of the last hours, and its busiest endpoints as `columns.figures` has them.

    Both come from one reading, so that they agree. None and nothing when nothing was served.
    """
    rows = columns.figures(
        instance_id, since=now - timedelta(hours=hours), until=now, endpoints=endpoints
    )
    if not rows:
        return None, []
    found, *busiest = rows
    _, p95, p99 = found["percentiles"]
    summary = MetricsSummary(
        instance_id=instance_id,
        period=f"{hours}h",
        total_requests=found["total"],
        avg_latency_ms=round(found["average"], 3),
        p95_latency_ms=round(p95, 3),
        p99_latency_ms=round(p99, 3),
        error_rate=_percent(found["errors"], found["total"]),
        requests_per_second=round(found["total"] / (hours * 3600), 6),
    )
    return summary, busiest


def time_series(
    instance_id: str, *, since: datetime, until: datetime, seconds: int
) -> list[MetricsBucket]:
    """A bucket for every interval of the span, also for those in which nothing was served.

    `seconds` is a number of whole minutes.
    """
    found = {
        row["begins"]: row
        for row in columns.buckets(instance_id, since=since, until=until, seconds=seconds)
    }
    first = int(since.timestamp()) // seconds * seconds
    return [
        MetricsBucket(
            timestamp=datetime.fromtimestamp(begins, tz=UTC),
            requests=row["total"] if row else 0,
            avg_latency=round(row["average"], 3) if row else 0.0,
            errors=row["errors"] if row else 0,
        )
        for begins in range(first, int(until.timestamp()) + 1, seconds)
        for row in [found.get(begins)]
    ]


def count_requests(*, since: datetime, until: datetime) -> dict[str, RequestCount]:
    """Answer the port of the same name."""
    return {
        row["instance_id"]: RequestCount(total=row["total"], errors=row["errors"])
        for row in columns.counts_by_instance(None, since=since, until=until)
    }


def read_measures(
    session: Session, *, since: datetime, until: datetime, by_part: bool
) -> Sequence[Reading]:
    """Read the measures of the requests of every instance that served any."""
    _ = session  # all of it is in the column store
    rows = columns.measured(since=since, until=until, by_endpoint=by_part)
    return [_reading(row["instance_id"], row, VALUES) for row in rows]


def replay_measures(session: Session, asked: PastQuestion) -> Past:
    """Read one of these measures as it was of an instance at each minute of a span."""
    _ = session
    figure, value = VALUES[asked.measure]
    found = columns.measured_then(
        asked.instance_id,
        [figure] if figure in columns.MEASURED else [],
        windows=asked.windows,
        by_endpoint=asked.by_part,
        endpoint=asked.part,
    )
    values = {asked.measure: (figure, value)}
    return Past(
        since=found.since,
        has_more_parts=found.has_more_parts,
        at=lambda moment: [
            _reading(asked.instance_id, row, values) for row in found.rows.get(moment, ())
        ],
    )


# Of each measure the figure that it is made of, and how.
VALUES: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], float]]] = {
    "requests.count": ("total", lambda row: float(row["total"])),
    "requests.error_rate": ("errors", lambda row: PERCENT * row["errors"] / row["total"]),
    "requests.average_ms": ("average", lambda row: row["average"]),
    "requests.p95_ms": ("percentiles", lambda row: row["percentiles"][0]),
    "requests.p99_ms": ("percentiles", lambda row: row["percentiles"][1]),
}


def _reading(
    instance_id: str,
    row: Mapping[str, Any],
    values: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], float]]],
) -> Reading:
    return Reading(
        instance_id=instance_id,
        part=row["part"],
        values={measure: value(row) for measure, (_, value) in values.items()},
        count=row["total"],
    )


def count_bad_requests(
    instance_id: str,
    *,
    since: datetime,
    until: datetime,
    step_seconds: int,
    route: str = "",
    slower_than_ms: float | None = None,
) -> Sequence[RequestSlice]:
    """Answer the port of the same name."""
    rows = columns.bad_buckets(
        instance_id,
        since=since,
        until=until,
        seconds=step_seconds,
        route=route,
        slower_than_ms=slower_than_ms,
    )
    return [
        RequestSlice(
            begins_at=datetime.fromtimestamp(row["begins"], tz=UTC),
            total=row["total"],
            bad=row["errors"],
        )
        for row in rows
    ]


def slowest_endpoints(
    instance_ids: Sequence[str], *, since: datetime, until: datetime, limit: int
) -> Sequence[EndpointFigures]:
    """Answer the port of the same name."""
    found = [
        EndpointFigures(
            instance_id=instance_id,
            path=row["path"],
            requests=row["total"],
            p95_ms=row["percentiles"][1],
        )
        for instance_id in instance_ids
        for row in columns.figures(
            instance_id, since=since, until=until, endpoints=ENDPOINTS_COMPARED
        )[1:]
        if row["total"] >= LEAST_TO_COMPARE
    ]
    return sorted(found, key=lambda each: -each.p95_ms)[:limit]


def summaries(instance_ids: Sequence[str], *, now: datetime) -> Mapping[str, Mapping[str, Any]]:
    """The last 24 hours of several instances, for REQUIREMENTS P12."""
    day = timedelta(hours=24)
    return {
        row["instance_id"]: {
            "requests24h": row["total"],
            "requestErrorRate24h": _percent(row["errors"], row["total"]),
            "avgLatencyMs24h": round(row["average"], 3),
        }
        for row in columns.counts_by_instance(instance_ids, since=now - day, until=now)
    }


def _endpoint(path: str, endpoints: set[str]) -> str | msgspec.UnsetType:
    if path in endpoints:
        return msgspec.UNSET
    if len(endpoints) >= MOST_ENDPOINTS:
        return OTHER_ENDPOINTS
    endpoints.add(path)
    return msgspec.UNSET


def _percent(part: int, whole: int) -> float:
    return round(PERCENT * part / whole, 4) if whole else 0.0


REQUESTS = MeasureFamily(
    measures=(
        Measure(
            name="requests.error_rate",
            title="Share of failed requests",
            unit="percent",
            description="Requests that were answered with 500 or above.",
        ),
        Measure(
            name="requests.p95_ms",
            title="Response time, 95th percentile",
            unit="ms",
            description="So long took the slowest of twenty requests, or less.",
        ),
        Measure(
            name="requests.p99_ms",
            title="Response time, 99th percentile",
            unit="ms",
            description="So long took the slowest of a hundred requests, or less.",
        ),
        Measure(
            name="requests.average_ms",
            title="Response time, mean",
            unit="ms",
            description="The mean of all requests.",
        ),
        Measure(
            name="requests.count",
            title="Requests",
            unit="count",
            description="How many requests were served in the window.",
            worse="below",
        ),
    ),
    read=read_measures,
    replay=replay_measures,
    part="endpoint",
    counts="requests",
)
