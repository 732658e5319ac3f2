"""Make a dataclass of a value that somebody sent, or say all that is wrong with it."""

import dataclasses
import re
import types
import typing
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Final, Literal, Union
from uuid import UUID

from mainstay._internal.guard.refusals import Fault
from mainstay._internal.validation.refusing import MOST_FAULTS, Place, fault

# Of a value that fits none of many alternatives, each of which has alternatives inside.
_MOST_TRIES: Final = 20_000


class Fields(list[Fault]):
    """What is wrong so far; more than can be told is not kept."""

    def __init__(self, above: "Fields | None" = None) -> None:
        super().__init__()
        self._tries: list[int] = [_MOST_TRIES] if above is None else above._tries  # noqa: SLF001 - its own class

    def may_try(self) -> bool:
        """Whether one more alternative may be tried."""
        self._tries[0] -= 1
        return self._tries[0] >= 0

    def add(self, detail: str, place: Place | None) -> None:
        """Note a fault."""
        if len(self) < MOST_FAULTS:
            self.append(fault(detail, place))


Reader = Callable[[Any, "Place | None", Fields], Any]

_SEQUENCES: Final = (list, set, frozenset)


def reader_of(kind: Any, *, from_text: bool = False) -> Reader:  # noqa: ANN401 - a type
    """Return what makes a value of a type: raises TypeError for a type that is not known here.

    Known are dataclasses, str, int, float, bool, None, Any, Decimal, UUID, datetime, date, time,
    Enum, Literal, unions, list, set, frozenset, ``tuple[X, ...]`` and ``dict[str, X]`` of those.
    Nothing is guessed: "7" is no number and 1 is not true, but with ``from_text``, for forms and
    queries, which have nothing but text. A member that a dataclass does not have is a fault.
    """
    return _Making(from_text=from_text).of(kind)


class _Making:
    def __init__(self, *, from_text: bool) -> None:
        self._from_text = from_text
        self._classes: dict[type, Reader] = {}

    def of(self, kind: Any) -> Reader:  # noqa: ANN401 - a type
        origin, inner = typing.get_origin(kind), typing.get_args(kind)
        if origin is Annotated:
            return self.of(inner[0])
        if origin in (Union, types.UnionType):
            return _union([self.of(each) for each in inner], str(kind))
        if origin is Literal:
            return _one_of({each: each for each in inner})
        if origin in _SEQUENCES or (origin is tuple and inner[1:] == (...,)):
            return _sequence(origin, self.of(inner[0]))
        if origin is dict and inner[0] is str:
            return _mapping(self.of(inner[1]))
        return self._of_class(kind)

    def _of_class(self, kind: Any) -> Reader:  # noqa: ANN401 - a type
        if kind is Any:
            return lambda value, _place, _faults: value
        if kind in (None, type(None)):
            return _one_of({None: None})
        if isinstance(kind, type):
            if dataclasses.is_dataclass(kind):
                return self._of_dataclass(kind)
            if issubclass(kind, Enum):
                return _one_of({each.value: each for each in kind})
            if kind in (bool, int, float):
                return _number(kind, from_text=self._from_text)
            if kind in _FROM_TEXT:
                return _text(*_FROM_TEXT[kind])
        raise TypeError(f"{kind} is no type that a body is checked against")

    def _of_dataclass(self, kind: type) -> Reader:
        if kind not in self._classes:
            # Known before its members are, since one of them may be of the same class.
            readers: dict[str, Reader] = {}
            fields = {f.name: f for f in dataclasses.fields(kind) if f.init}
            self._classes[kind] = _dataclass(kind, fields, readers)
            hints = typing.get_type_hints(kind, include_extras=True)
            readers.update({name: self.of(hints[name]) for name in fields})
        return self._classes[kind]


def _dataclass(
    kind: type, fields: "dict[str, dataclasses.Field[Any]]", readers: dict[str, Reader]
) -> Reader:
    missing = dataclasses.MISSING
    needed = {
        name
        for name, field in fields.items()
        if field.default is missing and field.default_factory is missing
    }

    def read(value: Any, place: Place | None, faults: Fields) -> Any:  # noqa: ANN401 - any value
        if not isinstance(value, dict):
            return faults.add("It must be an object.", place)
        before = len(faults)
        for name in sorted(needed - value.keys()):
            faults.add("It is missing.", (place, name))
        made = {}
        for name, inner in value.items():
            if name in readers:
                made[name] = readers[name](inner, (place, name), faults)
            else:
                faults.add("Nothing has this name here.", (place, name))
        if len(faults) > before or len(faults) >= MOST_FAULTS:
            return None
        try:
            return kind(**made)
        except (ValueError, TypeError) as error:
            return faults.add(str(error) or "It is not what is asked for.", place)

    return read


