"""How big tables and indexes are, and whether anybody uses them, as the database tells it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc


@dataclass(frozen=True)
class IndexStatistics:
    """One index. ``scans`` counts since the database's statistics were last reset.

    None is what the database does not say. ``covered_by`` names an index that begins with the same
    columns, which makes this one superfluous.
    """

    name: str
    columns: tuple[str, ...]
    is_unique: bool
    bytes: int | None = None
    scans: int | None = None
    covered_by: str | None = None

    @property
    def is_unused(self) -> bool:
        """Whether nobody used it and it keeps nothing unique; ask every replica before a drop."""
        return self.scans == 0 and not self.is_unique


@dataclass(frozen=True)
class TableStatistics:
    """One table. None is what the database does not say or does not know yet.

    ``rows`` is the database's own estimate unless ``rows_are_exact``. Scans count since its
    statistics were last reset.
    """

    name: str
    schema: str | None
    rows: int | None
    rows_are_exact: bool
    table_bytes: int | None
    index_bytes: int | None
    dead_rows: int | None = None
    last_vacuum: datetime | None = None
    last_analyze: datetime | None = None
    sequential_scans: int | None = None
    index_scans: int | None = None
    indexes: tuple[IndexStatistics, ...] = ()


_POSTGRES_TABLES = """
SELECT c.relname AS name,
       CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END AS rows,
       pg_table_size(c.oid) AS table_bytes, pg_indexes_size(c.oid) AS index_bytes,
       s.n_dead_tup AS dead_rows, GREATEST(s.last_vacuum, s.last_autovacuum) AS last_vacuum,
       GREATEST(s.last_analyze, s.last_autoanalyze) AS last_analyze,
       s.seq_scan AS sequential_scans, s.idx_scan AS index_scans
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE c.relkind IN ('r', 'm') AND n.nspname = :schema
"""
_POSTGRES_INDEXES = """
SELECT relname AS table_name, indexrelname AS name, idx_scan AS scans,
       pg_relation_size(indexrelid) AS bytes
FROM pg_stat_user_indexes WHERE schemaname = :schema
"""
_MYSQL_TABLES = """
SELECT table_name AS name, table_rows AS "rows", data_length AS table_bytes,
       index_length AS index_bytes
FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema = :schema
"""
_MYSQL_INDEXES = """
SELECT object_name AS table_name, index_name AS name, count_read AS scans
FROM performance_schema.table_io_waits_summary_by_index_usage
WHERE object_schema = :schema AND index_name IS NOT NULL
"""
_SQLITE_BYTES = "SELECT name, SUM(pgsize) AS bytes FROM dbstat GROUP BY name"

Row = Mapping[str, Any]


def table_statistics(
    engine: sa.Engine | sa.Connection, *, schema: str | None = None, exact: bool = False
) -> list[TableStatistics]:
    """Tell about every table of a schema, the biggest first.

    Rows are PostgreSQL's and MariaDB's estimates, or with ``exact`` counted, which reads every
    table. SQLite has no estimate and always counts. Bytes in SQLite need its ``dbstat`` table,
    index usage in MariaDB its performance schema; where they are off those are None.
    """
    if isinstance(engine, sa.Engine):
        with engine.connect() as connection:
            return table_statistics(connection, schema=schema, exact=exact)
    read = _READERS.get(engine.dialect.name)
    if read is None:
        raise ValueError(f"Statistics of {engine.dialect.name} are not known.")
    tables = read(engine, schema or sa.inspect(engine).default_schema_name or "main")
    known = _with_indexes(engine, schema, tables)
    if exact or engine.dialect.name == "sqlite":
        known = [_counted(engine, table, schema) for table in known]
    return sorted(known, key=lambda table: (-_size(table), table.name))


def _size(table: TableStatistics) -> int:
    return (table.table_bytes or 0) + (table.index_bytes or 0) or (table.rows or 0)


def _counted(
    connection: sa.Connection, table: TableStatistics, schema: str | None
) -> TableStatistics:
    counted = sa.select(sa.func.count()).select_from(sa.table(table.name, schema=schema))
    return replace(table, rows=connection.execute(counted).scalar_one(), rows_are_exact=True)


def _rows(connection: sa.Connection, statement: str, schema: str | None = None) -> Sequence[Row]:
    values = {} if schema is None else {"schema": schema}
    return [dict(row) for row in connection.execute(sa.text(statement), values).mappings()]


Found = tuple[list[TableStatistics], dict[tuple[str, str], Row]]


def _of_postgres(connection: sa.Connection, schema: str) -> Found:
    tables = [
        TableStatistics(schema=schema, rows_are_exact=False, **row)
        for row in _rows(connection, _POSTGRES_TABLES, schema)
    ]
    found = _rows(connection, _POSTGRES_INDEXES, schema)
    return tables, {(row["table_name"], row["name"]): row for row in found}


def _of_mysql(connection: sa.Connection, schema: str) -> Found:
    tables = [
        TableStatistics(schema=schema, rows_are_exact=False, **row)
        for row in _rows(connection, _MYSQL_TABLES.replace('"', "`"), schema)
    ]
    is_on = connection.exec_driver_sql("SELECT @@performance_schema").scalar_one()
    found: Sequence[Row] = ()
    if is_on:
        found = _rows(connection, _MYSQL_INDEXES, schema)
    return tables, {(row["table_name"], row["name"]): row for row in found}


def _of_sqlite(connection: sa.Connection, schema: str) -> Found:
    try:
        with connection.begin_nested():
            found = _rows(connection, _SQLITE_BYTES)
    except exc.OperationalError:
        found = ()  # built without dbstat
    sizes = {row["name"]: row["bytes"] for row in found}
    inspector = sa.inspect(connection)
    tables, indexes = [], dict[tuple[str, str], Row]()
    for name in inspector.get_table_names():
        own = [str(index["name"]) for index in inspector.get_indexes(name)]
        indexes.update({(name, index): {"bytes": sizes.get(index)} for index in own})
        index_bytes = sum(sizes.get(index, 0) for index in own) if sizes else None
        tables.append(
            TableStatistics(
                name=name,
                schema=schema,
                rows=None,
                rows_are_exact=False,
                table_bytes=sizes.get(name),
                index_bytes=index_bytes,
            )
        )
    return tables, indexes


_READERS = {
    "postgresql": _of_postgres,
    "mysql": _of_mysql,
    "mariadb": _of_mysql,
    "sqlite": _of_sqlite,
}


def _with_indexes(
    connection: sa.Connection, schema: str | None, found: Found
) -> list[TableStatistics]:
    tables, told = found
    inspector = sa.inspect(connection)
    described = inspector.get_multi_indexes(schema=schema)
    primary = {} if connection.dialect.name == "sqlite" else _primary_keys(inspector, schema)
    complete = []
    for table in tables:
        key = (schema, table.name)
        own = [dict(index) for index in described.get(key, ())] + primary.get(key, [])
        plain = [index for index in own if _is_plain(index)]
        indexes = tuple(
            IndexStatistics(
                name=index["name"],
                columns=tuple(name or "(expression)" for name in index["column_names"]),
                is_unique=bool(index["unique"]),
                bytes=told.get((table.name, index["name"]), {}).get("bytes"),
                scans=told.get((table.name, index["name"]), {}).get("scans"),
                covered_by=_covering(index, plain),
            )
            for index in own
        )
        complete.append(replace(table, indexes=indexes))
    return complete


def _primary_keys(
    inspector: sa.Inspector, schema: str | None
) -> dict[tuple[str | None, str], list[dict[str, Any]]]:
    """Return the index behind each primary key, which reflection leaves out of the indexes."""
    return {
        key: [
            {
                "name": constraint["name"] or "PRIMARY",
                "column_names": constraint["constrained_columns"],
                "unique": True,
            }
        ]
        for key, constraint in inspector.get_multi_pk_constraint(schema=schema).items()
        if constraint["constrained_columns"]
    }


def _is_plain(index: Row) -> bool:
    """Tell whether it is over columns as they are: not partial, no other method, no prefix."""
    is_special = any((index.get("dialect_options") or {}).values()) or index.get("column_sorting")
    return not is_special and None not in index["column_names"]


def _covering(index: Row, others: Sequence[Row]) -> str | None:
    if index["unique"] or index not in others:
        return None
    columns = index["column_names"]
    for other in others:
        begins_alike = other["column_names"][: len(columns)] == columns
        # Of two alike the one whose name comes later goes, so that one of them stays.
        is_more = len(other["column_names"]) > len(columns) or other["unique"]
        if other is not index and begins_alike and (is_more or other["name"] < index["name"]):
            return str(other["name"])
    return None
