"""The table that the column tests append to, and bodies for it."""

from mainstay_server.kernel.columns import Table

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


def visit(number: int, *, at: str = "2026-11-21T03:06:45.123Z", path: str = "/") -> bytes:
    """One row as its sender writes it."""
    return f'{{"time":"{at}","instance":"shop","path":"{path}","number":{number}}}\n'.encode()


def visits(numbers: range, *, path: str = "/") -> bytes:
    return b"".join(visit(number, path=path) for number in numbers)
