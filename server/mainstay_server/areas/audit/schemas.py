"""Shapes: a row as it was hashed, what rows are asked for by, and what the API answers."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.web.bodies import Answer, Body, Instant

Json = str | int | float | bool | list[str] | None
MOST_PER_PAGE = 500
DEFAULT_PER_PAGE = 100
MOST_OFFSET = 1_000_000
LONGEST_FILTER = 200


class Actor(msgspec.Struct, frozen=True):
    """Who acted: kind is person, token, system or anonymous; name and address of that time."""

    kind: str
    id: str
    name: str
    email: str


class Target(msgspec.Struct, frozen=True):
    """What was acted on."""

    kind: str
    id: str
    name: str


class InProject(msgspec.Struct, frozen=True):
    """The project of an action."""

    id: str
    slug: str


class InInstance(msgspec.Struct, frozen=True):
    """The instance of an action."""

    id: str
    environment: str


class Row(msgspec.Struct, frozen=True, rename="camel"):
    """One row, as its text says it."""

    version: int
    organization_id: str
    position: int
    id: str
    at: str
    actor: Actor
    address: str
    client: str
    action: str
    outcome: str
    target: Target
    project: InProject | None
    instance: InInstance | None
    changes: dict[str, tuple[Json, Json]]
    details: dict[str, Json]
    prev_hash: str


_decoder = msgspec.json.Decoder(Row)


def decode_row(text: bytes | str) -> Row:
    """Read a row's text. Raises `msgspec.ValidationError` or `DecodeError` for a damaged one."""
    return _decoder.decode(text)


@dataclass(frozen=True, kw_only=True)
class RowFilter:
    """Which rows are asked for. `project_id` also means rows of all its instances.

    With `instance_id`: those of that instance and of the project as a whole.
    """

    project_id: str = ""
    instance_id: str = ""
    action: str = ""
    actor: str = ""
    search: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def told(self) -> dict[str, str]:
        """The filters that were given, in the API's words."""
        given = {
            "projectId": self.project_id,
            "instanceId": self.instance_id,
            "action": self.action,
            "actor": self.actor,
            "search": self.search,
            "from": self.since.isoformat() if self.since else "",
            "to": self.until.isoformat() if self.until else "",
        }
        return {name: value for name, value in given.items() if value}


