"""The stream of requests that apps served, its sums, and the questions asked of them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from mainstay_server.kernel import columns
from mainstay_server.kernel.columns import Figure, Measure, RollUp, Slid, Table, Windows
from mainstay_server.kernel.measures import MOST_PARTS_REPLAYED

# An error is an answer of 500 or more: the app failed. 4xx is the caller's doing.
ERRORS = "countIf(status >= 500)"

# NumPy's default definition: linear interpolation, both ends included. Holds every value in memory
# and takes 75 ms of processor time per million.
EXACT = "quantilesExactInclusive(0.5, 0.95, 0.99)"
MOST_EXACT = 500_000
# Beyond so many: a DDSketch, which can be merged and is at most half a percent off (Masson, Rim,
# Lee: DDSketch, VLDB 2019). One is about 1 KB on the disk, and merged in 9 µs.
LEVELS = "0.005, 0.5, 0.95, 0.99"

FIGURES = {
    "errors": Measure(kind="SimpleAggregateFunction(sum, UInt64)", of=ERRORS),
    "milliseconds": Measure(kind="SimpleAggregateFunction(sum, Float64)", of="sum(duration_ms)"),
}
REQUEST_MINUTES = RollUp(
    name="request_minutes",
    bucket_seconds=60,
    keys=("instance_id",),
    measures={
        **FIGURES,
        "newest_at": Measure(
            kind="SimpleAggregateFunction(max, DateTime64(3, 'UTC'))", of="max(at)"
        ),
    },
    retention_days=90,
    on_insert=True,
)
# Three hours: a week of 50 endpoints is 2,800 sketches, and what is left of a span at its ends is
# about three hours of requests. Both take 25 ms where 2 million come a day.
REQUEST_ENDPOINTS = RollUp(
    name="request_endpoints",
    bucket_seconds=3 * 3600,
    keys=("instance_id", "endpoint"),
    measures={
        **FIGURES,
        "durations": Measure(
            kind=f"AggregateFunction(quantilesDD({LEVELS}), Float32)",
            of=f"quantilesDDState({LEVELS})(duration_ms)",
        ),
        "methods": Measure(
            kind="AggregateFunction(groupUniqArray(8), LowCardinality(String))",
            of="groupUniqArrayState(8)(method)",
        ),
    },
    retention_days=90,
    on_insert=False,
)
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
        # The path, or one name for all paths of an instance beyond so many.
        "endpoint": "LowCardinality(String) DEFAULT path",
    },
    order_by=("instance_id", "at"),
    time_column="at",
    retention_days=30,
    roll_ups=(REQUEST_MINUTES, REQUEST_ENDPOINTS),
)
# What an app measured and could not deliver, as it says itself once it can.
REQUEST_LOSSES = Table(
    name="request_losses",
    columns={
        "instance_id": "LowCardinality(String)",
        "at": "DateTime64(3, 'UTC')",
        "server_name": "LowCardinality(String)",
        "requests": "UInt32",
    },
    order_by=("instance_id", "at"),
    time_column="at",
    retention_days=30,
)

# What rules compare, now and of the past.
MEASURED = {
    "errors": Figure(function="countIf", arguments="status >= 500"),
    "average": Figure(function="avg", arguments="duration_ms"),
    "percentiles": Figure(
        function="quantiles", parameters="(0.95, 0.99)", arguments="duration_ms", holds_values=True
    ),
}
OF_ONE = "instance_id = {instance_id:String}"
OF_SOME = "(empty({instances:Array(String)}) OR has({instances:Array(String)}, instance_id))"
# A span of time is the whole buckets of a roll-up that are in it, and the requests at its ends.
WHOLE = "bucket >= {first:DateTime64(3, 'UTC')} AND bucket < {last:DateTime64(3, 'UTC')}"
ENDS = (
    "(at >= {since:DateTime64(3, 'UTC')} AND at < {first:DateTime64(3, 'UTC')}"
    " OR at >= {last:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')})"
)
SUMS = "sum(requests) AS total, sum(failed) AS errors, sum(spent) / total AS average"
# Of the whole buckets, those that lack requests are read from the requests too.
ENDPOINTS = (
    "SELECT endpoint, total AS requests, errors AS failed, milliseconds AS spent, durations,"
    f" methods AS used FROM request_endpoints WHERE {OF_ONE} AND {WHOLE}"
    " AND NOT has({lacking:Array(UInt32)}, toUnixTimestamp(bucket)) UNION ALL SELECT endpoint,"
    f" count(), {', '.join(each.of for each in REQUEST_ENDPOINTS.measures.values())}"
    f" FROM request_metrics WHERE {OF_ONE} AND ({ENDS}"
    " OR at >= {lacking_since:DateTime64(3, 'UTC')} AND at < {lacking_until:DateTime64(3, 'UTC')}"
    " AND has({lacking:Array(UInt32)},"
    " intDiv(toUnixTimestamp(at), {seconds:UInt32}) * {seconds:UInt32})) GROUP BY endpoint"
)
BY_ENDPOINT = (
    " GROUP BY endpoint WITH ROLLUP"
    " ORDER BY grouping(endpoint) DESC, total DESC, path LIMIT {limit:UInt32}"
)


def figures(
    instance_id: str, *, since: datetime, until: datetime, endpoints: int
) -> list[dict[str, Any]]:
    """All requests of a span in the first row, then its busiest endpoints; empty without any.

    A row has `path`, `total`, `errors`, `average` and `percentiles` (50th, 95th and 99th) in ms,
    and up to eight `methods`. Counts are exact. Percentiles are exact when the answer is about
    `MOST_EXACT` requests or fewer, all of them still stored; else those of sketches in every row.
    """
    span = {"instance_id": instance_id, "since": since, "until": until, "limit": endpoints + 1}
    known = _known(instance_id, since=since, until=until)
    if known.most <= MOST_EXACT:
        rows = columns.query(
            f"SELECT endpoint AS path, count() AS total, {ERRORS} AS errors,"
            f" sum(duration_ms) / total AS average, {EXACT}(duration_ms) AS percentiles,"
            " groupUniqArray(8)(method) AS methods FROM request_metrics"
            f" WHERE {OF_ONE} AND at >= {{since:DateTime64(3, 'UTC')}}"
            f" AND at < {{until:DateTime64(3, 'UTC')}}{BY_ENDPOINT}",
            **span,
        )
        found = rows[0]["total"] if rows else 0
        if found >= known.least:  # else some expired before their sums
            return rows if found else []
    seconds = REQUEST_ENDPOINTS.bucket_seconds
    return columns.query(
        f"SELECT endpoint AS path, {SUMS}, quantilesDDMerge({LEVELS})(durations) AS percentiles,"
        f" groupUniqArrayMerge(8)(used) AS methods FROM ({ENDPOINTS}){BY_ENDPOINT}",
        **span,
        **_whole(REQUEST_ENDPOINTS, since=since, until=until),
        seconds=seconds,
        lacking=known.lacking,
        lacking_since=_instant(min(known.lacking, default=0)),
        lacking_until=_instant(max(known.lacking, default=0) + seconds),
    )


class _Known(NamedTuple):
    """What is known of a span before it is read: at least and at most how many requests it has.

    `lacking` are the buckets of REQUEST_ENDPOINTS, by their beginning, that do not count all.
    """

    least: int
    most: int
    lacking: list[int]


def _known(instance_id: str, *, since: datetime, until: datetime) -> _Known:
    whole = _whole(REQUEST_ENDPOINTS, since=since, until=until)
    rows = columns.query(
        "SELECT intDiv(toUnixTimestamp(bucket), {seconds:UInt32}) * {seconds:UInt32} AS begins,"
        " sum(counted) AS most, sum(sure) AS least, sum(summed) AS has FROM ("
        f"SELECT bucket, total AS counted, if({WHOLE}, total, 0) AS sure, 0 AS summed"
        f" FROM request_minutes WHERE {OF_ONE}"
        " AND bucket > {since:DateTime64(3, 'UTC')} - toIntervalMinute(1)"
        " AND bucket < {until:DateTime64(3, 'UTC')}"
        f" UNION ALL SELECT bucket, 0, 0, total FROM request_endpoints WHERE {OF_ONE}"
        " AND bucket >= {begin:DateTime64(3, 'UTC')} AND bucket < {end:DateTime64(3, 'UTC')}"
        ") GROUP BY begins",
        instance_id=instance_id,
        since=since,
        until=until,
        seconds=REQUEST_ENDPOINTS.bucket_seconds,
        begin=whole["first"],
        end=whole["last"],
        **_whole(REQUEST_MINUTES, since=since, until=until),
    )
    return _Known(
        least=sum(row["least"] for row in rows),
        most=sum(row["most"] for row in rows),
        lacking=[
            row["begins"]
            for row in rows
            if whole["first"] <= _instant(row["begins"]) < whole["last"]
            and row["has"] < row["most"]
        ],
    )


def buckets(
    instance_id: str, *, since: datetime, until: datetime, seconds: int
) -> list[dict[str, Any]]:
    """Requests by intervals that begin at multiples of `seconds` since the epoch; no empty ones.

    `seconds` is a number of whole minutes.
    """
    return columns.query(
        "SELECT intDiv(toUnixTimestamp(at), {seconds:UInt32}) * {seconds:UInt32} AS begins,"
        f" {SUMS} FROM ({_minutes(OF_ONE)}) GROUP BY begins ORDER BY begins",
        instance_id=instance_id,
        since=since,
        until=until,
        seconds=seconds,
        **_whole(REQUEST_MINUTES, since=since, until=until),
    )


def bad_buckets(
    instance_id: str,
    *,
    since: datetime,
    until: datetime,
    seconds: int,
    route: str,
    slower_than_ms: float | None,
) -> list[dict[str, Any]]:
    """As `buckets`, of one path or of all, and with the slow ones as errors if a limit is given."""
    if not route and slower_than_ms is None:
        return buckets(instance_id, since=since, until=until, seconds=seconds)
    bad = ERRORS if slower_than_ms is None else "countIf(duration_ms > {limit_ms:Float64})"
    return columns.query(
        "SELECT intDiv(toUnixTimestamp(at), {seconds:UInt32}) * {seconds:UInt32} AS begins,"
        f" count() AS total, {bad} AS errors FROM request_metrics WHERE {OF_ONE}"
        " AND at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}"
        " AND (empty({route:String}) OR path = {route:String}) GROUP BY begins ORDER BY begins",
        instance_id=instance_id,
        since=since,
        until=until,
        seconds=seconds,
        route=route,
        limit_ms=slower_than_ms or 0.0,
    )


def counts_by_instance(
    instance_ids: Sequence[str] | None, *, since: datetime, until: datetime
) -> list[dict[str, Any]]:
    """Count, errors and mean of several instances, or of all; those without requests are absent."""
    return columns.query(
        f"SELECT instance_id, {SUMS} FROM ({_minutes(OF_SOME)}) GROUP BY instance_id",
        since=since,
        until=until,
        instances=list(instance_ids or ()),
        **_whole(REQUEST_MINUTES, since=since, until=until),
    )


def measured(*, since: datetime, until: datetime, by_endpoint: bool) -> list[dict[str, Any]]:
    """Requests of every instance, or of its 200 busiest endpoints, with two percentiles in ms."""
    endpoint = "endpoint" if by_endpoint else "''"
    figures = ", ".join(f"{figure.sql} AS {name}" for name, figure in MEASURED.items())
    return columns.query(
        f"SELECT instance_id, {endpoint} AS part, count() AS total, {figures}"
        " FROM request_metrics WHERE at >= {since:DateTime64(3, 'UTC')}"
        " AND at < {until:DateTime64(3, 'UTC')} GROUP BY instance_id, part"
        " ORDER BY instance_id, total DESC LIMIT 200 BY instance_id LIMIT 50000",
        since=since,
        until=until,
    )


def measured_then(
    instance_id: str,
    names: Sequence[str],
    *,
    windows: Windows,
    by_endpoint: bool,
    endpoint: str,
) -> Slid:
    """Some figures of what `measured` would have answered of an instance at each whole minute."""
    return columns.slide(
        REQUEST_METRICS,
        {name: MEASURED[name] for name in names},
        f"{OF_ONE} AND {{endpoint:String}} IN ('', endpoint)",
        windows,
        part="endpoint" if by_endpoint else "''",
        most_parts=MOST_PARTS_REPLAYED,
        instance_id=instance_id,
        endpoint=endpoint,
    )


def newest(instance_id: str, *, since: datetime, until: datetime) -> dict[str, Any]:
    """How many requests came in a span of time, and when the newest of them did."""
    return columns.query_row(
        f"SELECT sum(requests) AS total, max(newest_at) AS newest_at FROM ({_minutes(OF_ONE)})",
        instance_id=instance_id,
        since=since,
        until=until,
        **_whole(REQUEST_MINUTES, since=since, until=until),
    )


def count_lost(instance_id: str, *, since: datetime, until: datetime) -> int:
    """How many requests were measured and not delivered, of which the app told in a span."""
    row = columns.query_row(
        f"SELECT sum(requests) AS lost FROM request_losses WHERE {OF_ONE}"
        " AND at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}",
        instance_id=instance_id,
        since=since,
        until=until,
    )
    return int(row["lost"])


def _minutes(of: str) -> str:
    """The sums of whole minutes and the requests at both ends of a span, in the same form."""
    return (
        "SELECT instance_id, toDateTime64(bucket, 3, 'UTC') AS at, total AS requests,"
        " errors AS failed, milliseconds AS spent, newest_at"
        f" FROM request_minutes WHERE {of} AND {WHOLE}"
        " UNION ALL SELECT instance_id, at, 1, status >= 500, duration_ms, at"
        f" FROM request_metrics WHERE {of} AND {ENDS}"
    )


def _whole(roll_up: RollUp, *, since: datetime, until: datetime) -> dict[str, datetime]:
    """The buckets that lie wholly within a span: from `first` to before `last`.

    When there is none, both are the end of the span, so that all of it is at its ends.
    """
    seconds = roll_up.bucket_seconds
    first = -(-since.timestamp() // seconds) * seconds
    last = until.timestamp() // seconds * seconds
    if first >= last:
        return {"first": until, "last": until}
    return {"first": _instant(first), "last": _instant(last)}


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
