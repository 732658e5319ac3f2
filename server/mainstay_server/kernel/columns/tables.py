"""What an area declares to have its stream stored: a table, and how the bytes of it are read."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Table:
    """A stream of rows that is kept for a while and then deleted.

    `columns` maps names to ClickHouse types; a `CODEC(…)`, `DEFAULT …` or `MATERIALIZED …` may
    follow the type. A column that is added to the declaration is added to the stored table; a type
    never changes and a column never goes away by itself: declare a new column instead.

    `time_column` is when the row happened, best a `DateTime64(3, 'UTC')`. In JSON a time is an
    RFC 3339 text such as `"2026-11-21T03:06:45.123Z"` (what msgspec writes) or a number of
    **seconds** such as `1763694405.123`; both parse equally fast (14 and 18 ms per 50,000 rows).
    Never a number of milliseconds: ClickHouse reads it as seconds and clamps it to the year 9999,
    which is why a row whose time is not between 2000 and 2100 is refused as invalid.

    Rows are partitioned by day when they are kept for `DAILY_PARTITIONS_UP_TO_DAYS` or less (whole
    parts are dropped when they expire), else by month (expired rows are merged away once a day).
    `retention_days` counts from the row's time; the operator's setting replaces it at open.
    """

    name: str
    columns: Mapping[str, str]
    order_by: tuple[str, ...]
    time_column: str
    retention_days: int


DAILY_PARTITIONS_UP_TO_DAYS = 35


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoding:
    """How the engine reads the bytes of an append. Declare one constant for each, and reuse it.

    `format` is ClickHouse's name of the format. Bodies of one encoding are concatenated, with
    `separator` behind each body that does not end with it, so a body holds whole rows.

    With `structure` and `select` the bytes are transformed on the way in: `structure` is the column
    list of what arrives (`"name String, attributes Map(String, String)"`), and `select` is the
    statement that makes the table's rows of it, reading `FROM {source}`; `into` names the columns
    it fills, in order. `settings` are ClickHouse settings for it, such as `format_schema`.
    """

    format: str
    separator: bytes = b""
    structure: str = ""
    select: str = ""
    into: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()


JSON_LINES = Encoding(format="JSONEachRow", separator=b"\n")
