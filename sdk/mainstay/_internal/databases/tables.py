"""From what callers hand in, a session and a model, to a connection and a table."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapper, Session

Place = Session | sa.Connection
Model = type[Any] | sa.Table


def connection_of(place: Place, table: sa.Table) -> sa.Connection:
    """Return the connection whose transaction the caller is in; pending objects are sent first."""
    if isinstance(place, sa.Connection):
        return place
    if isinstance(place, Session):
        place.flush()
        return place.connection(bind_arguments={"clause": table})
    raise TypeError(
        f"A Session or a Connection is needed, not {type(place).__name__}; with an AsyncSession"
        " write `await session.run_sync(…)` with this function and what follows the session."
    )


def table_of(model: Model) -> sa.Table:
    """Return the one table of a model; a model spread over several is refused."""
    if isinstance(model, sa.Table):
        return model
    mapper = sa.inspect(model, raiseerr=False)
    if not isinstance(mapper, Mapper):
        raise TypeError(f"A Table or a mapped class is needed, not {model!r}.")
    if len(mapper.tables) != 1 or not isinstance(mapper.local_table, sa.Table):
        raise ValueError(f"{mapper.class_.__name__} is kept in several tables; name one Table.")
    return mapper.local_table


def names_of(model: Model) -> dict[str, str]:
    """Return which key of a row means which column: attributes of a model, columns of a table."""
    table = table_of(model)
    if isinstance(model, sa.Table):
        return {column.key: column.key for column in table.columns}
    mapper: Mapper[Any] = sa.inspect(model)
    held = {attribute.key: attribute.columns[0] for attribute in mapper.column_attrs}
    return {name: column.key for name, column in held.items() if column in table.columns.values()}


def primary_key_of(table: sa.Table) -> Sequence[sa.Column[Any]]:
    """Return the columns of the primary key, of which there must be one."""
    columns = list(table.primary_key.columns)
    if not columns:
        raise ValueError(f"The table {table.name} has no primary key.")
    return columns


def most_parameters(connection: sa.Connection) -> int:
    """Return how many values one statement may carry in this database."""
    return connection.dialect.insertmanyvalues_max_parameters


def begin_writing(connection: sa.Connection, how: str = "BEGIN") -> None:
    """Begin a transaction in SQLite, where Python's driver begins none before a savepoint.

    Without it the end of the outermost savepoint would commit what the caller may still take back
    (https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#pysqlite-serializable).
    """
    if connection.dialect.name != "sqlite":
        return
    driver: Any = connection.connection.driver_connection
    if not driver.in_transaction:
        connection.exec_driver_sql(how)
