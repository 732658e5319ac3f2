"""The stream of requests that apps served, and the questions asked of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mainstay_server.kernel import columns
from mainstay_server.kernel.columns import Table

REQUEST_METRICS = Table(
    name="request_metrics",
    columns={
        "instance_id": "LowCardinality(String)",
        "at": "DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1))",
        "method": "LowCardinality(String)",
        "path": "LowCardinality(String)",
        "status": "UInt16",
        "duration_ms": "Float32 CODEC(ZSTD(1))",
        "api_key": "LowCardinality(String)",
        "client_address": "String CODEC(ZSTD(1))",
        "trace_id": "String CODEC(ZSTD(1))",
        "release": "LowCardinality(String)",
        "server_name": "LowCardinality(String)",
    },
    order_by=("instance_id", "at"),
    time_column="at",
    retention_days=30,
)

# An error is an answer of 500 or more: the app failed. 4xx is the caller's doing.
ERRORS = "countIf(status >= 500)"
IN_RANGE = (
    "instance_id = {instance_id:String}"
    " AND at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}"
)
# Exact percentiles hold every value in memory: 40 MB for this many. Beyond it values are counted
# by their first 8 bits of mantissa: less than half a percent off, in constant memory.
MOST_EXACT = 10_000_000


def summary(instance_id: str, *, since: datetime, until: datetime) -> dict[str, Any]:
    """Count, errors, mean and percentiles (ms) of one instance's requests in a span of time."""
    span = {"instance_id": instance_id, "since": since, "until": until}
    total = columns.query_value(f"SELECT count() FROM request_metrics WHERE {IN_RANGE}", **span)
    # The same definition as NumPy's default: linear interpolation, both ends included.
    function = "quantilesExactInclusive" if total <= MOST_EXACT else "quantilesBFloat16"
    return columns.query_row(
        f"SELECT count() AS total, {ERRORS} AS errors, avg(duration_ms) AS average,"
        f" {function}(0.5, 0.95, 0.99)(duration_ms) AS percentiles"
        f" FROM request_metrics WHERE {IN_RANGE}",
        **span,
    )


def busiest_endpoints(
    instance_id: str, *, since: datetime, until: datetime, limit: int
) -> list[dict[str, Any]]:
    """The endpoints with the most requests, busiest first."""
    return columns.query(
        f"SELECT path, count() AS total, {ERRORS} AS errors, avg(duration_ms) AS average,"
        " quantileBFloat16(0.95)(duration_ms) AS p95, groupUniqArray(8)(method) AS methods"
        f" FROM request_metrics WHERE {IN_RANGE}"
        " GROUP BY path ORDER BY total DESC, path LIMIT {limit:UInt32}",
        instance_id=instance_id,
        since=since,
        until=until,
        limit=limit,
    )


def buckets(
    instance_id: str, *, since: datetime, until: datetime, seconds: int
) -> list[dict[str, Any]]:
    """Requests by intervals that begin at multiples of `seconds` since the epoch; no empty ones."""
    return columns.query(
        "SELECT intDiv(toUnixTimestamp(at), {seconds:UInt32}) * {seconds:UInt32} AS begins,"
        f" count() AS total, {ERRORS} AS errors, avg(duration_ms) AS average"
        f" FROM request_metrics WHERE {IN_RANGE} GROUP BY begins ORDER BY begins",
        instance_id=instance_id,
        since=since,
        until=until,
        seconds=seconds,
    )


def counts_by_instance(
    instance_ids: Sequence[str] | None, *, since: datetime, until: datetime
) -> list[dict[str, Any]]:
    """Count, errors and mean of several instances, or of all; those without requests are absent."""
    return columns.query(
        f"SELECT instance_id, count() AS total, {ERRORS} AS errors, avg(duration_ms) AS average"
        " FROM request_metrics"
        " WHERE at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}"
        " AND (empty({instances:Array(String)}) OR has({instances:Array(String)}, instance_id))"
        " GROUP BY instance_id",
        since=since,
        until=until,
        instances=list(instance_ids or ()),
    )


def newest(instance_id: str, *, since: datetime) -> dict[str, Any]:
    """When the newest request came, how many different releases and templates were seen."""
    return columns.query_row(
        "SELECT count() AS total, max(at) AS newest_at, countIf(path != '(unmatched)') AS matched"
        " FROM request_metrics"
        " WHERE instance_id = {instance_id:String} AND at >= {since:DateTime64(3, 'UTC')}",
        instance_id=instance_id,
        since=since,
    )
