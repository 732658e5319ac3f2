"""Check a value against a JSON Schema, with jsonschema; nothing is ever fetched."""

import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

import jsonschema
import jsonschema.validators
import referencing
from jsonschema.protocols import Validator

from mainstay._internal.guard.refusals import Fault
from mainstay._internal.validation.refusing import MOST_FAULTS, Wrong, pointer_to

# What a pattern looks at: a polynomial one is still quick on so many characters.
_MOST_PATTERN_CHARACTERS = 1_000
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_PARSER: Any = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")
_REPEATS: Final = ("MAX_REPEAT", "MIN_REPEAT")


def checker(schema: Mapping[str, Any]) -> Callable[[Any], None]:
    """Return what checks a value and raises `Wrong`.

    Raises ValueError for a schema that is not well formed, that refers to another document (it
    would have to be fetched while somebody waits), or that has a pattern which takes exponential
    time on some texts, as ``(a+)+`` does.
    """
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ValueError(f"this is no JSON Schema: {error.message}") from error
    for name, value in _members(schema):
        if name in _REFERENCES and isinstance(value, str) and not value.startswith("#"):
            raise ValueError(f"{value} is another document; put it into $defs of this one")
        _refuse_exponential([value] if name == "pattern" else value, name)
    careful = jsonschema.validators.extend(
        kind, {"pattern": _pattern(kind.VALIDATORS["pattern"]), "uniqueItems": _unique_items}
    )
    validator: Validator = careful(schema, registry=referencing.Registry())

    def check(value: Any) -> None:  # noqa: ANN401 - any value
        found = [
            Fault(error.message, pointer_to(error.absolute_path))
            for error in islice(validator.iter_errors(value), MOST_FAULTS)
        ]
        if found:
            raise Wrong(found)

    return check


def _members(schema: object) -> Iterator[tuple[str, object]]:
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            yield from part.items()
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _pattern(check: Callable[..., Any]) -> Callable[..., Iterator[jsonschema.ValidationError]]:
    def careful(
        validator: Validator, pattern: str, value: object, schema: object
    ) -> Iterator[jsonschema.ValidationError]:
        if isinstance(value, str) and len(value) > _MOST_PATTERN_CHARACTERS:
            most = _MOST_PATTERN_CHARACTERS
            yield jsonschema.ValidationError(f"It has more than {most} characters.")
            return
        yield from check(validator, pattern, value, schema) or ()

    return careful


def _unique_items(
    _validator: Validator, wanted: object, value: object, _schema: object
) -> Iterator[jsonschema.ValidationError]:
    """Tell in linear time; jsonschema compares every value with every other."""
    if wanted and isinstance(value, list) and len({_told(each) for each in value}) < len(value):
        yield jsonschema.ValidationError("A value comes more than once.")


def _told(value: object) -> object:
    """Return what is equal for equal values of JSON: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, list):
        return (list, *map(_told, value))
    if isinstance(value, dict):
        return (dict, frozenset((name, _told(inner)) for name, inner in value.items()))
    return (bool, value) if isinstance(value, bool) else value


def _refuse_exponential(patterns: Any, name: str) -> None:  # noqa: ANN401 - any value
    if name not in ("pattern", "patternProperties"):
        return
    for pattern in patterns:
        if not isinstance(pattern, str):
            continue  # a property that happens to have the keyword's name
        try:
            parsed = _PARSER.parse(pattern)
        except re.error as error:
            raise ValueError(f"{pattern} is no pattern that Python knows: {error}") from error
        if any(_repeats_a_repeat(part) for part in _parts(parsed)):
            raise ValueError(f"{pattern} repeats a repeat, which takes for ever on some texts")


def _parts(parsed: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 - the parser's own
    """Give each operation of a parsed pattern, at any depth."""
    waiting = [parsed]
    while waiting:
        part = waiting.pop()
        if isinstance(part, _PARSER.SubPattern):
            for operation in part:
                yield operation
                waiting.append(operation[1])
        elif isinstance(part, (tuple, list)):
            waiting.extend(part)


def _repeats_a_repeat(operation: tuple[Any, Any]) -> bool:
    """Whether one of the ways through an endless repeat is nothing but another one."""
    name, argument = operation
    if str(name) not in _REPEATS or argument[1] != _PARSER.MAXREPEAT:
        return False
    ways = [argument[2]]
    while ways:
        way = list(ways.pop())
        if len(way) != 1:
            continue
        inner, said = way[0]
        if str(inner) in _REPEATS and said[1] == _PARSER.MAXREPEAT:
            return True
        if str(inner) == "SUBPATTERN":
            ways.append(said[-1])
        elif str(inner) == "BRANCH":
            ways.extend(said[1])
    return False
