"""Validate a body or a query, as a plain function."""

from typing import Any

from mainstay._internal.guard.refusals import body_too_large
from mainstay._internal.validation.limits import DEFAULT, FORM, Limits
from mainstay._internal.validation.reading import read_fields, read_json
from mainstay._internal.validation.refusing import (
    Invalid,
    Wrong,
    content_type_unsupported,
    malformed,
    meaningless,
)
from mainstay._internal.validation.schemas import Schema, Source, check_of


def validate(
    body: bytes, content_type: str | None, schema: Schema = None, *, limits: Limits = DEFAULT
) -> Any:  # noqa: ANN401 - what the schema makes
    """Return what a body says, once it is small, well formed and what the schema asks for.

    Everything else raises `Invalid`, and nothing but that: 413 for a body that is too large, 415
    for another content type or charset, 400 for one that is not well formed or holds too much,
    422 for one that does not fit the schema.

    ``schema`` is a dataclass, a pydantic model or TypeAdapter, a JSON Schema (a dict; needs
    ``pip install 'mainstay[jsonschema]'``), a function that takes the value and returns what to
    hand on or raises ValueError, or None for any value.
    """
    check = check_of(schema)
    if len(body) > limits.most_bytes:
        raise too_large(limits)
    kind = read_content_type(content_type, limits)
    if not body:
        raise malformed("body", "It is empty.")
    if kind == FORM:
        source = Source("body", read_fields("body", body, limits), None)
    else:
        source = Source("body", read_json(body, limits), body)
    return _checked(check, source)


def validate_query(query: str | bytes, schema: Schema = None, *, limits: Limits = DEFAULT) -> Any:  # noqa: ANN401 - what the schema makes
    """Return what a query string says, as ``validate`` does a form's; raises `Invalid`."""
    check = check_of(schema)
    raw = query.encode("utf-8", "surrogateescape") if isinstance(query, str) else query
    return _checked(check, Source("query", read_fields("query", raw, limits), None))


def too_large(limits: Limits) -> Invalid:
    """Return the refusal of a body that is too large."""
    return Invalid(body_too_large(limits.most_bytes))


def read_content_type(text: str | None, limits: Limits) -> str:
    """Return the content type, which must be one that is taken, in UTF-8 (RFC 9110 §8.3)."""
    kind, *parameters = (text or "").lower().split(";")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in ("utf-8", "us-ascii"):
            raise content_type_unsupported(limits.content_types)
    if kind.strip() not in limits.content_types:
        raise content_type_unsupported(limits.content_types)
    return kind.strip()


def _checked(check: Any, source: Source) -> Any:  # noqa: ANN401 - a `Check`, and what it makes
    try:
        return check(source)
    except Wrong as wrong:
        raise meaningless(source.what, wrong.faults) from None
