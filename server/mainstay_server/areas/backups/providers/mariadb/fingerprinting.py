"""Fingerprints of all tables, computed by the server itself inside of one snapshot."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby

from mainstay_server.areas.backups.schemas import Fingerprint, Fingerprints, RowSum, digest_of

from .connecting import Connection, ask, with_events

STRUCTURE_NAME = "(structure)"
# A sequence's value belongs to no snapshot. What a generated column holds follows from the others.
COLUMNS = """
SELECT t.table_name, c.column_name, c.data_type, c.column_type,
    COALESCE(c.character_set_name, '') FROM information_schema.tables AS t
LEFT JOIN information_schema.columns AS c ON c.table_schema = t.table_schema
    AND c.table_name = t.table_name AND COALESCE(c.generation_expression, '') = ''
    AND c.extra NOT LIKE '%GENERATED%'
WHERE t.table_schema = DATABASE() AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
ORDER BY t.table_name, BINARY c.column_name
"""
STRUCTURE = """
SELECT table_type, table_name, '' FROM information_schema.tables WHERE table_schema = DATABASE()
UNION ALL SELECT DISTINCT 'index', table_name, index_name FROM information_schema.statistics
    WHERE table_schema = DATABASE()
UNION ALL SELECT constraint_type, table_name, constraint_name
    FROM information_schema.table_constraints WHERE table_schema = DATABASE()
UNION ALL SELECT 'trigger', event_object_table, trigger_name FROM information_schema.triggers
    WHERE trigger_schema = DATABASE()
UNION ALL SELECT routine_type, routine_name, '' FROM information_schema.routines
    WHERE routine_schema = DATABASE()
"""
EVENTS = """
UNION ALL SELECT 'event', event_name, '' FROM information_schema.events
    WHERE event_schema = DATABASE()
"""
SHORT_TEXT = frozenset({"char", "varchar", "enum", "set", "binary", "varbinary", "tinytext"})
SHORT_TEXT |= {"tinyblob"}
NUMBERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float"})
NUMBERS |= {"double", "date", "time", "datetime", "timestamp", "year"}
SHAPES = frozenset({"geometry", "point", "linestring", "polygon", "multipoint"})
SHAPES |= {"multilinestring", "multipolygon", "geometrycollection", "geomcollection", "vector"}
# 64 bits of each row's MD5, added up exactly; all 128 would compute each hash twice.
ROWS = "SELECT COUNT(*), SUM(CAST(CONV(LEFT(MD5({row}), 16), 16, 10) AS UNSIGNED)) FROM {table}"


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """See one state of all InnoDB tables until the block ends."""
    ask(connection, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
    yield
    ask(connection, "ROLLBACK")


def fingerprints_in_snapshot(connection: Connection) -> Fingerprints:
    """Of each table, and of the names of all else (views, indexes, triggers, routines, events).

    A table is held only while it is read, so that nobody waits for the end of the dump with an
    `ALTER TABLE`; one that was altered meanwhile is an error of the server's.
    """
    listed = ask(connection, COLUMNS)
    found = [structure(connection)]
    for table, group in groupby(listed, key=lambda row: str(row[0])):
        columns = [row[1:] for row in group if row[1] is not None]
        shape = ", ".join(f"{name} {full} {charset}" for name, _, full, charset in columns)
        row = ",".join(_value(name, kind) for name, kind, _, _ in columns)
        asked = ROWS.format(row=f"CONCAT_WS(',',{row})" if row else "''", table=quoted(table))
        ask(connection, "SAVEPOINT before_table")
        ((rows, total),) = ask(connection, asked)
        ask(connection, "ROLLBACK TO SAVEPOINT before_table")
        found.append(Fingerprint(table, rows, digest_of(shape, int(total or 0))))
    return tuple(sorted(found))


def structure(connection: Connection) -> Fingerprint:
    """Of the names of everything in the database."""
    names = RowSum()
    for row in ask(connection, with_events(connection, STRUCTURE, EVENTS)):
        names.add("\0".join(map(str, row)).encode())
    return names.named(STRUCTURE_NAME)


def quoted(name: str) -> str:
    """A name as SQL takes it."""
    return "`{}`".format(name.replace("`", "``"))


def _value(name: str, kind: str) -> str:
    """What of a column is hashed: the bytes as they are kept, whatever charset they are of.

    Short texts go with their length before them, long ones as a hash of their own: what is longer
    than a packet would become NULL when it is put together.
    """
    column = quoted(name)
    if kind in NUMBERS:
        return f"IFNULL({column},'-')"
    if kind in SHORT_TEXT:
        return f"IFNULL(LENGTH({column}),'-'),CAST({column} AS BINARY)"
    if kind == "bit":
        return f"IFNULL(CAST({column} AS UNSIGNED),'-')"
    if kind in SHAPES:
        return f"IFNULL(MD5(CAST({column} AS BINARY)),'-')"
    if kind.endswith(("text", "blob")):
        return f"IFNULL(MD5({column}),'-')"
    return f"IFNULL(MD5(CAST({column} AS CHAR)),'-')"
