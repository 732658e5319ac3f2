"""Send rows in bulk, and when the database refuses them find the ones it refuses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

Row = Mapping[str, Any]
Send = Callable[[Sequence[Row]], "int | None"]

# SQLSTATEs that speak of rows though their class does not: PostgreSQL's "ON CONFLICT DO UPDATE
# cannot affect row a second time" ends with smaller batches, RAISE is a trigger's own refusal.
_ABOUT_ROWS = ("21000", "P0001")
# MySQL's numbers for a missing value, a failed CHECK (MySQL, MariaDB) and SIGNAL in a trigger.
_ABOUT_ROWS_IN_MYSQL = (1048, 1364, 1644, 3819, 4025)


@dataclass(frozen=True)
class BadRow:
    """A row that the database refused.

    ``index`` counts from 0 in what was given, ``reason`` is the class of the driver's error, and
    ``error`` all of it, which may hold values of the row.
    """

    index: int
    row: Row = field(repr=False)
    reason: str
    error: exc.StatementError = field(repr=False)


class RowRefused(Exception):
    """The database refused a row; ``bad`` says which. Its values are not in the message."""

    def __init__(self, bad: BadRow) -> None:
        super().__init__(
            f"Row {bad.index} was refused ({bad.reason}). Mend it, or give on_bad_row= to go on"
            " without such rows."
        )
        self.bad = bad


def send_or_split(
    connection: sa.Connection,
    rows: Sequence[tuple[int, Row]],
    send: Send,
    on_bad_row: Callable[[BadRow], object],
) -> tuple[int, int | None]:
    """Send rows; halve what is refused until the bad ones stand alone, and hand those over.

    Each attempt is a savepoint, so a refused one leaves nothing behind. A connection that broke, a
    deadlock or a missing table says nothing about rows and is raised as it is.

    Returns how many rows were taken, and how many the database says it wrote, if it says so.
    """
    try:
        with connection.begin_nested():
            return len(rows), send([row for _, row in rows])
    except exc.StatementError as error:
        error.hide_parameters = True  # whoever prints it should not print a thousand people
        if not is_about_values(error):
            raise
        if len(rows) == 1:
            index, row = rows[0]
            on_bad_row(BadRow(index, row, type(error.orig or error).__name__, error))
            return 0, 0
    middle = len(rows) // 2
    first = send_or_split(connection, rows[:middle], send, on_bad_row)
    second = send_or_split(connection, rows[middle:], send, on_bad_row)
    return first[0] + second[0], added(first[1], second[1])


def added(one: int | None, other: int | None) -> int | None:
    """Add two counts; what is not known makes the sum unknown."""
    return None if one is None or other is None else one + other


def refuse(bad: BadRow) -> None:
    """Stop at the first bad row."""
    raise RowRefused(bad) from bad.error


def is_about_values(error: exc.StatementError) -> bool:
    """Tell whether a statement failed for the values it was given, and not for anything else."""
    if not isinstance(error, exc.DBAPIError):
        return True  # a value that its column's type cannot turn into SQL
    if error.connection_invalidated:
        return False
    if isinstance(error, (exc.IntegrityError, exc.DataError)):
        return True
    number = error.orig.args[0] if error.orig is not None and error.orig.args else None
    return (
        number in _ABOUT_ROWS_IN_MYSQL
        or getattr(error.orig, "sqlstate", None) in _ABOUT_ROWS
        or (isinstance(error, (exc.ProgrammingError, exc.InterfaceError)) and _has_no_code(error))
    )


def _has_no_code(error: exc.DBAPIError) -> bool:
    """Tell whether no server gave the error a code: then the driver could not send a value."""
    first = error.orig.args[0] if error.orig is not None and error.orig.args else None
    return getattr(error.orig, "sqlstate", None) is None and not isinstance(first, int)
