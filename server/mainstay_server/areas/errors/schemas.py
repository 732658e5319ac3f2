"""What the API of errors takes and answers."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, LONGEST_CURSOR, MOST_PER_PAGE
from mainstay_server.kernel.web import Answer, Body
from mainstay_server.kernel.web.bodies import LATER, Instant

from .models import Status

LONGEST_QUERY = 500

AnId = Annotated[str, Field(examples=["0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"])]


class ErrorsQuery(BaseModel):
    """Which issues are listed, and in which order."""

    model_config = ConfigDict(extra="forbid")

    status: Annotated[Status | None, Field(description="Only issues of this status.")] = None
    query: Annotated[
        str,
        Field(
            max_length=LONGEST_QUERY,
            description="As in the search box of the page: `level:error release:1.2 timeout`.",
        ),
    ] = ""
    sort: Annotated[str, Field(description="`last_seen`, `first_seen` or `count`.")] = "last_seen"
    limit: Annotated[int, Field(ge=1, le=MOST_PER_PAGE, description="How many, at most.")] = (
        DEFAULT_PER_PAGE
    )
    cursor: Annotated[
        str, Field(max_length=LONGEST_CURSOR, description="`nextCursor` of the page before.")
    ] = ""


class ErrorAnswer(Answer):
    """One issue; in the list of an instance, with that instance's numbers."""

    id: Annotated[str, Field(examples=["1f0c9a6e-5b1d-8d6f-9c1e-0242ac120002"])]
    short_id: Annotated[str, Field(examples=["INSPECTIONS-7"])]
    title: Annotated[str, Field(examples=["ZeroDivisionError: division by zero"])]
    culprit: Annotated[str, Field(examples=["app.views in divide"])]
    count: Annotated[int, Field(examples=[128])]
    first_seen: Instant
    last_seen: Instant
    status: Status
    level: Annotated[str, Field(examples=["error"])]


class ErrorsAnswer(Answer):
    """A page of issues."""

    errors: list[ErrorAnswer]
    next_cursor: str | None


class InInstanceAnswer(Answer):
    """What one instance saw of an issue."""

    instance_id: AnId
    count: Annotated[int, Field(examples=[96])]
    first_seen: Instant
    last_seen: Instant


class ErrorDetailAnswer(ErrorAnswer):
    """One issue with everything that is known of it; its numbers are those of all instances."""

    project: Annotated[str, Field(examples=["inspections"])]
    first_release: Annotated[str, Field(examples=["inspections@1.4.1"])]
    last_release: Annotated[str, Field(examples=["inspections@1.4.2"])]
    resolved_at: Instant | None
    ignored_until: Instant | None
    ignored_until_count: int | None
    explanation: Annotated[
        str,
        Field(
            description="Of the issue that holds too many different errors: why, and what to do.",
            examples=[""],
        ),
    ]
    users: Annotated[int, Field(description="Different users in the last 14 days.", examples=[31])]
    instances: list[InInstanceAnswer]


class ErrorBody(Body):
    """What becomes of an issue."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "resolved"}]})

    status: Annotated[Status, Field(examples=["resolved"])]
    ignored_until: Annotated[
        Instant | None,
        Field(description="With `ignored`: reopen it at this time.", examples=[LATER]),
    ] = None
    ignored_for_events: Annotated[
        int | None, Field(description="With `ignored`: reopen it after so many more events.")
    ] = None


class EventAnswer(Answer):
    """One event of an issue."""

    event_id: Annotated[str, Field(examples=["c9574dc5d01042558c518b8c07ae22e6"])]
    received_at: Instant
    title: Annotated[str, Field(examples=["ZeroDivisionError: division by zero"])]
    level: Annotated[str, Field(examples=["error"])]
    release: Annotated[str, Field(examples=["inspections@1.4.2"])]
    instance_id: AnId
    user: Annotated[str, Field(examples=["id:42"])]
    tags: Annotated[dict[str, str], Field(examples=[{"browser": "Firefox"}])]


class EventsAnswer(Answer):
    """A page of events, the latest first."""

    events: list[EventAnswer]
    next_cursor: str | None


class EventDetailAnswer(EventAnswer):
    """One event with its payload as the SDK sent it, and its neighbours within the issue."""

    older_event_id: str | None
    newer_event_id: str | None
    payload: Annotated[
        dict[str, Any], Field(examples=[{"message": "The queue is empty", "level": "error"}])
    ]
