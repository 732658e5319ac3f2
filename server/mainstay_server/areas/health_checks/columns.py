"""The results of health checks as a column table, and the questions asked of it."""

from datetime import datetime
from typing import Any

from mainstay_server.kernel import columns
from mainstay_server.kernel.columns import Figure, Slid, Table, Windows

MOST_RECENT = 50
MOST_CHECKS = 2_000

HEALTH_RESULTS = Table(
    name="health_results",
    columns={
        "instance_id": "LowCardinality(String)",
        "health_check_id": "LowCardinality(String)",
        "at": "DateTime64(3, 'UTC')",
        "state": "LowCardinality(String)",
        "response_ms": "Float32",
        "status_code": "UInt16",
        "error": "String",
        "resolve_ms": "Float32",
        "connect_ms": "Float32",
        "tls_ms": "Float32",
        "first_byte_ms": "Float32",
        "transfer_ms": "Float32",
        "tries": "UInt8",
        "location": "LowCardinality(String) DEFAULT 'here'",
        "detail": "String",
    },
    order_by=("instance_id", "at"),
    time_column="at",
    retention_days=30,
)

# Times go in as milliseconds: a bound datetime would lose what is below the second.
_SINCE = "fromUnixTimestamp64Milli({since:Int64}, 'UTC')"
_UNTIL = "fromUnixTimestamp64Milli({until:Int64}, 'UTC')"
_OF_INSTANCE = f"instance_id = {{instance:String}} AND at >= {_SINCE} AND at <= {_UNTIL}"

# Where nothing was answered, response times are how long we waited: a number either way.
_METRICS = f"""
    SELECT count() AS checks,
        countIf(state = 'unhealthy') AS failed,
        max(at) AS last_at,
        countIf(status_code > 0) AS answered,
        if(answered > 0, avgIf(response_ms, status_code > 0), avg(response_ms)) AS average,
        if(answered > 0, quantilesExactIf(0.95, 0.99)(response_ms, status_code > 0),
            quantilesExact(0.95, 0.99)(response_ms)) AS highest
    FROM health_results WHERE {_OF_INSTANCE}
"""

_RECENT = f"""
    SELECT at, state, response_ms, status_code, error FROM health_results
    WHERE instance_id = {{instance:String}} ORDER BY at DESC LIMIT {MOST_RECENT}
"""

_SUMMARIES = f"""
    SELECT instance_id, count() AS checks, countIf(state = 'unhealthy') AS failed,
        avgIf(response_ms, status_code > 0) AS average, countIf(status_code > 0) AS answered,
        max(at) AS last_at
    FROM health_results
    WHERE instance_id IN {{instances:Array(String)}} AND at >= {_SINCE} AND at <= {_UNTIL}
    GROUP BY instance_id
"""

# Checks that ask no HTTP have no status code: whatever was not unhealthy was answered.
_TIMES = f"""
    SELECT health_check_id, intDiv(toUnixTimestamp(at), {{step:UInt32}}) * {{step:UInt32}} AS time,
        avg(response_ms) AS average
    FROM health_results
    WHERE instance_id IN {{instances:Array(String)}} AND health_check_id IN {{checks:Array(String)}}
        AND at >= {_SINCE} AND at <= {_UNTIL} AND state != 'unhealthy'
    GROUP BY health_check_id, time
"""


# What rules compare, now and of the past.
MEASURED = {
    "failed": Figure(function="countIf", arguments="state = 'unhealthy'"),
    "average": Figure(function="avgIf", arguments="response_ms, state != 'unhealthy'"),
}
_BY_CHECK = f"""
    SELECT instance_id, health_check_id, count() AS checks,
        {", ".join(f"{figure.sql} AS {name}" for name, figure in MEASURED.items())}
    FROM health_results WHERE at >= {_SINCE} AND at < {_UNTIL}
    GROUP BY instance_id, health_check_id
    ORDER BY instance_id, failed DESC, isNaN(average), average DESC LIMIT 50000
"""


_STORED = f"""
    SELECT health_check_id, toUnixTimestamp64Milli(at) AS at_ms FROM health_results
    WHERE instance_id IN {{instances:Array(String)}} AND location = {{location:String}}
        AND at >= {_SINCE} AND at <= {_UNTIL}
"""


_OF_CHECK = f"{_OF_INSTANCE} AND health_check_id = {{check:String}}"

_P95_BY_CHECK = f"""
    SELECT health_check_id, countIf(state != 'unhealthy') AS answered,
        quantileIf(0.95)(response_ms, state != 'unhealthy') AS p95
    FROM health_results
    WHERE instance_id IN {{instances:Array(String)}} AND at >= {_SINCE} AND at <= {_UNTIL}
        AND health_check_id IN {{checks:Array(String)}}
    GROUP BY health_check_id
"""

_FIGURES = f"""
    SELECT count() AS checks, countIf(state = 'unhealthy') AS failed,
        countIf(state != 'unhealthy') AS well,
        avgIf(response_ms, state != 'unhealthy') AS average,
        quantilesIf(0.5, 0.95, 0.99)(response_ms, state != 'unhealthy') AS quantiles
    FROM health_results WHERE {_OF_CHECK}
"""

_TIMINGS = f"""
    SELECT intDiv(toUnixTimestamp(at), {{step:UInt32}}) * {{step:UInt32}} AS time,
        avg(response_ms) AS average, quantile(0.95)(response_ms) AS p95,
        avg(resolve_ms) AS resolve, avg(connect_ms) AS connect, avg(tls_ms) AS tls,
        avg(first_byte_ms) AS first_byte, avg(transfer_ms) AS transfer
    FROM health_results WHERE {_OF_CHECK} AND state != 'unhealthy' GROUP BY time ORDER BY time
"""

