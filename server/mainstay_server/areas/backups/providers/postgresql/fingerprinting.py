"""Fingerprints of all tables, taken by the server itself inside of one snapshot."""

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from mainstay_server.areas.backups.schemas import Fingerprint, Fingerprints, RowSum, digest_of

from .connecting import Connection

# Canonical text: what a row looks like must not depend on who looks at it. With row_security off,
# a row that a policy hides from us is an error, as it is to pg_dump, and not a smaller count.
CANONICAL = """
SET search_path = pg_catalog; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'iso_8601';
SET timezone = 'UTC'; SET extra_float_digits = 1; SET bytea_output = 'hex';
SET lc_monetary = 'C'; SET xmlbinary = 'base64'; SET row_security = off
"""
OURS = """
n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND NOT EXISTS (
    SELECT FROM pg_depend AS d WHERE d.objid = {0}.oid AND d.classid = '{1}'::regclass
    AND d.deptype = 'e')
"""
RELATIONS = OURS.format("c", "pg_class")
FUNCTIONS = OURS.format("p", "pg_proc")
# Partitions are tables; their parents hold nothing. A view that is stored is made anew by a
# restore, so it may rightly differ. Columns go by name: a restore may put them in another order.
TABLES = f"""
SELECT n.nspname, c.relname,
    coalesce(array_agg(a.attname::text ORDER BY a.attname) FILTER (WHERE a.attnum > 0), '{{}}'),
    coalesce(array_agg(t.typname::text ORDER BY a.attname) FILTER (WHERE a.attnum > 0), '{{}}'),
    coalesce(string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', '
        ORDER BY a.attname) FILTER (WHERE a.attnum > 0), '')
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND NOT a.attisdropped AND a.attnum > 0
LEFT JOIN pg_type AS t ON t.oid = a.atttypid AND t.typnamespace = 'pg_catalog'::regnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND {RELATIONS}
GROUP BY 1, 2 ORDER BY 1, 2
"""  # noqa: S608 - made of constants
# Hashed as they are, nine times as fast as their text. These functions never change, since tables
# are partitioned by them; those of other types may (an enum's takes a number that a restore gives
# anew), or are missing (json). Sums of bigint are exact.
RAW = frozenset({"bool", "int2", "int4", "int8", "uuid", "date", "bytea", "float4", "float8"})
RAW |= {"timestamp", "timestamptz"}
ROWS = """
SELECT count(*), coalesce(sum(hash_record_extended({row}, 0)), 0),
    coalesce(sum(hash_record_extended({row}, 1)), 0) FROM {table}
"""
LARGE_OBJECTS = "ROW(oid::text, lo_get(oid))"
STRUCTURE = f"""
SELECT c.relkind::text, n.nspname, c.relname FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relpersistence <> 't' AND c.relkind <> 'c' AND {RELATIONS}
UNION ALL
SELECT 'constraint ' || k.contype::text, n.nspname, c.relname || ' ' || k.conname
FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE k.contype <> 'n' AND {RELATIONS}
UNION ALL
SELECT 'trigger', n.nspname, c.relname || ' ' || t.tgname
FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE NOT t.tgisinternal AND {RELATIONS}
UNION ALL
SELECT 'function', n.nspname, p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')'
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE {FUNCTIONS}
"""  # noqa: S608 - made of constants
STRUCTURE_NAME = "(structure)"
LARGE_OBJECTS_NAME = "(large objects)"


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """See one state of the database until the block ends."""
    connection.execute(CANONICAL)
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    yield
    connection.execute("ROLLBACK")


def fingerprints_in_snapshot(connection: Connection) -> Fingerprints:
    """Of each table, of the large objects, and of the names of all else (indexes, functions, …).

    Sequences are left out: their values belong to no snapshot.
    """
    tables = connection.execute(TABLES).fetchall()
    in_utf8 = connection.info.parameter_status("server_encoding") == "UTF8"
    found = [_structure(connection)]
    for schema, table, columns, types, shape in tables:
        values = [_value(*column, in_utf8=in_utf8) for column in zip(columns, types, strict=True)]
        text = sql.SQL("ROW({})").format(sql.SQL(", ").join(values))
        source = sql.SQL("ONLY {}").format(sql.Identifier(schema, table))
        found.append(_rows(connection, f"{schema}.{table}", shape, text, source))
    if connection.execute("SELECT FROM pg_largeobject_metadata LIMIT 1").fetchone() is not None:
        whole, objects = sql.SQL(LARGE_OBJECTS), sql.SQL("pg_largeobject_metadata")
        found.append(_rows(connection, LARGE_OBJECTS_NAME, "", whole, objects))
    return tuple(sorted(found))


def _value(name: str, kind: str | None, *, in_utf8: bool) -> sql.Composed:
    """What of a column is hashed: the same bytes whatever the encoding and collation are."""
    if kind in RAW:
        return sql.Identifier(name) + sql.SQL("")
    text = '{}::text COLLATE "C"' if in_utf8 else "convert_to({}::text, 'UTF8')"
    return sql.SQL(text).format(sql.Identifier(name))


def _rows(
    connection: Connection, name: str, shape: str, row: sql.Composable, table: sql.Composable
) -> Fingerprint:
    asked = sql.SQL(ROWS).format(row=row, table=table)
    answer = connection.execute(asked).fetchone()
    assert answer is not None, "an aggregate has one row"
    rows, high, low = answer
    return Fingerprint(name, rows, digest_of(shape, int(high) % (1 << 64), int(low) % (1 << 64)))


def _structure(connection: Connection) -> Fingerprint:
    names = RowSum()
    for row in connection.execute(STRUCTURE):
        names.add("\0".join(row).encode())
    return names.named(STRUCTURE_NAME)
