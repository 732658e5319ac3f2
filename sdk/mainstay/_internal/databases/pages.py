"""Read a list page by page, each as quick as the first, whatever changes in between."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.orm import Session
from sqlalchemy.sql.selectable import GenerativeSelect

from mainstay._internal.databases.cursors import BadCursor, read_cursor, write_cursor
from mainstay._internal.databases.keyset import Key, after_row, key_of
from mainstay._internal.databases.offenders import is_about_values

MOST_ROWS = 1_000
Selecting = Any  # a Select, however many columns its type says


@dataclass(frozen=True)
class Page:
    """Some rows of a list, and the cursor of those after them; None on the last page."""

    items: Sequence[Any]
    next_cursor: str | None


def page(  # noqa: PLR0913 - options, each with a default that works
    session: Session | sa.Connection,
    statement: GenerativeSelect,
    *,
    order_by: Sequence[Any],
    after: str | None = None,
    limit: int = 50,
    secret: str | bytes | None = None,
    is_unique: bool = False,
) -> Page:
    """Read the rows of a select that come after a cursor, and give the next cursor.

    ``order_by`` holds columns or expressions, with ``.desc()`` and, where the database knows it,
    ``.nulls_last()``. Primary keys are added to break ties, unless ``is_unique`` says that there
    are none. A row deleted or inserted between pages moves no other.

    Keep ``order_by`` and the select's own conditions alike from page to page; a cursor of another
    order raises `BadCursor`. With a ``secret`` a cursor that somebody made up does too; without
    one it can at most begin elsewhere in the same select. It holds the values of ``order_by``
    readable to whoever carries it.

    At most 1,000 rows come at once. A select of one entity or column gives those, else rows.
    """
    if limit < 1:
        raise ValueError(f"A page has at least one row, not {limit}.")
    select = _pageable(statement)
    dialect = _bind_of(session, select).dialect
    keys = _keys(select, order_by, dialect, is_unique=is_unique)
    order = " ".join(_told(key, dialect) for key in keys)
    key = secret.encode() if isinstance(secret, str) else secret
    asked = select.order_by(*(one.ordered for one in keys))
    if after is not None:
        types = [one.expression.type for one in keys]
        values = read_cursor(after, types, order=order, secret=key)
        asked = asked.where(after_row(keys, values, dialect.name))
    shown = min(limit, MOST_ROWS)
    try:
        items, ordered_by = _rows(session, asked.limit(shown + 1), keys)
    except (exc.StatementError, OverflowError, UnicodeError) as error:
        if after is None or (isinstance(error, exc.StatementError) and not is_about_values(error)):
            raise
        raise BadCursor from error  # made up, with values that no row can have
    if len(items) <= shown:
        return Page(items, None)
    cursor = write_cursor(list(ordered_by[shown - 1]), order=order, secret=key)
    return Page(items[:shown], cursor)


def _rows(
    session: Session | sa.Connection, statement: Selecting, keys: Sequence[Key]
) -> tuple[Sequence[Any], Sequence[Any]]:
    """Read the rows, and beside each what it is ordered by."""
    extra = [key.expression.label(f"mainstay_key_{place}") for place, key in enumerate(keys)]
    result = session.execute(statement.add_columns(*extra))
    width = len(result.keys()) - len(keys)
    if all(_is_entity(told["expr"]) for told in statement.column_descriptions):
        result = result.unique()  # as collections that are loaded by a join want it
    frozen = result.freeze()
    items = frozen().columns(*range(width))
    ordered_by = frozen().columns(*range(width, width + len(keys))).all()
    return (items.scalars().all() if width == 1 else items.all()), ordered_by


def _is_entity(selected: object) -> bool:
    told = sa.inspect(selected, raiseerr=False)
    return bool(getattr(told, "is_mapper", False) or getattr(told, "is_aliased_class", False))


def _bind_of(session: Session | sa.Connection, statement: Selecting) -> Any:  # noqa: ANN401 - an Engine or a Connection
    if isinstance(session, sa.Connection):
        return session
    if isinstance(session, Session):
        return session.get_bind(clause=statement)
    raise TypeError(
        f"A Session or a Connection is needed, not {type(session).__name__}; with an AsyncSession"
        " write `await session.run_sync(page, statement, order_by=…)`."
    )


def _pageable(statement: GenerativeSelect) -> Selecting:
    if not isinstance(statement, sa.Select):
        raise TypeError("Only a select() can be paged; make a subquery of anything else.")
    if statement._order_by_clauses or statement._has_row_limiting_clause:  # noqa: SLF001 - no other way to ask
        raise ValueError("Give the order and the limit to page(), not to the select.")
    if statement._group_by_clauses or statement._distinct:  # noqa: SLF001 - same
        raise ValueError("Make a subquery of a select with GROUP BY or DISTINCT, and page that.")
    return statement


def _keys(
    statement: Selecting, order_by: Sequence[Any], dialect: sa.Dialect, *, is_unique: bool
) -> list[Key]:
    if isinstance(order_by, str) or not isinstance(order_by, Sequence):
        raise TypeError("order_by is a list of columns.")
    # Without its columns: what an entity loads eagerly is joined, and is no part of the list.
    bare = statement.with_only_columns(sa.literal(1), maintain_column_froms=True)
    froms = list(_flat(bare.get_final_froms()))
    is_outer = any(outer for _, outer in froms)
    keys = [key_of(given, dialect, is_outer=is_outer) for given in order_by]
    if not is_unique:
        known = [key.expression for key in keys]
        for table, _ in froms:
            own = list(table.primary_key)
            if not own:
                raise ValueError(
                    "A table or subquery of the select has no primary key to break ties; end"
                    " order_by with what is unique and say is_unique=True."
                )
            new = [column for column in own if not any(column.compare(old) for old in known)]
            keys += [key_of(column, dialect, is_outer=is_outer) for column in new]
    if not keys:
        raise ValueError("order_by is empty.")
    return keys


def _flat(froms: Sequence[sa.FromClause]) -> Iterator[tuple[sa.FromClause, bool]]:
    """Take joins apart; whether one of them is an outer one goes with each table."""
    for source in froms:
        if isinstance(source, sa.Join):
            outer = source.isouter or source.full
            for table, inner in _flat([source.left, source.right]):
                yield table, inner or outer
        else:
            yield source, False


def _told(key: Key, dialect: sa.Dialect) -> str:
    direction = "desc" if key.is_descending else "asc"
    nulls = "first" if key.nulls_first else "last"
    return f"{key.expression.compile(dialect=dialect)} {direction} nulls {nulls},"
