"""Move old records into an archive table, a little at a time, and lose none."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.util import await_only

from mainstay._internal.databases.references import is_referenced, refers_to_itself
from mainstay._internal.databases.tables import (
    Model,
    begin_writing,
    most_parameters,
    primary_key_of,
    table_of,
)

MOST_SIZE = 10_000
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Archived:
    """What was moved, or with ``dry_run`` would be.

    ``matching`` records fitted the condition at the beginning; ``referenced`` of them stayed where
    they are, because a foreign key points at them. ``copied`` are new in the archive, ``removed``
    gone from the table.
    """

    matching: int
    referenced: int
    copied: int
    removed: int
    batches: int


class ArchiveConflict(Exception):
    """The archive holds another record with the same primary key; the batch stays unmoved."""


def archive(  # noqa: PLR0913 - options, each with a default that works
    engine: sa.Engine | sa.Connection,
    model: Model,
    *,
    where: sa.ColumnElement[bool],
    to: Model,
    size: int = 500,
    pause_seconds: float = 0.05,
    remove: bool = True,
    dry_run: bool = False,
) -> Archived:
    """Copy the records that fit ``where`` into another table, and remove them from theirs.

    Each batch is one transaction, committed here, with a pause after it, so that nobody waits long
    for a lock. Before records are removed they are compared with their copies, value by value.
    Killed at any moment, it is simply called again: a record is in one of the two tables, and with
    ``remove=False`` in the archive once.

    Records at which a foreign key points stay: archive what points at them first. The archive is in
    the same database, has every column of the table (its own may have defaults) and the same
    primary key; `archive_table` makes one. An archived record whose key is used again by another
    raises `ArchiveConflict`.
    """
    source, target = table_of(model), table_of(to)
    _refuse_what_would_lose(source, target)
    if not 1 <= size <= MOST_SIZE:
        raise ValueError(f"A batch has from 1 to {MOST_SIZE} records, not {size}.")
    with _connected(engine) as connection:
        if connection._is_autocommit_isolation():  # noqa: SLF001 - no other way to ask
            raise ValueError(
                "With AUTOCOMMIT a record could be lost on its way. Use an engine without."
            )
        with connection.begin():
            held = is_referenced(connection, source) if remove else sa.false()
            matching = _count(connection, source, where)
            referenced = _count(connection, source, sa.and_(where, held)) if remove else 0
        if dry_run:
            return Archived(matching, referenced, 0, 0, 0)
        moving = _Moving(connection, source, target, sa.and_(where, sa.not_(held)), remove=remove)
        moving.run(size, pause_seconds)
        with connection.begin():
            kept = _count(connection, source, sa.and_(where, held)) if remove else 0
    return Archived(matching, kept, moving.copied, moving.removed, moving.batches)


def archive_table(model: Model, name: str | None = None) -> sa.Table:
    """Describe an archive for a model: its columns and primary key, and when a record came.

    Named ``<table>_archive`` unless said otherwise, in the same MetaData, so that ``create_all``
    and migrations make it. Foreign keys, unique constraints and defaults are left behind: an
    archive outlives what they speak of.
    """
    source = table_of(model)
    columns = [
        sa.Column(
            column.name,
            column.type,
            key=column.key,
            primary_key=column.primary_key,
            nullable=column.nullable,
            autoincrement=False,
        )
        for column in source.columns
    ]
    archived_at = sa.Column("archived_at", sa.DateTime(), server_default=sa.func.now())
    extra = [] if "archived_at" in source.columns else [archived_at]
    named = name or f"{source.name}_archive"
    return sa.Table(named, source.metadata, *columns, *extra, schema=source.schema)


class _Moving:
    """One run over the table in the order of its primary key."""

    def __init__(
        self,
        connection: sa.Connection,
        source: sa.Table,
        target: sa.Table,
        where: sa.ColumnElement[bool],
        *,
        remove: bool,
    ) -> None:
        self._connection = connection
        self._source = source
        self._target = target
        self._where = where
        self._remove = remove
        self._keys = primary_key_of(source)
        self.copied = self.removed = self.batches = 0

    def run(self, size: int, pause_seconds: float) -> None:
        """Move batch after batch; of a tree leaf after leaf, until no more can go."""
        size = max(1, min(size, most_parameters(self._connection) // len(self._keys) - 1))
        again = True
        while again:
            removed, last = self.removed, self._move(size, None)
            while last is not None:
                self._pause(pause_seconds)
                last = self._move(size, last)
            again = refers_to_itself(self._source) and self.removed > removed

    def _move(self, size: int, after: Key | None) -> Key | None:
        """Move one batch in one transaction; returns its last key, or None at the end."""
        with self._connection.begin():
            begin_writing(self._connection, "BEGIN IMMEDIATE")
            keys = self._lock(size, after)
            if not keys:
                return None
            these = _among(self._keys, keys)
            options = {"preserve_rowcount": True}
            copied = self._connection.execute(self._copy(these), execution_options=options).rowcount
            if self._remove:
                self._verify(these, len(keys))
                self._connection.execute(sa.delete(self._source).where(these))
        self.copied += copied
        self.removed += len(keys) if self._remove else 0
        self.batches += 1
        return keys[-1]

    def _lock(self, size: int, after: Key | None) -> list[Key]:
        statement = sa.select(*self._keys).where(self._where).order_by(*self._keys).limit(size)
        if after is not None:
            statement = statement.where(_beyond(self._keys, after))
        locked = statement.with_for_update(of=self._source)
        return [tuple(row) for row in self._connection.execute(locked)]

    def _copy(self, these: sa.ColumnElement[bool]) -> sa.Insert:
        names = _copied_names(self._source, self._target)
        is_there = sa.exists().where(*self._same_key()).select_from(self._target)
        columns = [self._source.c[name] for name in names]
        rows = sa.select(*columns).where(these, sa.not_(is_there))
        return sa.insert(self._target).from_select(names, rows, include_defaults=True)

    def _verify(self, these: sa.ColumnElement[bool], expected: int) -> None:
        alike = [
            _comparable(self._source.c[name]).is_not_distinct_from(
                _comparable(self._target.c[name])
            )
            for name in _copied_names(self._source, self._target)
        ]
        joined = self._source.join(self._target, sa.and_(*self._same_key()))
        count = sa.select(sa.func.count()).select_from(joined).where(these, *alike)
        if self._connection.execute(count).scalar_one() != expected:
            raise ArchiveConflict(
                f"{self._target.name} holds other records under keys of {self._source.name}."
                " Look at them, and rename or remove one side."
            )

    def _same_key(self) -> list[sa.ColumnElement[bool]]:
        return [self._target.c[column.key] == column for column in self._keys]

    def _pause(self, seconds: float) -> None:
        if self._connection.dialect.is_async:
            await_only(asyncio.sleep(seconds))
        else:
            time.sleep(seconds)


def _connected(engine: sa.Engine | sa.Connection) -> AbstractContextManager[sa.Connection]:
    if isinstance(engine, sa.Engine):
        return engine.connect()
    if not isinstance(engine, sa.Connection):
        raise TypeError(
            f"An Engine or a Connection is needed, not {type(engine).__name__}: archive() commits."
            " With an AsyncConnection write `await connection.run_sync(archive, …)`."
        )
    if engine.in_transaction():
        raise ValueError("The connection is in a transaction, and archive() commits its own.")
    return nullcontext(engine)


def _refuse_what_would_lose(source: sa.Table, target: sa.Table) -> None:
    missing = [column.key for column in source.columns if column.key not in target.columns]
    if missing:
        raise ValueError(f"{target.name} lacks columns of {source.name}: {', '.join(missing)}.")
    keys = {column.key for column in primary_key_of(source)}
    if {column.key for column in primary_key_of(target)} != keys:
        raise ValueError(f"{target.name} needs the primary key of {source.name}: {sorted(keys)}.")
    if source is target:
        raise ValueError("A table cannot be its own archive.")


def _copied_names(source: sa.Table, target: sa.Table) -> list[str]:
    return [column.key for column in source.columns if target.c[column.key].computed is None]


def _comparable(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return what can be compared: PostgreSQL's ``json`` cannot, its text can."""
    return sa.cast(column, sa.Text()) if isinstance(column.type, sa.JSON) else column


def _count(connection: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool]) -> int:
    statement = sa.select(sa.func.count()).select_from(table).where(where)
    return connection.execute(statement).scalar_one()


def _among(columns: Sequence[sa.Column[Any]], keys: Sequence[Key]) -> sa.ColumnElement[bool]:
    if len(columns) == 1:
        return columns[0].in_([key[0] for key in keys])
    return sa.tuple_(*columns).in_(keys)


def _beyond(columns: Sequence[sa.Column[Any]], key: Key) -> sa.ColumnElement[bool]:
    condition: sa.ColumnElement[bool] = sa.false()
    for column, value in reversed(list(zip(columns, key, strict=True))):
        condition = sa.or_(column > value, sa.and_(column == value, condition))
    return condition
