"""The kinds of things that installed areas let a document hold, and the schema they make."""

from typing import Any

from mainstay_server.areas.configuration.schemas import HeadShape
from mainstay_server.kernel.area import installed
from mainstay_server.kernel.configured import Configured

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"
EXTENSION = "x-"
ABOUT = ("title", "description", "default", "examples")
WITH_VARIABLE = {"type": "string", "pattern": r"\$\{[A-Za-z_]"}


def kinds() -> tuple[Configured, ...]:
    """Every declared kind, in the order of the document: what others refer to comes first."""
    declared = (kind for area in installed() for kind in area.configured)
    return tuple(sorted(declared, key=lambda kind: (kind.order, kind.name)))


def kinds_by_name() -> dict[str, Configured]:
    """The kinds by the name of their list."""
    return {kind.name: kind for kind in kinds()}


def document_schema(address: str) -> dict[str, Any]:
    """The JSON Schema of documents, by which editors complete and check them."""
    schema = HeadShape.model_json_schema()
    definitions: dict[str, Any] = schema.pop("$defs", {})
    for kind in kinds():
        shape = kind.shape.model_json_schema(ref_template="#/$defs/{model}")
        definitions |= shape.pop("$defs", {})
        definitions[kind.shape.__name__] = shape
        schema["properties"][kind.name] = {
            "type": ["array", "null"],
            "description": kind.title,
            "items": {"$ref": f"#/$defs/{kind.shape.__name__}"},
        }
    definitions = {name: _with_variables(each) for name, each in definitions.items()}
    return {
        "$schema": SCHEMA_DIALECT,
        "$id": address,
        **schema,
        "patternProperties": {f"^{EXTENSION}": True},
        "additionalProperties": False,
        "$defs": definitions,
    }


def _with_variables(schema: dict[str, Any]) -> dict[str, Any]:
    """A shape whose values may also be texts with `${…}`, whatever they have to be in the end."""
    properties = schema.get("properties")
    if not properties:
        return schema
    return {**schema, "properties": {name: _or_variable(one) for name, one in properties.items()}}


def _or_variable(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") in ("array", "object"):
        return schema
    kept = {name: schema[name] for name in ABOUT if name in schema}
    inner = {name: each for name, each in schema.items() if name not in ABOUT}
    return {**kept, "anyOf": [inner, WITH_VARIABLE]}
