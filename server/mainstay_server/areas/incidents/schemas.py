"""Shapes of incidents: what the API takes and gives."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from mainstay_server.areas.incidents.models import (
    EntryKind,
    IncidentRole,
    IncidentStatus,
    Severity,
)
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.web.bodies import Answer, Body, Instant
from mainstay_server.kernel.web.pagination import Cursor, Limit

AN_ID = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
A_PERSON = "0199b1b0-1a2b-7c3d-8e4f-5a6b7c8d9e0f"
AN_ALERT = "0199b1b1-2b3c-7d4e-8f5a-6b7c8d9e0f1a"
A_TIME = "2026-11-26T12:00:00.000Z"
Title = Annotated[str, Field(min_length=1, max_length=200)]
Markdown = Annotated[str, Field(max_length=10_000)]
Id = Annotated[str, Field(max_length=36)]

OpensFrom = Literal["info", "low", "warning", "high", "critical", "never"]
JoinMinutes = Annotated[int, Field(ge=0, le=24 * 60)]
Template = Annotated[str, Field(max_length=20_000)]


class IncidentQuery(BaseModel):
    """Which incidents to list."""

    status: Literal["open", "resolved"] | None = Field(None, description="Default: all.")
    severity: Severity | None = Field(None, description="Only those of this severity.")
    instance: Id = Field("", description="Only those of this instance, by its id.")
    q: str = Field("", max_length=200, description="In the title, or the number.")
    limit: Limit = DEFAULT_PER_PAGE
    cursor: Cursor = ""


class IncidentBody(Body):
    """An incident to open."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"title": "Payments time out", "severity": "critical"}],
        }
    )

    title: Title
    severity: Severity = Severity.MAJOR
    summary: str = Field("", max_length=2000)
    instance_id: Id | None = None


class IncidentChanges(Body):
    """What to change; fields left out stay. `message` is written beside a new status."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"status": "identified", "message": "The disk of the queue is full."}]
        }
    )

    title: Title | None = None
    severity: Severity | None = None
    summary: str | None = Field(None, max_length=2000)
    instance_id: Id | None = None
    status: IncidentStatus | None = None
    message: Markdown = ""


class NoteBody(Body):
    """A note for the timeline, in Markdown."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"body": "Turned the importer off: load falls."}]}
    )

    body: Annotated[str, Field(min_length=1, max_length=10_000)]


class RoleBody(Body):
    """Who takes a role."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"personId": A_PERSON}]})

    person_id: Id


class JoinBody(Body):
    """Which alert joins."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"alertId": AN_ALERT}]})

    alert_id: Id


class TellBody(Body):
    """What to tell on a status page. Without `componentIds` those told before stay."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"pageId": AN_ID, "body": "We are looking into it."}]}
    )

    page_id: Id
    body: Markdown = ""
    component_ids: Annotated[list[Id], Field(max_length=200)] | None = None
    notify: bool = True


class PostmortemBody(Body):
    """What was learnt; `version` is the one that was read, 0 where there was none."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"body": "# Payments timed out\n", "version": 0}]}
    )

    body: Annotated[str, Field(min_length=1, max_length=100_000)]
    version: int = Field(0, ge=0)