_NEWEST = f"""
    SELECT at, state, response_ms, status_code, error, tries, detail,
        resolve_ms, connect_ms, tls_ms, first_byte_ms, transfer_ms
    FROM health_results WHERE {_OF_CHECK} ORDER BY at DESC LIMIT {{most:UInt32}}
"""


_LATEST_BY_CHECK = f"""
    SELECT health_check_id, argMax(status_code, at) AS status_code,
        argMax(resolve_ms, at) AS resolve_ms, argMax(connect_ms, at) AS connect_ms,
        argMax(tls_ms, at) AS tls_ms, argMax(first_byte_ms, at) AS first_byte_ms,
        argMax(transfer_ms, at) AS transfer_ms
    FROM health_results
    WHERE instance_id IN {{instances:Array(String)}} AND at >= {_SINCE} AND at <= {_UNTIL}
    GROUP BY health_check_id
"""


def ask_latest_by_check(
    instance_ids: list[str], *, since: datetime, until: datetime
) -> list[dict[str, Any]]:
    """One row per check that has results in the range: the newest one's status and times."""
    return columns.query(_LATEST_BY_CHECK, instances=instance_ids, **_range(since, until))


def ask_p95_by_check(
    instance_ids: list[str], check_ids: list[str], *, since: datetime, until: datetime
) -> list[dict[str, Any]]:
    """One row per check that has results in the range: answered, and p95 of those in ms."""
    if not check_ids:
        return []
    return columns.query(
        _P95_BY_CHECK, instances=instance_ids, checks=check_ids, **_range(since, until)
    )


def ask_figures(
    instance_id: str, check_id: str, *, since: datetime, until: datetime
) -> dict[str, Any]:
    """One row: checks, failed, well, and of those average and quantiles (50, 95, 99) in ms."""
    return columns.query_row(_FIGURES, instance=instance_id, check=check_id, **_range(since, until))


def ask_timings(
    instance_id: str, check_id: str, *, since: datetime, until: datetime, step_seconds: int
) -> list[dict[str, Any]]:
    """How long each part of answering took, per step of seconds that has an answer."""
    return columns.query(
        _TIMINGS,
        instance=instance_id,
        check=check_id,
        step=step_seconds,
        **_range(since, until),
    )


def ask_newest(
    instance_id: str, check_id: str, *, since: datetime, until: datetime, most: int
) -> list[dict[str, Any]]:
    """The newest results of a check in a range, whole, newest first."""
    return columns.query(
        _NEWEST, instance=instance_id, check=check_id, most=most, **_range(since, until)
    )


def ask_metrics(instance_id: str, *, since: datetime, until: datetime) -> dict[str, Any]:
    """One row: checks, failed, last_at, average and highest (p95, p99) in ms, over the range."""
    return columns.query_row(_METRICS, instance=instance_id, **_range(since, until))


def ask_recent(instance_id: str) -> list[dict[str, Any]]:
    """The 50 newest results, newest first."""
    return columns.query(_RECENT, instance=instance_id)


def ask_summaries(
    instance_ids: list[str], *, since: datetime, until: datetime
) -> list[dict[str, Any]]:
    """One row per instance that has results in the range."""
    return columns.query(_SUMMARIES, instances=instance_ids, **_range(since, until))


def ask_times(
    checks: dict[str, str], *, since: datetime, until: datetime, step_seconds: int
) -> list[dict[str, Any]]:
    """Mean response times per check and step; `checks` maps each to its instance."""
    return columns.query(
        _TIMES,
        checks=list(checks),
        instances=sorted(set(checks.values())),
        step=step_seconds,
        **_range(since, until),
    )


def by_check(*, since: datetime, until: datetime) -> list[dict[str, Any]]:
    """Results, failures and mean response times of every check, the slowest of each first.

    Of results from `since` to before `until`.
    """
    span = {"since": int(since.timestamp() * 1000), "until": int(until.timestamp() * 1000)}
    return columns.query(_BY_CHECK, **span)


def by_check_then(
    instance_id: str,
    check_ids: list[str] | None,
    *,
    windows: Windows,
    most_checks: int,
) -> Slid:
    """What `by_check` would have answered of an instance at each whole minute; `part` is a check.

    Of all checks when none are named.
    """
    return columns.slide(
        HEALTH_RESULTS,
        MEASURED,
        "instance_id = {instance:String}"
        " AND ({all_checks:UInt8} OR has({checks:Array(String)}, health_check_id))",
        windows,
        part="health_check_id",
        most_parts=most_checks,
        instance=instance_id,
        checks=check_ids or [],
        all_checks=int(check_ids is None),
    )


def ask_stored(
    instance_ids: list[str], *, location: str, since: datetime, until: datetime
) -> set[tuple[str, int]]:
    """Which results of a location are stored already: check and moment in milliseconds."""
    rows = columns.query(_STORED, instances=instance_ids, location=location, **_range(since, until))
    return {(row["health_check_id"], row["at_ms"]) for row in rows}


def _range(since: datetime, until: datetime) -> dict[str, int]:
    return {
        "since": int(since.timestamp() * 1000),
        # A result of this very millisecond belongs to "until now".
        "until": int(until.timestamp() * 1000) + 1,
    }
