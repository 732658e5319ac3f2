"""Insert and update any number of rows, a batch at a time, in the caller's transaction."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from mainstay._internal.databases.offenders import (
    BadRow,
    Row,
    added,
    refuse,
    send_or_split,
)
from mainstay._internal.databases.tables import (
    Model,
    Place,
    begin_writing,
    connection_of,
    most_parameters,
    names_of,
    primary_key_of,
    table_of,
)

DEFAULT_SIZE = 1_000
MOST_SIZE = 10_000
_MYSQL = ("mysql", "mariadb")
_COUNTED = {"preserve_rowcount": True}

OnConflict = Literal["skip", "update"]


@dataclass(frozen=True)
class Batched:
    """What became of the rows.

    ``rows`` were given, ``bad`` of them refused. ``changed`` is how many the database says it
    inserted or found to update: less than ``rows`` when some were skipped or are not there. It is
    None where the database does not say (MySQL and MariaDB with ``on_conflict``).
    """

    rows: int
    changed: int | None
    bad: int
    batches: int


class _Columns(NamedTuple):
    """How the keys of rows are called in the table, and those that every row must have."""

    of_table: str
    names: dict[str, str]
    needed: tuple[str, ...] = ()


def insert_in_batches(  # noqa: PLR0913 - options, each with a default that works
    session: Place,
    table: Model,
    rows: Iterable[Row],
    *,
    size: int = DEFAULT_SIZE,
    on_conflict: OnConflict | None = None,
    unique_by: Sequence[str] = (),
    on_bad_row: Callable[[BadRow], object] | None = None,
) -> Batched:
    """Insert rows of any number, and hold no more than one batch of them in memory.

    Rows are mappings from attribute or column to value; one that names no column of the table is
    refused before anything is sent. A batch is ``size`` rows, fewer where the database allows fewer
    values in a statement. Nothing is committed: that, and taking it back, is the caller's.

    A row that is there already, by ``unique_by`` (the primary key unless said otherwise), is an
    error, left as it is (``on_conflict="skip"``), or overwritten with what the row names
    (``"update"``; of two in one call the later wins). MySQL and MariaDB look at every unique key.

    The first row that the database refuses raises `RowRefused`, which says which it was; with
    ``on_bad_row`` each is handed over instead and the others go in.
    """
    target = table_of(table)
    connection = connection_of(session, target)
    names = names_of(table)
    by = [target.c[_column(names, target.name, name)] for name in unique_by]
    write = partial(_insert, connection, target, on_conflict, by or None)
    return _in_batches(connection, _Columns(target.name, names), rows, size, write, on_bad_row)


def update_in_batches(
    session: Place,
    table: Model,
    rows: Iterable[Row],
    *,
    size: int = DEFAULT_SIZE,
    on_bad_row: Callable[[BadRow], object] | None = None,
) -> Batched:
    """Update rows of any number by primary key, and hold no more than one batch in memory.

    Each row holds its primary key and what to set; all else stays. Those that are not there are not
    an error: ``changed`` counts the others. Objects that the session has loaded keep what they had
    until they are refreshed. Otherwise as `insert_in_batches`.
    """
    target = table_of(table)
    connection = connection_of(session, target)
    names = names_of(table)
    keys = {column.key for column in primary_key_of(target)}
    needed = tuple(name for name, column in names.items() if column in keys)
    columns = _Columns(target.name, names, needed)
    write = partial(_update, connection, target)
    return _in_batches(connection, columns, rows, size, write, on_bad_row)


def _in_batches(
    connection: sa.Connection,
    columns: _Columns,
    rows: Iterable[Row],
    size: int,
    write: Callable[[Sequence[Row]], int | None],
    on_bad_row: Callable[[BadRow], object] | None,
) -> Batched:
    if not 1 <= size <= MOST_SIZE:
        raise ValueError(f"A batch has from 1 to {MOST_SIZE} rows, not {size}.")
    given, taken, batches = 0, 0, 0
    changed: int | None = 0
    most = most_parameters(connection)
    for batch in _alike(columns, rows, lambda width: max(1, min(size, most // max(width, 1)))):
        begin_writing(connection)
        went_in, wrote = send_or_split(connection, batch, write, on_bad_row or refuse)
        given, taken, batches = given + len(batch), taken + went_in, batches + 1
        changed = added(changed, wrote)
    return Batched(given, changed, given - taken, batches)


def _alike(
    columns: _Columns, rows: Iterable[Row], size_of: Callable[[int], int]
) -> Iterator[list[tuple[int, Row]]]:
    """Cut rows, in their order, into batches whose rows have the same keys.

    One statement sets the same columns for all its rows; a row with fewer would be given what
    another has, or lose it.
    """
    batch: list[tuple[int, Row]] = []
    keys: frozenset[str] = frozenset()
    names, most, is_renamed = columns.names, 0, False
    for index, row in enumerate(rows):
        if len(batch) == most or row.keys() != keys:
            if batch:
                yield batch
            batch, keys = [], frozenset(row)
            most = size_of(len(keys))
            _check(columns, keys, index)
            is_renamed = any(names[key] != key for key in keys)
        batch.append(
            (index, {names[key]: value for key, value in row.items()} if is_renamed else row)
        )
    if batch:
        yield batch


def _check(columns: _Columns, keys: frozenset[str], index: int) -> None:
    for key in keys:
        _column(columns.names, columns.of_table, key)
    missing = [name for name in columns.needed if name not in keys]
    if missing:
        raise ValueError(f"Row {index} lacks its primary key: {', '.join(missing)}.")


def _column(names: dict[str, str], table: str, name: str) -> str:
    if name not in names:
        raise ValueError(f"The table {table} has no column {name!r}.")
    return names[name]


def _insert(
    connection: sa.Connection,
    table: sa.Table,
    on_conflict: OnConflict | None,
    unique_by: Sequence[sa.Column[Any]] | None,
    rows: Sequence[Row],
) -> int | None:
    name = connection.dialect.name
    statement = _insert_statement(name, table, on_conflict, unique_by, list(rows[0]))
    if name == "postgresql":
        # With RETURNING the rows travel in one statement, several times faster than one by one.
        returning = statement.returning(sa.literal_column("1", sa.Integer))
        options = {"insertmanyvalues_page_size": len(rows)}
        return len(connection.execute(returning, list(rows), execution_options=options).all())
    result = connection.execute(statement, list(rows), execution_options=_COUNTED)
    is_told = result.rowcount >= 0 and not (on_conflict and name in _MYSQL)
    return result.rowcount if is_told else None


def _insert_statement(
    dialect: str,
    table: sa.Table,
    on_conflict: OnConflict | None,
    unique_by: Sequence[sa.Column[Any]] | None,
    names: Sequence[str],
) -> sa.Insert:
    if on_conflict is None:
        return sa.insert(table)
    by = list(unique_by or primary_key_of(table))
    own = {column.key for column in by}
    new = [name for name in names if name not in own] if on_conflict == "update" else []
    if dialect in _MYSQL:
        into = mysql.insert(table)
        # Not INSERT IGNORE: that would also swallow values that do not fit.
        same = {by[0].key: by[0]}
        return into.on_duplicate_key_update({name: into.inserted[name] for name in new} or same)
    if dialect not in ("postgresql", "sqlite"):
        raise ValueError(f"on_conflict is not known for {dialect}.")
    upsert: Any = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    if not new:
        return upsert.on_conflict_do_nothing(index_elements=by)  # type: ignore[no-any-return]
    values = {name: upsert.excluded[name] for name in new}
    return upsert.on_conflict_do_update(  # type: ignore[no-any-return]
        index_elements=by, set_=values
    )


def _update(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> int | None:
    keys = primary_key_of(table)
    own = {column.key for column in keys}
    new = [name for name in rows[0] if name not in own]
    if not new:
        raise ValueError("A row names nothing to update but its primary key.")
    statement = sa.update(table).where(
        *(column == sa.bindparam(_bind(column.key), type_=column.type) for column in keys)
    )
    values = {name: sa.bindparam(_bind(name), type_=table.c[name].type) for name in new}
    result = connection.execute(
        statement.values(values),
        [{_bind(name): value for name, value in row.items()} for row in rows],
        execution_options=_COUNTED,
    )
    return result.rowcount if result.rowcount >= 0 else None


def _bind(name: str) -> str:
    """Name a parameter apart from the columns, whose names SQLAlchemy keeps for itself."""
    return f"mainstay_{name}"
