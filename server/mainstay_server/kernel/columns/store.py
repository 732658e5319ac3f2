"""The one open column store of this process."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from . import migrations
from .declarations import check_declared
from .engines import Engine, open_engine
from .refusals import EngineError, EngineRefused, refusal_of_open, refusal_of_query
from .tables import JSON_LINES, Encoding, Table
from .writers import Counts, WaitingRoom, Writer

WAITING_BYTES = 64 << 20
MEMORY_BYTES = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Stats:
    """What `/metrics` tells of the column store. Counts are since it was opened, per table."""

    waiting_bytes: int
    waiting_bytes_limit: int
    tables: Mapping[str, Counts]


class Store:
    """The engine, its tables, and a writer for each table that something was appended to."""

    def __init__(self, engine: Engine, tables: Sequence[Table], *, waiting_bytes: int) -> None:
        self.engine = engine
        self.tables = {table.name: table for table in tables}
        self.room = WaitingRoom(limit_bytes=waiting_bytes)
        self.counts = {table.name: Counts() for table in tables}
        self._writers: dict[tuple[str, Encoding], Writer] = {}
        self._lock = threading.Lock()
        self._closed = False

    def writer(self, table: Table, encoding: Encoding) -> Writer:
        """Return the table's writer, begun at the first append: an idle table costs no thread."""
        key = (table.name, encoding)
        found = self._writers.get(key)
        if found is not None and found.is_running:
            return found
        with self._lock:
            if self._closed:
                raise closed()
            if self.tables.get(table.name) is not table:
                raise LookupError(f"the table {table.name} was not given to open_columns")
            if key not in self._writers or not self._writers[key].is_running:
                self._writers[key] = Writer(
                    self.engine,
                    table,
                    encoding,
                    room=self.room,
                    counts=self.counts[table.name],
                )
            return self._writers[key]

    def close(self) -> None:
        """Store what waits, then close the engine."""
        with self._lock:
            self._closed = True
        for writer in self._writers.values():
            writer.close()
        self.engine.close()


class _Open:
    """Holds the store between open and close."""

    store: Store | None = None


def open_columns(
    url: str,
    *,
    tables: Sequence[Table],
    retention_days: Mapping[str, int] | None = None,
    waiting_bytes: int = WAITING_BYTES,
    memory_bytes: int = MEMORY_BYTES,
) -> None:
    """Open the column store and bring its tables to what is declared.

    `url` is `chdb:///folder` (the engine in this process, which alone may open the folder) or
    `clickhouse://user:password@host:8123/database`, with `?secure=true` for TLS and `?cluster=name`
    for a cluster. Tables and columns that are missing are made, and the time after which rows are
    deleted is changed where it differs; `retention_days` by name of a table or roll-up replaces
    what is declared. Days of which a roll-up that is on insert lacks rows are summed up.
    It may be called again, and by several processes at the same moment.

    `waiting_bytes` bounds what waits to be stored, `memory_bytes` what the embedded engine uses.
    Raises ValueError for a wrong declaration or URL, RuntimeError when the folder is in use or
    another store is open, EngineRefused when a server does not answer or a disk has no room.
    """
    if _Open.store is not None:
        raise RuntimeError("a column store is open already; call close_columns() first")
    kept = dict(retention_days or {})
    check_declared(tables, kept)
    try:
        engine = open_engine(url, memory_bytes=memory_bytes)
    except EngineError as error:
        raise EngineRefused(f"The column store cannot be reached: {error}") from error
    try:
        for table in tables:
            migrations.migrate(engine, table, retention_days=kept)
    except EngineError as error:
        engine.close()
        raise refusal_of_open(error) from error
    except BaseException:
        engine.close()
        raise
    _Open.store = Store(engine, tables, waiting_bytes=waiting_bytes)


def close_columns() -> None:
    """Store what waits and close; calls that come later are refused. May be called twice."""
    store, _Open.store = _Open.store, None
    if store is not None:
        store.close()


