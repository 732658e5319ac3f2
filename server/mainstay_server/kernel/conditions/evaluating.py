"""Whether a condition holds of an answer, and how that is shown."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import msgspec

from mainstay_server.kernel.conditions.terms import (
    Call,
    Condition,
    Duration,
    Literal,
    Name,
    Operand,
    Pattern,
)

LONGEST_SHOWN = 60
MOST_SEARCHED_BYTES = 1 << 20
Compare = Callable[[float, float], bool]
ORDERS: Final[Mapping[str, Compare]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000))


class _Missing:
    """What a path finds where there is nothing."""


MISSING = _Missing()


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One condition and what came of it; `shown` is the condition with what it found."""

    condition: Condition
    holds: bool
    shown: str


class Answer:
    """The values of one answer by name; a body is read as JSON once, when that is asked for."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    @cached_property
    def document(self) -> object:
        """The body as JSON; missing when it is none."""
        body = self._values.get("BODY")
        if not isinstance(body, bytes | str):
            return MISSING if body is None else body
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return MISSING

    def find(self, name: Name) -> object:
        """What a name stands for."""
        if name.key:
            headers = self._values.get("HEADER")
            return headers.get(name.key, MISSING) if isinstance(headers, Mapping) else MISSING
        if name.path is None:
            found = self._values.get(name.name, MISSING)
            return found.decode("utf-8", "replace") if isinstance(found, bytes) else found
        whole = self.document if name.name == "BODY" else self._values.get(name.name, MISSING)
        if whole is MISSING:
            return MISSING
        places = name.path.find(whole)
        if name.path.is_single:
            return places[0] if places else MISSING
        return places


def judge(condition: Condition, values: Mapping[str, object] | Answer) -> Judgement:
    """Tell whether a condition holds; never raises for what the values are."""
    answer = values if isinstance(values, Answer) else Answer(values)
    left = _value(condition.left, answer)
    if condition.right is None:
        holds = left is True
        right: object = None
    else:
        right = _value(condition.right, answer)
        holds = _holds(left, condition.operator, right)
    parts = [_shown(condition.left, left)]
    if condition.right is not None:
        parts += [condition.operator, _shown(condition.right, right)]
    return Judgement(condition=condition, holds=holds, shown=" ".join(parts))


def _value(operand: Operand, answer: Answer) -> object:
    if isinstance(operand, Literal):
        return operand.value
    if isinstance(operand, Name):
        return answer.find(operand)
    if isinstance(operand, Pattern):
        return operand
    values = [_value(each, answer) for each in operand.arguments]
    if operand.function == "any":
        return tuple(values)
    if operand.function == "has":
        return values[0] is not MISSING and values[0] is not None
    return len(values[0]) if isinstance(values[0], str | list | dict | bytes) else MISSING


def _holds(left: object, sign: str, right: object) -> bool:  # noqa: PLR0911 - one per operator
    if sign.startswith("not "):
        return not _holds(left, sign.removeprefix("not "), right)
    if sign == "!=":
        return not _holds(left, "==", right)
    if isinstance(left, tuple):
        return any(_holds(each, sign, right) for each in left)
    if isinstance(right, tuple):
        return any(_holds(left, sign, each) for each in right)
    if sign in ORDERS:
        one, other = _number(left), _number(right)
        return one is not None and other is not None and ORDERS[sign](one, other)
    if sign == "contains":
        return _contains(left, right)
    return _equal(left, right)


def _equal(left: object, right: object) -> bool:
    for pattern, value in ((left, right), (right, left)):
        if isinstance(pattern, Pattern):
            return value is not MISSING and _matches(pattern, value)
    if MISSING in (left, right):
        return left is right
    one, other = _number(left), _number(right)
    # Of two texts neither is a number: "1.10" is not "1.1".
    both_texts = isinstance(left, str) and isinstance(right, str)
    if one is not None and other is not None and not both_texts:
        return one == other
    return text_of(left) == text_of(right)


def _matches(pattern: Pattern, value: object) -> bool:
    text = text_of(value)[:MOST_SEARCHED_BYTES]
    return pattern.compiled.search(text) is not None


def _contains(whole: object, part: object) -> bool:
    if whole is MISSING or part is MISSING:
        return False
    if isinstance(whole, list):
        return any(_equal(each, part) for each in whole)
    if isinstance(whole, dict):
        return text_of(part) in whole
    return text_of(part) in text_of(whole)


def _number(value: object) -> float | None:
    """A number, or a text that is one; true and false are none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, Duration):
        return value.ms
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and len(value) <= LONGEST_SHOWN:
        try:
            return float(value)
        except ValueError:
            return None
    return None


def text_of(value: object) -> str:  # noqa: PLR0911 - one per type of JSON
    """A value as people write it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    if isinstance(value, Duration):
        return _duration(value.ms)
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, list | dict):
        return msgspec.json.encode(value).decode()
    return str(value)


def _duration(ms: float) -> str:
    """In the two largest units that say something, as `1d12h`."""
    if abs(ms) < UNITS[-1][1]:
        return f"{ms:.0f}ms"
    sign, rest, parts = "-" if ms < 0 else "", abs(ms), []
    for unit, size in UNITS:
        if rest >= size:
            parts.append(f"{rest // size:.0f}{unit}")
            rest %= size
    return sign + "".join(parts[:2])


def _shown(operand: Operand, value: object) -> str:
    """A name with what it was, a value as it was written."""
    if isinstance(operand, Literal | Pattern) or (
        isinstance(operand, Call) and operand.function == "any"
    ):
        return operand.text
    return f"{operand.text} ({_cut(value)})"


def _cut(value: Any) -> str:  # noqa: ANN401 - whatever was found
    if value is MISSING:
        return "nothing"
    text = "".join(each if each.isprintable() else " " for each in text_of(value)[:1_000])
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"
