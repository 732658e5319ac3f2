"""The shapes of Healthchecks' management API: what it takes, and the words of its refusals."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError

LEAST_SECONDS = 60
MOST_SECONDS = 31_536_000
Seconds = Annotated[StrictInt, Field(ge=LEAST_SECONDS, le=MOST_SECONDS)]
Text = Annotated[StrictStr, Field(max_length=100)]
Words = Annotated[StrictStr, Field(max_length=200)]
FAULTS = {
    "greater_than_equal": "is too small",
    "less_than_equal": "is too large",
    "string_too_long": "is too long",
    "string_pattern_mismatch": "does not match pattern",
    "too_long": "has too many items",
    "int_type": "is not a number",
    "string_type": "is not a string",
    "bool_type": "is not a boolean",
    "list_type": "is not an array",
    "literal_error": "has unexpected value",
    "model_type": "is not an object",
    "model_attributes_type": "is not an object",
}


class Spec(BaseModel):
    """A check as a client describes it; what it leaves out stays, unknown fields are let pass."""

    model_config = ConfigDict(extra="ignore")

    name: Text | None = None
    slug: Annotated[StrictStr, Field(pattern=r"^[a-z0-9_-]{0,100}$")] | None = None
    tags: Annotated[StrictStr, Field(max_length=500)] | None = None
    desc: Annotated[StrictStr, Field(max_length=2_000)] | None = None
    timeout: Seconds | None = None
    grace: Seconds | None = None
    schedule: Annotated[StrictStr, Field(max_length=200)] | None = None
    tz: Annotated[StrictStr, Field(max_length=60)] | None = None
    manual_resume: StrictBool | None = None
    methods: Literal["", "POST"] | None = None
    channels: Annotated[StrictStr, Field(max_length=2_000)] | None = None
    subject: Words | None = None
    subject_fail: Words | None = None
    start_kw: Words | None = None
    success_kw: Words | None = None
    failure_kw: Words | None = None
    filter_subject: StrictBool | None = None
    filter_body: StrictBool | None = None
    filter_http_body: StrictBool | None = None
    filter_default_fail: StrictBool | None = None
    unique: Annotated[
        list[Literal["name", "slug", "tags", "timeout", "grace"]], Field(max_length=5)
    ] = Field(default_factory=list)


def fault_of(error: ValidationError) -> str:
    """The first fault in Healthchecks' words: `grace is too small`."""
    first: Any = error.errors()[0]
    place = str(first["loc"][0]) if first["loc"] else "value"
    return f"json validation error: {place} {FAULTS.get(first['type'], 'is not valid')}"
