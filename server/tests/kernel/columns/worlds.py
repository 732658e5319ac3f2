"""The tables that the column tests append to, and bodies for them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from mainstay_server.kernel.columns import Measure, RollUp, Table

VISITS = Table(
    name="visits",
    columns={
        "time": "DateTime64(3, 'UTC')",
        "instance": "LowCardinality(String)",
        "path": "String",
        "number": "UInt64",
    },
    order_by=("instance", "time"),
    time_column="time",
    retention_days=30,
)
VISITS_BY_HOUR = RollUp(
    name="visits_by_hour",
    bucket_seconds=3600,
    keys=("instance", "path"),
    measures={
        "numbers": Measure(kind="SimpleAggregateFunction(sum, UInt64)", of="sum(number)"),
        "spread": Measure(
            kind="AggregateFunction(quantilesDD(0.005, 0.5), UInt64)",
            of="quantilesDDState(0.005, 0.5)(number)",
        ),
    },
    retention_days=90,
    on_insert=True,
)
SUMMED_VISITS = replace(VISITS, roll_ups=(VISITS_BY_HOUR,))


# Rows older than the retention may be gone at any moment, so those of tests are recent.
TODAY = datetime.now(UTC).date()
YESTERDAY = (TODAY - timedelta(days=1)).isoformat()
DAY_BEFORE = (TODAY - timedelta(days=2)).isoformat()


def visit(number: int, *, at: str = f"{YESTERDAY}T03:06:45.123Z", path: str = "/") -> bytes:
    """One row as its sender writes it."""
    return f'{{"time":"{at}","instance":"shop","path":"{path}","number":{number}}}\n'.encode()


def visits(numbers: range, *, path: str = "/") -> bytes:
    return b"".join(visit(number, path=path) for number in numbers)
