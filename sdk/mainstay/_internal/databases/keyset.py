"""What comes after a row in an order, as a condition that an index can answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import ClauseElement, UnaryExpression

# Where comparing rows as wholes uses an index; MySQL reads the table for it.
_COMPARE_WHOLE_ROWS = ("postgresql", "sqlite")
_NULLS_ARE_LARGEST = ("postgresql", "oracle")
# REAL of PostgreSQL, and every FLOAT of MySQL that does not say that it is double.
_DOUBLE_FROM_BITS = 25


@dataclass(frozen=True)
class Key:
    """One thing that a list is ordered by.

    ``expression`` without its direction; ``nulls_first`` is where this database, or the order
    itself, puts rows that have none.
    """

    expression: sa.ColumnElement[Any]
    is_descending: bool
    nulls_first: bool
    may_be_null: bool
    ordered: sa.ColumnElement[Any]


def key_of(given: Any, dialect: sa.Dialect, *, is_outer: bool) -> Key:  # noqa: ANN401 - a column, an attribute, either with a direction
    """Read one part of an order; names and raw SQL are refused, whoever chose them."""
    if hasattr(given, "__clause_element__"):
        given = given.__clause_element__()
    if not isinstance(given, sa.ColumnElement) or getattr(given, "is_literal", False):
        raise TypeError(
            f"Order by columns, not by {type(given).__name__}: look up what a caller may choose"
            " in a dictionary of your own."
        )
    inner: ClauseElement = given
    descending, nulls_first = False, None
    while isinstance(inner, UnaryExpression) and inner.modifier is not None:
        descending = descending or inner.modifier is operators.desc_op
        if inner.modifier in (operators.nulls_first_op, operators.nulls_last_op):
            nulls_first = inner.modifier is operators.nulls_first_op
        inner = inner.element
    if not isinstance(inner, sa.ColumnElement):
        raise TypeError(f"Pages cannot be ordered by {type(inner).__name__}.")
    _refuse_what_would_lose_rows(inner.type, dialect)
    if nulls_first is None:
        nulls_first = descending == (dialect.name in _NULLS_ARE_LARGEST)
    may_be_null = is_outer or getattr(inner, "nullable", True) is not False
    return Key(inner, descending, nulls_first, may_be_null, given)


def after_row(keys: Sequence[Key], values: Sequence[Any], dialect: str) -> sa.ColumnElement[bool]:
    """Return the condition that a row comes after the one with these values."""
    one_way = len({key.is_descending for key in keys}) == 1
    plain = not any(key.may_be_null for key in keys)
    if one_way and plain and dialect in _COMPARE_WHOLE_ROWS:
        row = sa.tuple_(*(key.expression for key in keys))
        bound = sa.tuple_(*(_bound(k, v) for k, v in zip(keys, values, strict=True)))
        return row < bound if keys[0].is_descending else row > bound
    condition: sa.ColumnElement[bool] = sa.false()
    for key, value in reversed(list(zip(keys, values, strict=True))):
        further = sa.or_(_beyond(key, value), sa.and_(_same(key, value), condition))
        # Redundant, but an index range on the first column needs it outside of the OR.
        condition = sa.and_(_not_before(key, value), further)
    return condition


def _bound(key: Key, value: Any) -> sa.ColumnElement[Any]:  # noqa: ANN401 - of any type
    return sa.bindparam(None, value, type_=key.expression.type)


def _beyond(key: Key, value: Any) -> sa.ColumnElement[bool]:  # noqa: ANN401 - as above
    column = key.expression
    if value is None:
        return column.is_not(None) if key.nulls_first else sa.false()
    bound = _bound(key, value)
    beyond = column < bound if key.is_descending else column > bound
    return sa.or_(beyond, column.is_(None)) if _nulls_follow(key) else beyond


def _same(key: Key, value: Any) -> sa.ColumnElement[bool]:  # noqa: ANN401 - as above
    return key.expression.is_(None) if value is None else key.expression == _bound(key, value)


def _not_before(key: Key, value: Any) -> sa.ColumnElement[bool]:  # noqa: ANN401 - as above
    column = key.expression
    if value is None:
        return sa.true() if key.nulls_first else column.is_(None)
    bound = _bound(key, value)
    there = column <= bound if key.is_descending else column >= bound
    return sa.or_(there, column.is_(None)) if _nulls_follow(key) else there


def _nulls_follow(key: Key) -> bool:
    return key.may_be_null and not key.nulls_first


def _refuse_what_would_lose_rows(kind: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> None:
    """Refuse types whose values do not compare as they are ordered.

    Single precision is read back as another number than is stored: the last row of a page would
    come after itself, and the list never end. MySQL orders its ENUM by place and compares it as
    text: rows would be left out.
    """
    is_mysql = dialect.name in ("mysql", "mariadb")
    if is_mysql and isinstance(kind, sa.Enum) and kind.native_enum:
        raise TypeError("Pages cannot be ordered by ENUM here; cast(column, String) can.")
    if not isinstance(kind, sa.Float) or isinstance(kind, (sa.Double, sa.DOUBLE_PRECISION)):
        return
    is_single = isinstance(kind, sa.REAL) or (kind.precision or 53) < _DOUBLE_FROM_BITS
    if dialect.name == "postgresql" and is_single:
        raise TypeError("Pages cannot be ordered by REAL; DOUBLE PRECISION and NUMERIC can.")
    if is_mysql:
        raise TypeError("Pages cannot be ordered by FLOAT here; DOUBLE and DECIMAL can.")
