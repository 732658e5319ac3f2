"""The column store: everything that arrives as a stream. Nobody else speaks to ClickHouse."""

from .copying import HeldFiles, held_files, tables_in
from .engines import QUERY_ROWS, QUERY_SECONDS
from .refusals import EngineError, EngineRefused, Full, TooBroad
from .repeats import append_once
from .sliding import Figure, Slid, Windows, slide
from .store import (
    Stats,
    append,
    append_blocking,
    close_columns,
    delete_rows,
    open_columns,
    query,
    query_row,
    query_value,
    stats,
    sum_up,
)
from .tables import JSON_LINES, Encoding, Measure, RollUp, Table
from .writers import Counts

__all__ = [
    "JSON_LINES",
    "QUERY_ROWS",
    "QUERY_SECONDS",
    "Counts",
    "Encoding",
    "EngineError",
    "EngineRefused",
    "Figure",
    "Full",
    "HeldFiles",
    "Measure",
    "RollUp",
    "Slid",
    "Stats",
    "Table",
    "TooBroad",
    "Windows",
    "append",
    "append_blocking",
    "append_once",
    "close_columns",
    "delete_rows",
    "held_files",
    "open_columns",
    "query",
    "query_row",
    "query_value",
    "slide",
    "stats",
    "sum_up",
    "tables_in",
]
