"""What the two engines have in common: the few things that the store asks of either."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from .layouts import Layout
from .tables import Encoding, Table

QUERY_SECONDS = 20
QUERY_ROWS = 100_000
INSERT_SETTINGS = (
    # The engine's own gathering would answer before the rows are on the disk.
    ("async_insert", "0"),
    ("date_time_input_format", "best_effort"),
    ("input_format_skip_unknown_fields", "1"),
    # One thread reads a batch as fast, and 10 MB of it in memory less (measured).
    ("input_format_parallel_parsing", "0"),
    ("max_partitions_per_insert_block", "400"),
)


class Inserter(Protocol):
    """Stores batches for one thread; raises EngineError when nothing of a batch was stored."""

    def insert(self, table: Table, encoding: Encoding, body: bytes) -> None:
        """Store the whole body and return when it is stored."""

    def close(self) -> None:
        """Give back what it holds."""


class Engine(Protocol):
    """An open connection to the columns; safe to use from many threads. Raises EngineError."""

    layout: Layout

    @property
    def folder(self) -> Path | None:
        """Where the embedded engine keeps its files; None when a server does."""

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement that changes tables."""

    def rows(self, sql: str, parameters: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
        """Answer a question, within `QUERY_SECONDS` and `QUERY_ROWS`, unable to change anything."""

    def inserter(self) -> Inserter:
        """Return a way in that works while others insert and read."""

    def close(self) -> None:
        """Let go of the engine."""


def open_engine(url: str, *, memory_bytes: int) -> Engine:
    """Open the engine that the URL names; raises ValueError for a URL of no engine."""
    scheme = urlsplit(url).scheme
    module = {"chdb": ".embedded", "clickhouse": ".server"}.get(scheme)
    if module is None:
        raise ValueError(
            f"MAINSTAY_COLUMNS_URL starts with {scheme!r}://; use chdb:///folder or clickhouse://…"
        )
    # Chosen at run time: the embedded engine is 200 MB of memory that a process with a ClickHouse
    # server never needs.
    engine = importlib.import_module(module, __package__)
    return cast("Engine", engine.open_engine(url, memory_bytes=memory_bytes))