class RowQuery(Body):
    """Which rows, and how many; `startDate` and `endDate` are `from` and `to` by another name."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")

    limit: int = Field(
        DEFAULT_PER_PAGE, ge=1, le=MOST_PER_PAGE, description="How many.", examples=[100]
    )
    offset: int = Field(0, ge=0, le=MOST_OFFSET, description="How many to pass over.")
    action: str = Field(
        "",
        max_length=LONGEST_FILTER,
        description="An action such as `project.created`, or a noun such as `project`.",
    )
    actor: str = Field(
        "", max_length=LONGEST_FILTER, description="The id, or part of the name or address."
    )
    search: str = Field("", max_length=LONGEST_FILTER, description="Part of the row's text.")
    from_: str = Field(
        "", alias="from", max_length=40, description="A time or a date; from then on."
    )
    to: str = Field("", max_length=40, description="A time, until then, or a date, with that day.")
    start_date: str = Field("", max_length=40, description="As `from`.")
    end_date: str = Field("", max_length=40, description="As `to`.")

    def as_filter(self, *, project_id: str = "", instance_id: str = "") -> RowFilter:
        """What the query asks for. Raises `Invalid` for a time that is none."""
        return RowFilter(
            project_id=project_id,
            instance_id=instance_id,
            action=self.action.strip(),
            actor=self.actor.strip(),
            search=self.search.strip(),
            since=parse_time(self.from_ or self.start_date, "from", end=False),
            until=parse_time(self.to or self.end_date, "to", end=True),
        )


class InstanceRowQuery(RowQuery):
    """Rows of one instance, as JSON or to take away."""

    export: Literal["", "csv", "jsonl"] = Field("", description="All that match, as a file.")


class LogQuery(RowQuery):
    """Rows of the organization, as JSON, to take away, or for a system that gathers events."""

    export: Literal["", "csv", "jsonl", "bundle"] = Field(
        "", description="All that match, as a file; a bundle is a zip to verify, by times only."
    )
    format: Literal["", "ocsf"] = Field("", description="`ocsf`: JSON lines, the oldest first.")
    cursor: str = Field(
        "",
        max_length=20,
        pattern="^[0-9]*$",
        description="With `ocsf`: `X-Next-Cursor` of the answer before.",
    )


def parse_time(text: str, field: str, *, end: bool) -> datetime | None:
    """A time or a date in UTC; a date as an end means that its whole day is within."""
    text = text.strip()
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
        moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return moment + timedelta(days=1) if end else moment
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid.of_field(
            field, f"{field} must be a date or a time, such as 2026-11-21 or 2026-11-21T09:00:00Z."
        ) from None


class ActorAnswer(Answer):
    """Who acted, by the name and address of that time."""

    kind: Literal["person", "token", "system", "anonymous"]
    id: str
    name: str
    email: str


class TargetAnswer(Answer):
    """What was acted on."""

    kind: str
    id: str
    name: str


class ProjectAnswer(Answer):
    """The project that it was in."""

    id: str
    slug: str


class InstanceAnswer(Answer):
    """The instance that it was in."""

    id: str
    environment: str


class AuditRowAnswer(Answer):
    """One action; `changes` tells of each field how it was and how it is."""

    position: int
    id: str
    at: Instant
    actor: ActorAnswer
    address: str
    client: str
    action: str
    outcome: Literal["success", "failure"]
    target: TargetAnswer
    project: ProjectAnswer | None
    instance: InstanceAnswer | None
    changes: dict[str, list[Any]]
    details: dict[str, Any]
    prev_hash: str
    hash: str


class AuditRowsAnswer(Answer):
    """Rows, the newest first, and how many there are in all."""

    audit_logs: list[AuditRowAnswer]
    total: int
    limit: int
    offset: int


class CheckpointAnswer(Answer):
    """A signed note that a log had so many rows (C2SP tlog-checkpoint)."""

    size: Annotated[int, Field(examples=[1412])]
    signed_at: Instant
    note: Annotated[str, Field(examples=["mainstay/audit/0199…\n1412\nCsUY…\n\n— …\n"])]


class RemovalAnswer(Answer):
    """A signed note of the rows that retention removed."""

    last: Annotated[int, Field(examples=[1000])]
    removed_at: Instant
    note: Annotated[str, Field(examples=["mainstay/audit/0199…/removed\nfirst 1\nlast 1000\n…"])]


class DestinationAnswer(Answer):
    """Where checkpoints go, up to which row they got there, and why no further."""

    name: Annotated[str, Field(examples=["webhook"])]
    size: Annotated[int, Field(examples=[1412])]
    reached_at: Instant | None
    error: Annotated[str, Field(examples=[""])]


class CheckpointsAnswer(Answer):
    """What was signed of a log, the newest first, and the key to verify it with."""

    origin: Annotated[str, Field(examples=["mainstay/audit/0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"])]
    public_key: Annotated[str, Field(examples=["mainstay/audit/0199…+2f8a91c3+AbC…="])]
    rows: Annotated[int, Field(examples=[1419])]
    checkpoints: list[CheckpointAnswer]
    removals: list[RemovalAnswer]
    destinations: list[DestinationAnswer]


class FaultAnswer(Answer):
    """Something in the log that does not fit."""

    code: Annotated[str, Field(examples=["row_changed"])]
    position: Annotated[int, Field(examples=[17])]
    text: Annotated[str, Field(examples=["Row 17 was changed: row 18 was chained to another one."])]


class VerificationAnswer(Answer):
    """What the server found when it looked at every row, right now."""

    verified: bool
    first: Annotated[int, Field(examples=[1])]
    last: Annotated[int, Field(examples=[1419])]
    rows: Annotated[int, Field(examples=[1419])]
    covered: Annotated[int, Field(examples=[1412], description="Signed up to this row.")]
    faults: list[FaultAnswer]
    notes: Annotated[list[str], Field(examples=[["The 7 newest rows are in no checkpoint yet."]])]
