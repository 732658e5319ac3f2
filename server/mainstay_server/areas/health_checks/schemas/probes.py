"""Shapes of probes elsewhere: how they are administered, what they are told, what they report."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator

from mainstay_server.areas.health_checks.models import HERE
from mainstay_server.kernel.web.bodies import Answer, Body, Instant

MOST_RESULTS = 500
LONGEST_LOCATION = 50
LONGEST_FACTS = 20

Location = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_LOCATION,
        pattern=r"^[\w][\w .:/()-]*$",
        description="Where it runs, in your words: letters, digits, blanks and .:/()-_",
    ),
]
Milliseconds = Annotated[float, Field(ge=0, le=3_600_000)]


class NewProbe(Body):
    """A probe that is to run somewhere else."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "fra-1", "location": "Frankfurt"}]}
    )

    name: Annotated[str, Field(min_length=1, max_length=100)]
    location: Location

    @field_validator("location")
    @classmethod
    def _not_here(cls, location: str) -> str:
        if location.strip().lower() == HERE:
            raise ValueError("is where Mainstay itself runs; name the other place")
        return location.strip()


class ProbeAnswer(Answer):
    """One probe. `state` is new (never heard of), connected, or silent."""

    id: str
    name: str
    location: str
    state: Literal["new", "connected", "silent"]
    token_hint: str
    made_at: Instant
    last_seen_at: Instant | None
    version: str
    checks: int
    dropped_results: int


class NewProbeAnswer(ProbeAnswer):
    """A new probe with its token, which is shown this once, and the command that starts it."""

    token: str
    command: str


class ProbesAnswer(Answer):
    """The probes of the organization, by location."""

    probes: list[ProbeAnswer]
    next_cursor: str | None


class PlannedCheck(Answer):
    """One check as a probe is told of it; `config` has its secrets open."""

    id: str
    digest: str
    kind: str
    url: str
    target: str
    host: str
    config: dict[str, Any] = Field(repr=False)
    conditions: list[str]
    interval_seconds: int
    timeout_seconds: int
    degraded_after_ms: int
    state: str


class AskNow(Answer):
    """A check that is to be asked at once, beside its turns."""

    id: str
    at: Instant


class PlanAnswer(Answer):
    """What a probe is to ask. `checks` is null when that is what it knows already.

    `withheld` counts checks whose secrets may not travel over this connection.
    """

    version: str
    checks: list[PlannedCheck] | None
    ask_now: list[AskNow]
    withheld: int
    confirm_seconds: float
    at_once: int
    per_host: int


class ReportedResult(Body):
    """What a probe found. Times of the network in milliseconds."""

    id: Annotated[str, Field(max_length=36)]
    digest: Annotated[str, Field(max_length=64)]
    at: datetime
    finished_at: datetime
    state: Literal["healthy", "degraded", "unhealthy"]
    response_ms: Milliseconds
    status_code: Annotated[int, Field(ge=0, le=65_535)] = 0
    reason: Annotated[str, Field(max_length=300)] = ""
    resolve_ms: Milliseconds = 0.0
    connect_ms: Milliseconds = 0.0
    tls_ms: Milliseconds = 0.0
    first_byte_ms: Milliseconds = 0.0
    transfer_ms: Milliseconds = 0.0
    tries: Annotated[int, Field(ge=1, le=10)] = 1
    facts: Annotated[dict[str, Any], Field(max_length=LONGEST_FACTS)] = Field(default_factory=dict)

    @field_validator("at", "finished_at")
    @classmethod
    def _with_zone(cls, at: datetime) -> datetime:
        if at.tzinfo is None:
            raise ValueError("needs a time zone, such as a Z at its end")
        return at


class Report(Body):
    """Results in the order in which they were found.

    `again` says that some of them may have been sent before; `dropped` how many had to be thrown
    away since the last report, because the server was away for too long.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "results": [
                        {
                            "id": "0193a0c2-7e57-7000-8000-000000000001",
                            "digest": "5f2c",
                            "at": "2026-11-21T09:41:45.001Z",
                            "finishedAt": "2026-11-21T09:41:45.085Z",
                            "state": "healthy",
                            "responseMs": 84.2,
                            "statusCode": 200,
                        }
                    ],
                    "version": "0.1.0",
                }
            ]
        }
    )

    results: Annotated[list[ReportedResult], Field(max_length=MOST_RESULTS)]
    again: bool = False
    dropped: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0
    version: Annotated[str, Field(max_length=40)] = ""


class ReportAnswer(Answer):
    """How many of the results were new and of a check as it is now."""

    taken: int


class PlaceAnswer(Answer):
    """How a check stands at one of the places that ask it."""

    location: str
    state: str
    reason: str
    last_result_at: Instant | None
    last_response_ms: float | None


class PlacesAnswer(Answer):
    """How a check stands at each of its places, and how many of them must agree on an outage."""

    quorum: str
    locations: list[PlaceAnswer]
