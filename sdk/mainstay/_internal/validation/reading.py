"""Read JSON, forms and queries of strangers: bounded first, then parsed, then looked through.

What is refused is refused before it costs: depth and number of values are told from the bytes
alone, in time and memory that grow with their number and not faster.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl

from mainstay._internal.validation.limits import Limits
from mainstay._internal.validation.refusing import Place, malformed, too_complex

# A string that never ends is taken to the end of the bytes: so there is nothing to try again, and
# the time is linear.
_STRINGS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_BRACKETS: Final = b"[]{}"
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(_BRACKETS))
_SPACE_FOR_NOT_DIGITS: Final = bytes(c if c in b"0123456789" else 32 for c in range(256))
# The largest double has 309; Python reads long ones in quadratic time.
_MOST_DIGITS: Final = 400
_SURELY_FINITE_DIGITS: Final = 300
_EXPONENT: Final = re.compile(rb"[0-9][eE]")
_LONGEST_NAME_SHOWN = 80


class _Repeated(ValueError):
    """An object has a member twice."""


class _Pairs(list[tuple[str, Any]]):
    """The members of an object as they were written."""


def read_json(body: bytes, limits: Limits) -> Any:  # noqa: ANN401 - any value
    """Return the value of a JSON text (RFC 8259, and of RFC 7493 what keeps parsers agreeing).

    Raises `Invalid` for what is no UTF-8, not well formed, has a member twice, a number that no
    double holds, half of a surrogate pair, or more than the limits allow.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise malformed("body", f"It is not UTF-8 at byte {error.start}.") from None
    is_harmless = _measure(body, limits)
    try:
        value = _DECODER.decode(text)
    except _Repeated:
        raise _repeated(text) from None
    except json.JSONDecodeError as error:
        detail = f"{error.msg} at line {error.lineno}, column {error.colno}."
        raise malformed("body", detail) from None
    except (ValueError, RecursionError) as error:
        raise malformed("body", f"{error}.") from None
    if not is_harmless:
        _look_through("body", value, limits)
    return value


def read_fields(what: str, raw: bytes, limits: Limits) -> dict[str, str]:
    """Return the fields of a form or a query; a field that comes twice is refused.

    Of two values with one name every program on the way may believe another one.
    """
    if raw.count(b"&") >= limits.most_values:
        raise too_complex(what, f"It has more than {limits.most_values} fields.")
    try:
        text = raw.decode()
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
    except ValueError:
        raise malformed(what, "It is not UTF-8, percent-encoded.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise malformed(what, f"The field {_first_repeated(pairs)} comes more than once.")
    _look_through(what, fields, limits)
    return fields


def _measure(body: bytes, limits: Limits) -> bool:
    """Refuse what is too deep, too many or too long a number, before anything is made of it.

    Returns whether the bytes alone tell that no single value can be wrong: then nobody needs to
    look through them, which costs more than all the rest.
    """
    bare = _STRINGS.sub(b"", body)
    values = bare.count(b",") + bare.count(b"[") + bare.count(b"{")
    if values > limits.most_values:
        raise too_complex("body", f"It has more than {limits.most_values} values.")
    _measure_depth(bare, limits)
    digits = 0
    if len(bare) > _SURELY_FINITE_DIGITS:
        numbers = bare.translate(_SPACE_FOR_NOT_DIGITS).split()
        digits = max(map(len, numbers), default=0)
    if digits > _MOST_DIGITS:
        raise too_complex("body", f"A number has more than {_MOST_DIGITS} digits.")
    longest = len(body)
    if longest > limits.most_key_characters:
        longest = max(map(len, _STRINGS.findall(body)), default=0)
    return (
        longest <= min(limits.most_key_characters, limits.most_text_characters)
        and digits <= _SURELY_FINITE_DIGITS
        and b"\\u" not in body
        and _EXPONENT.search(bare) is None
    )


def _measure_depth(bare: bytes, limits: Limits) -> None:
    depth = 0
    for bracket in bare.translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > limits.most_depth:
            raise too_complex("body", f"It is more than {limits.most_depth} levels deep.")
        if depth < 0:
            break


def _look_through(what: str, root: object, limits: Limits) -> None:
    for place, value in _walk(root):
        if isinstance(value, str):
            if len(value) > limits.most_text_characters:
                most = limits.most_text_characters
                raise too_complex(what, f"It has more than {most} characters.", place)
            _check_text(what, value, place)
        elif isinstance(value, dict):
            for name in value:
                if len(name) > limits.most_key_characters:
                    most = limits.most_key_characters
                    raise too_complex(what, f"A name has more than {most} characters.", place)
                _check_text(what, name, place)
        elif isinstance(value, float) and not math.isfinite(value):
            raise malformed(what, "The number is larger than a double holds.", place)


def _check_text(what: str, text: str, place: Place | None) -> None:
    """Refuse half of a surrogate pair, which no UTF-8 holds: it would break whoever stores it."""
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError:
        raise malformed(what, "It has half of a surrogate pair.", place) from None


def _walk(root: object) -> Iterator[tuple[Place | None, object]]:
    """Give every value and where it is, without recursion."""
    waiting: list[tuple[Place | None, object]] = [(None, root)]
    while waiting:
        place, value = waiting.pop()
        yield place, value
        if isinstance(value, dict):
            waiting += [((place, name), value[name]) for name in reversed(value)]
        elif isinstance(value, _Pairs):
            waiting += [((place, name), inner) for name, inner in reversed(value)]
        elif isinstance(value, list):
            last = len(value) - 1
            waiting += [((place, last - n), inner) for n, inner in enumerate(reversed(value))]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Repeated
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
_TELLING_DECODER: Final = json.JSONDecoder(object_pairs_hook=_Pairs, parse_constant=str)


def _repeated(text: str) -> Exception:
    """Parse once more to tell where a member comes twice."""
    try:
        root = _TELLING_DECODER.decode(text)
    except (ValueError, RecursionError):
        return malformed("body", "It is no JSON text.")
    for place, value in _walk(root):
        if isinstance(value, _Pairs) and len(dict(value)) != len(value):
            return malformed("body", f"The member {_first_repeated(value)} comes twice.", place)
    raise AssertionError("nothing comes twice")


def _first_repeated(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            return json.dumps(name[:_LONGEST_NAME_SHOWN])
        seen.add(name)
    raise AssertionError("nothing comes twice")
