"""Where a page ended, as text that a client carries and cannot make up."""

import base64
import enum
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

LONGEST = 4_096
_SEAL_BYTES = 16
# Without a secret the seal notices damage and cursors of other lists, not who knows this line.
_NO_SECRET = b"mainstay.sqlalchemy.page"


class BadCursor(ValueError):
    """A cursor is not one of this list: cut, changed, made up, or of another order."""

    def __init__(self) -> None:
        super().__init__("The cursor does not belong to this list. Begin again without one.")


# The tag in a cursor, what is kept under it, and how that is written and read.
_KINDS: Final[dict[str, tuple[type, Callable[[Any], Any], Callable[[Any], Any]]]] = {
    "b": (bool, bool, bool),
    "i": (int, str, int),
    "f": (float, repr, float),
    "n": (Decimal, str, Decimal),
    "dt": (datetime, datetime.isoformat, datetime.fromisoformat),
    "d": (date, date.isoformat, date.fromisoformat),
    "t": (time, time.isoformat, time.fromisoformat),
    "td": (
        timedelta,
        lambda value: [value.days, value.seconds, value.microseconds],
        lambda value: timedelta(value[0], value[1], value[2]),
    ),
    "u": (UUID, str, UUID),
    "s": (str, str, str),
    "x": (bytes, bytes.hex, bytes.fromhex),
}


def write_cursor(values: Sequence[object], *, order: str, secret: bytes | None) -> str:
    """Write the values that the last row was ordered by; ``order`` names the list."""
    written = [_written(value) for value in values]
    payload = json.dumps(written, separators=(",", ":"), ensure_ascii=False).encode()
    sealed = _seal(payload, order, secret) + payload
    cursor = base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
    if len(cursor) > LONGEST:
        raise ValueError("What the list is ordered by is too long for a cursor; order by less.")
    return cursor


def read_cursor(
    cursor: str, types: Sequence[sa.types.TypeEngine[Any]], *, order: str, secret: bytes | None
) -> list[Any]:
    """Read what `write_cursor` wrote for the same order and secret, or raise `BadCursor`.

    Values come back as the Python types that were written, and always travel as parameters.
    """
    if len(cursor) > LONGEST:
        raise BadCursor
    try:
        sealed = base64.b64decode(
            cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        )
        seal, payload = sealed[:_SEAL_BYTES], sealed[_SEAL_BYTES:]
        if not hmac.compare_digest(seal, _seal(payload, order, secret)):
            raise BadCursor
        written = json.loads(payload)
        if not isinstance(written, list) or len(written) != len(types):
            raise BadCursor
        return [_read(pair, kind) for pair, kind in zip(written, types, strict=True)]
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        raise BadCursor from error


def _seal(payload: bytes, order: str, secret: bytes | None) -> bytes:
    named = hashlib.sha256(order.encode()).digest() + payload
    return hmac.digest(secret or _NO_SECRET, named, "sha256")[:_SEAL_BYTES]


def _written(value: object) -> object:
    if value is None:
        return None
    if isinstance(value, enum.Enum):
        return ["e", value.name]
    for tag, (kind, write, _) in _KINDS.items():
        # Exactly: a datetime is a date too, and a bool an int.
        if type(value) is kind:
            return [tag, write(value)]
    raise TypeError(f"Pages cannot be ordered by values of type {type(value).__name__}.")


def _read(written: Any, kind: sa.types.TypeEngine[Any]) -> Any:  # noqa: ANN401 - what was read
    if written is None:
        return None
    tag, value = written
    if tag == "e" and isinstance(kind, sa.Enum) and kind.enum_class is not None:
        return kind.enum_class[value]
    read = _KINDS[tag][2](value)
    if not _fits(read, kind):
        raise BadCursor
    return read


def _fits(value: object, kind: sa.types.TypeEngine[Any]) -> bool:
    """Tell whether a column of this type could hold the value at all."""
    try:
        expected = kind.python_type
    except NotImplementedError:
        return True
    numbers = (int, float, Decimal)
    return isinstance(value, numbers if issubclass(expected, numbers) else expected)
