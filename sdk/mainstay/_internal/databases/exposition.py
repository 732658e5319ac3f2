"""Query and pool statistics as Prometheus reads them."""

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mainstay._internal.databases.pools import PoolStatistics

if TYPE_CHECKING:
    from mainstay._internal.databases.timing import QueryStatistics

Sample = tuple[str, float | int | None]


def metric_lines(queries: "Sequence[QueryStatistics]", pool: PoolStatistics) -> list[str]:
    """Return the lines of Prometheus' text format 0.0.4, without a line end.

    Each says of which process it is, so that those behind one address do not take turns.
    """
    process = f'pid="{os.getpid()}"'
    alone = f"{{{process}}}"
    in_pool = [
        (f'{{{process},state="used"}}', pool.checked_out),
        (f'{{{process},state="overflow"}}', pool.overflow),
    ]
    of_pool = [
        *_family("mainstay_db_pool_connections", "gauge", "Connections, by state.", in_pool),
        *_family(
            "mainstay_db_pool_capacity", "gauge", "At most so many.", [(alone, pool.capacity)]
        ),
        *_family("mainstay_db_pool_waits_total", "counter", "Who waited.", [(alone, pool.waits)]),
        *_family(
            "mainstay_db_pool_timeouts_total", "counter", "Who got none.", [(alone, pool.timeouts)]
        ),
        *_family(
            "mainstay_db_pool_wait_seconds_total",
            "counter",
            "What they waited together.",
            [(alone, pool.wait_seconds)],
        ),
    ]
    return [*of_pool, *_of_queries(queries, process)]


def _of_queries(queries: "Sequence[QueryStatistics]", process: str) -> Iterable[str]:
    labels = [f'{process},statement="{_escaped(one.statement)}"' for one in queries]
    pairs = list(zip(labels, queries, strict=True))
    summary: list[Sample] = []
    for label, one in pairs:
        summary += [
            (f'{{{label},quantile="0.5"}}', one.p50_seconds),
            (f'{{{label},quantile="0.95"}}', one.p95_seconds),
            (f"_sum{{{label}}}", one.total_seconds),
            (f"_count{{{label}}}", one.count),
        ]
    yield from _family("mainstay_db_query_seconds", "summary", "Time of queries.", summary)
    for name, kind, about, values in (
        (
            "mainstay_db_query_max_seconds",
            "gauge",
            "The slowest.",
            [q.max_seconds for q in queries],
        ),
        ("mainstay_db_query_errors_total", "counter", "Failed.", [q.errors for q in queries]),
        (
            "mainstay_db_query_repeated_total",
            "counter",
            "Requests that ran it too often.",
            [q.repeated for q in queries],
        ),
    ):
        samples = [(f"{{{label}}}", value) for label, value in zip(labels, values, strict=True)]
        yield from _family(name, kind, about, samples)


def _family(name: str, kind: str, about: str, samples: Iterable[Sample]) -> list[str]:
    lines = [f"{name}{labels} {value}" for labels, value in samples if value is not None]
    return [f"# HELP {name} {about}", f"# TYPE {name} {kind}", *lines] if lines else []


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