async def append(table: Table, body: bytes, *, rows: int, encoding: Encoding = JSON_LINES) -> None:
    """Store the rows of the body, and return when they are stored.

    Stored means: they survive `kill -9` at once, and in the embedded engine a power cut too. They
    are stored once, and are in every roll-up of the table; a refusal stores none of them, except
    that a body that spans several days, or whose table has roll-ups, may have been stored in part
    when the disk filled up in between. `rows` is how many there are, as
    the caller knows it; it only bounds the batch. The body must be whole rows, and the caller has
    checked that it is well formed, as it is inserted together with others' bodies; one that is cut
    short is refused alone.

    Raises Full at once when too much waits, Invalid when the rows do not fit the table, and
    EngineRefused when they could not be stored now.
    """
    await asyncio.wrap_future(_put(table, body, rows=rows, encoding=encoding))


def append_blocking(
    table: Table, body: bytes, *, rows: int, encoding: Encoding = JSON_LINES
) -> None:
    """Do what `append` does, for a thread."""
    _put(table, body, rows=rows, encoding=encoding).result()


def query(sql: str, /, **parameters: object) -> list[dict[str, Any]]:
    """Answer a question as one mapping for each row; times are aware datetimes in UTC.

    Values go as parameters, which ClickHouse types and never reads as SQL:
    `query("SELECT count() AS n FROM requests WHERE instance = {instance:String}", instance=id)`.
    Questions run while rows are inserted, see every append that returned, and cannot change
    anything.

    Raises TooBroad when it takes more than `QUERY_SECONDS` or gives more than `QUERY_ROWS`, and
    EngineRefused when the engine does not answer. Wrong SQL raises EngineError: it is a bug.
    """
    try:
        return list(_opened().engine.rows(sql, parameters))
    except EngineError as error:
        refusal = refusal_of_query(error)
        if refusal is None:
            raise
        raise refusal from error


def query_row(sql: str, /, **parameters: object) -> dict[str, Any]:
    """Answer a question that has exactly one row, as an aggregate without GROUP BY has."""
    (row,) = query(sql, **parameters)
    return row


def query_value(sql: str, /, **parameters: object) -> Any:  # noqa: ANN401  the SQL decides the type
    """Answer a question that has exactly one row of one column, such as a count."""
    (value,) = query_row(sql, **parameters).values()
    return value


def delete_rows(table: Table, where: str, /, **parameters: object) -> None:
    """Delete rows for good before their time, as erasing a person asks for.

    Returns when no question finds them any more. It rewrites every part that holds one, so it is
    for requests of people, never for retention. Roll-ups go on counting them.
    """
    store = _opened()
    try:
        store.engine.command(store.engine.layout.delete(table, where=where), parameters)
    except EngineError as error:
        refusal = refusal_of_query(error)
        if refusal is None:
            raise
        raise refusal from error


def sum_up(table: Table, *, until: datetime) -> None:
    """Bring the roll-ups of the table that are not on insert to date.

    Sums up all intervals that ended before `until`, and those again of which rows came late since:
    a second or two for ten million rows. A call in vain costs some milliseconds. May be killed, and
    called by several processes at once.
    """
    store = _opened()
    try:
        migrations.sum_up(store.engine, table, until=until)
    except EngineError as error:
        refusal = refusal_of_query(error)
        if refusal is None:
            raise
        raise refusal from error


def stats() -> Stats:
    """Return what waits now and what was done since the store was opened."""
    store = _opened()
    return Stats(
        waiting_bytes=store.room.waiting_bytes,
        waiting_bytes_limit=store.room.limit_bytes,
        tables={name: replace(counts) for name, counts in store.counts.items()},
    )


def closed() -> EngineRefused:
    """Return the refusal of a call that comes before open or after close."""
    return EngineRefused("The column store is not open; call open_columns() at start.")


def open_engine_now() -> Engine:
    """The engine that is open in this process; raises when there is none."""
    return _opened().engine


def _opened() -> Store:
    if _Open.store is None:
        raise closed()
    return _Open.store


def _put(table: Table, body: bytes, *, rows: int, encoding: Encoding) -> "Future[None]":
    return _opened().writer(table, encoding).put(body, rows=rows)
