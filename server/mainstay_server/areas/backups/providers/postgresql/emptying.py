"""Emptying a PostgreSQL database: everything goes, but for extensions and the database itself."""

from collections.abc import Mapping
from typing import Any

from psycopg import sql

from .connecting import Connection, connected
from .fingerprinting import FUNCTIONS, OURS, RELATIONS

SCHEMAS = """
SELECT n.nspname FROM pg_namespace AS n
WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'public')
AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.deptype = 'e'
    AND (d.classid = 'pg_namespace'::regclass AND d.objid = n.oid))
"""
KINDS = {
    "r": "TABLE",
    "p": "TABLE",
    "f": "FOREIGN TABLE",
    "v": "VIEW",
    "m": "MATERIALIZED VIEW",
    "S": "SEQUENCE",
}
IN_PUBLIC = f"""
SELECT c.relkind::text, format('%I.%I', n.nspname, c.relname) FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S') AND {RELATIONS}
"""  # noqa: S608 - made of constants
ROUTINES = f"""
SELECT p.oid::regprocedure::text FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = 'public' AND {FUNCTIONS}
"""  # noqa: S608 - made of constants
TYPES = f"""
SELECT t.oid::regtype::text FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
LEFT JOIN pg_class AS c ON c.oid = t.typrelid
WHERE n.nspname = 'public' AND t.typelem = 0 AND coalesce(c.relkind, 'c') = 'c'
AND {OURS.format("t", "pg_type")}
"""  # noqa: S608 - made of constants
LARGE_OBJECTS = "SELECT lo_unlink(oid) FROM pg_largeobject_metadata"


def empty(config: Mapping[str, Any]) -> None:
    """All of it or nothing, in one transaction; raises `EngineFailed`.

    Extensions stay: to make them again may take rights that the user lacks.
    """
    with connected(config) as connection, connection.transaction():
        connection.execute("SET LOCAL search_path = pg_catalog")
        for (schema,) in connection.execute(SCHEMAS).fetchall():
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
        for kind, name in connection.execute(IN_PUBLIC).fetchall():
            _drop(connection, KINDS[kind], name)
        for statement, kind in ((ROUTINES, "ROUTINE"), (TYPES, "TYPE")):
            for (name,) in connection.execute(statement).fetchall():
                _drop(connection, kind, name)
        connection.execute(LARGE_OBJECTS)


def _drop(connection: Connection, kind: str, name: str) -> None:
    """`name` is quoted by the server itself."""
    connection.execute(f"DROP {kind} IF EXISTS {name} CASCADE".encode())
