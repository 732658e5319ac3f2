"""Which rows of other tables point at a row, as the database itself knows it."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

_OF_POSTGRES_ITSELF = ("information_schema", "pg_catalog", "pg_toast")


def is_referenced(connection: sa.Connection, table: sa.Table) -> sa.ColumnElement[bool]:
    """Return the condition that a row of the table is pointed at by a foreign key.

    Asked of the database, because tables that the app does not map may point here too. A delete
    would be refused for such a row, or, with ON DELETE CASCADE, take rows along that nobody kept.
    """
    return sa.or_(sa.false(), *_references(connection, table))


def refers_to_itself(table: sa.Table) -> bool:
    """Tell whether rows of the table may point at others of it, as in a tree."""
    return any(key.references(table) for column in table.columns for key in column.foreign_keys)


def _references(connection: sa.Connection, table: sa.Table) -> Iterator[sa.ColumnElement[bool]]:
    inspector = sa.inspect(connection)
    own_schema = table.schema or inspector.default_schema_name
    for schema in _schemas(inspector, connection.dialect.name, table.schema):
        for (_, name), keys in inspector.get_multi_foreign_keys(schema=schema).items():
            for key in keys:
                target_schema = key["referred_schema"] or schema or inspector.default_schema_name
                if (key["referred_table"], target_schema) == (table.name, own_schema):
                    yield _points_here(name, schema, dict(key), table)


def _schemas(inspector: sa.Inspector, dialect: str, own: str | None) -> list[str | None]:
    if dialect != "postgresql":
        return [own]
    default = inspector.default_schema_name
    names = [name for name in inspector.get_schema_names() if name not in _OF_POSTGRES_ITSELF]
    return [None if name == default else name for name in names]


def _points_here(
    name: str, schema: str | None, key: dict[str, Any], table: sa.Table
) -> sa.ColumnElement[bool]:
    columns: list[sa.ColumnClause[Any]] = [
        sa.column(column) for column in key["constrained_columns"]
    ]
    other = sa.table(name, *columns, schema=schema).alias("mainstay_referring")
    by_name = {column.name: column for column in table.columns}
    pairs = zip(key["constrained_columns"], key["referred_columns"], strict=True)
    joined = [other.c[mine] == by_name[theirs] for mine, theirs in pairs]
    return sa.exists(sa.select(sa.literal_column("1")).select_from(other).where(*joined))
