"""Shapes of the HTTP API: camelCase outside, snake_case inside, nothing unknown accepted."""

import math
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

from mainstay_server.kernel.clock import rfc3339
from mainstay_server.kernel.problems import Invalid

MOST_HOURS = 24 * 366


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs a time zone, such as a Z at its end")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time must lie in the years 1 to 9999, also in UTC") from None


Instant = Annotated[
    datetime,
    AfterValidator(_aware),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    Field(examples=["2026-11-21T09:41:45.001Z"], json_schema_extra={"format": "date-time"}),
]

DEEPEST = 32


def _keepable(value: dict[str, Any]) -> dict[str, Any]:
    """Walks through it without recursion, since its depth is the client's."""
    waiting: list[tuple[Any, int]] = [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        if depth > DEEPEST:
            raise ValueError(f"is nested more than {DEEPEST} levels deep")
        if isinstance(one, dict):
            waiting += ((each, depth + 1) for pair in one.items() for each in pair)
        elif isinstance(one, list):
            waiting += ((each, depth + 1) for each in one)
        elif isinstance(one, str):
            _refuse_half_letters(one)
        elif isinstance(one, float) and not math.isfinite(one):
            raise ValueError("holds a number that JSON does not know")
    return value


def _refuse_half_letters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half a letter: a surrogate without its other half") from None


FreeObject = Annotated[dict[str, Any], AfterValidator(_keepable)]
"""An object of a client's own shape, which can be kept and told again whatever is in it."""

LATER = "2099-01-01T00:00:00.000Z"
"""The example of a time that has to lie ahead; one of today would be refused tomorrow."""


class Body(BaseModel):
    """What a client sends. Unknown fields are refused, so that a typo does not pass silently."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Answer(BaseModel):
    """What a client gets."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)


def example(value: object, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """What a route's `responses` show of one answer."""
    return {status: {"content": {"application/json": {"example": value}}}}


def parse_hours(hours: int) -> int:
    """A time range in hours; raises `Invalid` outside 1 hour to 366 days."""
    if not 1 <= hours <= MOST_HOURS:
        raise Invalid(f"hours must be between 1 and {MOST_HOURS}; leave it out for the last 24.")
    return hours