class SettingsChanges(Body):
    """What to choose; fields left out stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"opensFrom": "warning"}]})

    opens_from: OpensFrom | None = None
    join_minutes: JoinMinutes | None = None
    resolves_alone: bool | None = None
    template: Template | None = None


class PersonAnswer(Answer):
    """Somebody in a role."""

    person_id: str = Field(examples=[A_PERSON])
    name: str = Field(examples=["Ada"])
    role: IncidentRole = Field(examples=["commander"])


class IncidentAlertAnswer(Answer):
    """An alert that is part of an incident."""

    alert_id: str = Field(examples=[AN_ALERT])
    instance_id: str = Field(examples=[AN_ID])
    type: str = Field(examples=["instance_down"])
    severity: str = Field(examples=["critical"])
    title: str = Field(examples=["shop production is down"])
    opened_at: Instant
    acknowledged_at: Instant | None
    resolved_at: Instant | None
    by_hand: bool = Field(examples=[False])


class ReportAnswer(Answer):
    """Where an incident is told."""

    page_id: str = Field(examples=[AN_ID])
    report_id: str = Field(examples=[AN_ID])


class IncidentAnswer(Answer):
    """An incident. Durations are in seconds; `null` where it has not come to that.

    `acknowledgedAfterSeconds` counts only where an alert opened it. `openSeconds` is without the
    times between an end and a reopening.
    """

    id: str = Field(examples=[AN_ID])
    number: int = Field(examples=[7])
    title: str = Field(examples=["Payments time out"])
    summary: str = Field(examples=[""])
    severity: Severity = Field(examples=["critical"])
    status: IncidentStatus = Field(examples=["identified"])
    automatic: bool = Field(examples=[True], description="Whether an alert opened it.")
    instance_id: str | None = Field(examples=[AN_ID])
    opened_at: Instant
    acknowledged_at: Instant | None
    resolved_at: Instant | None
    acknowledged_after_seconds: float | None = Field(examples=[94.2])
    open_seconds: float = Field(examples=[1800.0])
    alert_count: int = Field(examples=[2])
    active_alert_count: int = Field(examples=[1])
    people: list[PersonAnswer]


class OneIncidentAnswer(IncidentAnswer):
    """An incident with its alerts, where it is told, and whether it has a postmortem."""

    alerts: list[IncidentAlertAnswer]
    reports: list[ReportAnswer]
    has_postmortem: bool = Field(examples=[False])


class IncidentsAnswer(Answer):
    """Incidents, the newest first."""

    incidents: list[IncidentAnswer]
    next_cursor: str | None = Field(examples=[None])


class EntryAnswer(Answer):
    """A line of the timeline; `actor` is empty where it wrote itself, `body` is Markdown."""

    id: str = Field(examples=[AN_ID])
    kind: EntryKind = Field(examples=["status"])
    at: Instant
    actor: str = Field(examples=["Ada"])
    title: str = Field(examples=["Identified"])
    body: str = Field(examples=["The disk of the queue is full."])


class TimelineAnswer(Answer):
    """What happened, the newest first."""

    entries: list[EntryAnswer]
    next_cursor: str | None = Field(examples=[None])


class PostmortemAnswer(Answer):
    """What was learnt; `version` is 0 while nobody has written, and `body` then the draft."""

    body: str = Field(examples=["# Payments time out\n"])
    version: int = Field(examples=[1])
    changed_at: Instant | None
    changed_by: str = Field(examples=["Ada"])


class FiguresAnswer(Answer):
    """Figures over the incidents that were opened in a range; durations are in seconds.

    MTTA is over those that alerts opened and somebody took up, MTTR over those that are over.
    """

    since: Instant = Field(serialization_alias="from")
    until: Instant = Field(serialization_alias="to")
    opened: int = Field(examples=[12])
    open: int = Field(examples=[1])
    resolved: int = Field(examples=[11])
    acknowledged: int = Field(examples=[8])
    never_acknowledged: int = Field(examples=[3])
    mtta_seconds: float | None = Field(examples=[140.5])
    mttr_seconds: float | None = Field(examples=[2710.0])
    longest_seconds: float | None = Field(examples=[9120.0])
    by_severity: dict[Severity, int] = Field(examples=[{"minor": 4, "major": 6, "critical": 2}])


class SettingsAnswer(Answer):
    """When alerts open incidents. An empty `template` stands for the one that comes along."""

    opens_from: str = Field(examples=["critical"])
    join_minutes: int = Field(examples=[30])
    resolves_alone: bool = Field(examples=[True])
    template: str = Field(examples=[""])
