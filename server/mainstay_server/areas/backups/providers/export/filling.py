"""Fill tables from JSON Lines: all of them, or none."""

import json
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any, BinaryIO
from urllib.parse import unquote

import sqlalchemy as sa

from mainstay_server.areas.backups.schemas import RestoreFailed

from .connecting import ROWS_AT_ONCE, from_json
from .packing import END, TABLES

MOST_TOLD_BYTES = 16 << 20
CHUNK_BYTES = 1 << 20
READY = {
    "postgresql": ("SET LOCAL timezone = 'UTC'", "SET CONSTRAINTS ALL DEFERRED"),
    "mysql": ("SET SESSION time_zone = '+00:00', sql_mode = '', foreign_key_checks = 0",),
    "sqlite": ("BEGIN", "PRAGMA defer_foreign_keys = on"),
}


@dataclass(frozen=True)
class _Insert:
    statement: sa.TextClause
    columns: Sequence[str]


def fill(connection: sa.Connection, stream: BinaryIO, *, is_scratch: bool) -> None:
    """Insert every row, in the caller's transaction; raises `RestoreFailed`."""
    kind = connection.dialect.name
    for statement in READY["mysql" if kind == "mariadb" else kind]:
        connection.exec_driver_sql(statement)
    inserts: dict[str, _Insert] = {}
    counts: Counter[str] = Counter()
    ended: dict[str, int] | None = None
    try:
        for name, file in _entries(stream):
            if name == TABLES:
                inserts = _inserts(connection, file, is_scratch=is_scratch)
            elif name == END:
                ended = _read(file)
            else:
                table = unquote(name.rpartition("/")[0])
                counts[table] += _fill(connection, inserts[table], file, is_scratch=is_scratch)
    except (tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise RestoreFailed(f"The export is broken: {error}") from None
    if ended is None or {name: counts[name] for name in ended} != ended:
        raise RestoreFailed("The export was cut: its end is missing.")


def _entries(stream: BinaryIO) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK_BYTES) as archive:
        while (entry := archive.next()) is not None:
            file = archive.extractfile(entry)
            if file is None:
                raise RestoreFailed(f"The export holds {entry.name}, which is no file.")
            yield entry.name, file
            archive.members.clear()  # type: ignore[attr-defined]  # it would keep all


def _inserts(connection: sa.Connection, file: IO[bytes], *, is_scratch: bool) -> dict[str, _Insert]:
    """What fills each table; those of a scratch database are made here."""
    told = {str(each["table"]): list(map(str, each["columns"])) for each in _read(file)}
    if is_scratch:
        for name, columns in told.items():
            quote = connection.dialect.identifier_preparer.quote
            # Columns without a type keep any value as it is (https://sqlite.org/datatype3.html).
            named = ", ".join(map(quote, columns))
            connection.exec_driver_sql(f"CREATE TABLE {quote(name)} ({named})")
        return {name: _insert(connection, name, "", columns) for name, columns in told.items()}
    inspector = sa.inspect(connection)
    placed = {name: name.rpartition(".") for name in told}
    missing = [
        name
        for name, (schema, _, table) in placed.items()
        if not inspector.has_table(table, schema=schema or None)
    ]
    if missing:
        raise RestoreFailed(
            f"The target has no table {', '.join(missing)}; let the app make its tables first."
        )
    return {
        name: _insert(connection, table, schema, told[name])
        for name, (schema, _, table) in placed.items()
    }


def _insert(connection: sa.Connection, table: str, schema: str, columns: Sequence[str]) -> _Insert:
    quote = connection.dialect.identifier_preparer.quote
    place = ".".join(quote(each) for each in (schema, table) if each)
    named = ", ".join(quote(each).replace(":", r"\:") for each in columns)
    over = "OVERRIDING SYSTEM VALUE" if connection.dialect.name == "postgresql" else ""
    values = ", ".join(f":c{number}" for number in range(len(columns)))
    text = f"INSERT INTO {place} ({named}) {over} VALUES ({values})"  # noqa: S608 - quoted names
    return _Insert(sa.text(text), columns)


def _read(file: IO[bytes]) -> Any:  # noqa: ANN401 - JSON
    content = file.read(MOST_TOLD_BYTES + 1)
    if len(content) > MOST_TOLD_BYTES:
        raise RestoreFailed("The export tells of more tables than can be taken.")
    return json.loads(content)


def _fill(
    connection: sa.Connection, insert: _Insert, lines: Iterable[bytes], *, is_scratch: bool
) -> int:
    count = 0
    for batch in batched(lines, ROWS_AT_ONCE):
        rows = [
            {
                f"c{number}": from_json(row[name], is_scratch=is_scratch)
                for number, name in enumerate(insert.columns)
            }
            for row in map(json.loads, batch)
        ]
        connection.execute(insert.statement, rows)
        count += len(rows)
    return count


def batched(lines: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    """The lines, so many at a time."""
    left = iter(lines)
    while batch := list(islice(left, size)):
        yield batch
