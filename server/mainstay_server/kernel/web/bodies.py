"""Shapes of the HTTP API: camelCase outside, snake_case inside, nothing unknown accepted."""

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
