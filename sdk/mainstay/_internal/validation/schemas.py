"""What a body should mean: a dataclass, a pydantic model, a JSON Schema or a function."""

import dataclasses
import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mainstay._internal.guard.refusals import Fault
from mainstay._internal.validation.refusing import MOST_FAULTS, Invalid, Wrong, pointer_to
from mainstay._internal.validation.shapes import Fields, reader_of

Schema = Any
_MOST_SCHEMAS_KEPT = 1_000


class Source(NamedTuple):
    """What was read: the value, and the bytes where it was JSON."""

    what: str
    value: Any
    json: bytes | None


Check = Callable[[Source], Any]


def check_of(schema: Schema) -> Check:
    """Return what checks a value and raises `Wrong`; made once for each schema.

    Raises TypeError for what is no schema, ValueError for a JSON Schema that is not well formed,
    and ImportError where its extra is missing.
    """
    if isinstance(schema, Mapping):
        return _of_json_schema(_Same(schema))
    return _made(schema)


class _Same:
    """Holds a schema that cannot be hashed; the same object is the same key."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.schema is self.schema


@functools.lru_cache(maxsize=_MOST_SCHEMAS_KEPT)
def _of_json_schema(same: _Same) -> Check:
    try:
        module = importlib.import_module("mainstay._internal.validation.in_jsonschema")
    except ImportError as error:
        raise ImportError("A JSON Schema needs: pip install 'mainstay[jsonschema]'") from error
    check: Callable[[Any], None] = module.checker(same.schema)

    def checked(source: Source) -> Any:  # noqa: ANN401 - any value
        check(source.value)
        return source.value

    return checked


@functools.lru_cache(maxsize=_MOST_SCHEMAS_KEPT)
def _made(schema: Schema) -> Check:
    if schema is None:
        return lambda source: source.value
    for python, text in (
        ("model_validate", "model_validate_json"),
        ("validate_python", "validate_json"),
    ):
        if hasattr(schema, python):
            return _of_pydantic(getattr(schema, python), getattr(schema, text))
    if dataclasses.is_dataclass(schema) and isinstance(schema, type):
        return _of_dataclass(schema)
    if callable(schema):
        return _of_function(schema)
    raise TypeError(f"a {type(schema).__name__} is no schema")


def _of_pydantic(of_value: Callable[..., Any], of_json: Callable[..., Any]) -> Check:
    def check(source: Source) -> Any:  # noqa: ANN401 - the model
        try:
            return of_value(source.value) if source.json is None else of_json(source.json)
        except ValueError as error:
            tell = getattr(error, "errors", None)
            if tell is None:
                raise
            told = tell(include_url=False, include_context=False, include_input=False)[:MOST_FAULTS]
            raise Wrong([Fault(str(one["msg"]), pointer_to(one["loc"])) for one in told]) from None

    return check


def _of_dataclass(schema: type) -> Check:
    strict, lenient = reader_of(schema), reader_of(schema, from_text=True)

    def check(source: Source) -> Any:  # noqa: ANN401 - the dataclass
        faults = Fields()
        made = (lenient if source.json is None else strict)(source.value, None, faults)
        if faults:
            raise Wrong(faults)
        return made

    return check


def _of_function(schema: Callable[[Any], Any]) -> Check:
    def check(source: Source) -> Any:  # noqa: ANN401 - the function's own
        try:
            return schema(source.value)
        except Invalid:
            raise
        except ValueError as error:
            raise Wrong([Fault(str(error) or "It is not what is asked for.")]) from None
        except (TypeError, LookupError, AttributeError):
            # Of the text of these the sender learns nothing but how the app is made.
            raise Wrong([Fault("It does not have the form that is asked for.")]) from None

    return check