def _union(readers: list[Reader], told: str) -> Reader:
    def read(value: Any, place: Place | None, faults: Fields) -> Any:  # noqa: ANN401 - any value
        tries: list[Fields] = []
        for reader in readers:
            if not faults.may_try():
                return faults.add("It may mean too many things.", place)
            tries.append(Fields(faults))
            made = reader(value, place, tries[-1])
            if not tries[-1]:
                return made
        # The one that came furthest knows best what is wrong.
        best = max(tries, key=lambda faults: max(one.pointer.count("/") for one in faults))
        if all(one.pointer == best[0].pointer for one in best):
            return faults.add(f"It must be {told.replace('typing.', '')}.", place)
        for one in best[: MOST_FAULTS - len(faults)]:
            faults.append(one)
        return None

    return read


def _one_of(choices: dict[Any, Any]) -> Reader:
    told = ", ".join(map(repr, choices)).replace("None", "null")

    def read(value: Any, place: Place | None, faults: Fields) -> Any:  # noqa: ANN401 - any value
        # True equals 1 in Python, and is another value in JSON.
        if not isinstance(value, (dict, list)):
            for choice, made in choices.items():
                if choice == value and isinstance(choice, bool) == isinstance(value, bool):
                    return made
        return faults.add(f"It must be one of {told}.", place)

    return read


def _sequence(kind: Callable[[Any], Any], reader: Reader) -> Reader:
    def read(value: Any, place: Place | None, faults: Fields) -> Any:  # noqa: ANN401 - any value
        if not isinstance(value, list):
            return faults.add("It must be an array.", place)
        before = len(faults)
        made = [reader(inner, (place, n), faults) for n, inner in enumerate(value)]
        if len(faults) > before:
            return None
        try:
            return kind(made)
        except TypeError:
            return faults.add("Its values cannot be told apart.", place)

    return read


def _mapping(reader: Reader) -> Reader:
    def read(value: Any, place: Place | None, faults: Fields) -> Any:  # noqa: ANN401 - any value
        if not isinstance(value, dict):
            return faults.add("It must be an object.", place)
        return {name: reader(inner, (place, name), faults) for name, inner in value.items()}

    return read


# Python itself also reads "1_0", spaces around, and the digits of every script.
_WRITTEN: Final = re.compile(r"[a-z]{1,5}|-?[0-9.]{1,400}(?:e[-+]?[0-9]{1,3})?", re.IGNORECASE)
_TRUTH: Final = {"true": True, "1": True, "false": False, "0": False}
_NUMBERS: Final = {bool: "true or false", int: "a whole number", float: "a number"}


def _number(kind: Any, *, from_text: bool) -> Reader:  # noqa: ANN401 - bool, int or float
    def read(value: Any, place: Place | None, faults: Fields) -> Any:  # noqa: ANN401 - any value
        try:
            if from_text and isinstance(value, str) and _WRITTEN.fullmatch(value):
                made = _TRUTH[value.lower()] if kind is bool else kind(value)
                if made == made and abs(made) != float("inf"):  # noqa: PLR0124 - not a number is none
                    return made
            elif type(value) is kind or (kind is float and type(value) is int):
                return kind(value)
        except (ValueError, OverflowError, KeyError):
            pass
        return faults.add(f"It must be {_NUMBERS[kind]}.", place)

    return read


def _text(convert: Callable[[str], Any], told: str) -> Reader:
    def read(value: Any, place: Place | None, faults: Fields) -> Any:  # noqa: ANN401 - any value
        if isinstance(value, str):
            try:
                return convert(value)
            except (ValueError, ArithmeticError):
                pass
        return faults.add(f"It must be {told}.", place)

    return read


def _decimal(text: str) -> Decimal:
    made = Decimal(text)
    if not made.is_finite():
        raise ValueError(text)
    return made


def _moment(text: str) -> datetime:
    # Python before 3.11 does not know the Z.
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


_FROM_TEXT: "Final[dict[type, tuple[Callable[[str], Any], str]]]" = {
    str: (str, "text"),
    Decimal: (_decimal, "a decimal number, as text"),
    UUID: (UUID, "a UUID"),
    datetime: (_moment, "a moment (RFC 3339)"),
    date: (date.fromisoformat, "a date (2026-11-21)"),
    time: (time.fromisoformat, "a time of day (03:00:00)"),
}
