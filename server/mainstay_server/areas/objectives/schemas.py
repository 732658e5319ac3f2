"""Shapes of objectives: what the API takes and gives."""

from datetime import date
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from mainstay_server.kernel.web.bodies import Answer, Body, Instant

AN_ID = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
Name = Annotated[str, Field(min_length=1, max_length=100)]
Target = Annotated[float, Field(ge=1, le=99.9999)]
Periods = Literal["7d", "28d", "30d", "month"]
KindName = Literal["availability", "latency"]
SourceName = Literal["watched", "requests"]


class ObjectiveBody(Body):
    """An objective to be set: about something watched, or about the requests of an instance.

    `subjectId` is a health check or heartbeat. `route` is a path as it was measured, left out for
    all. `thresholdMs` is for the latency of requests: slower answers are bad.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Requests succeed",
                    "source": "requests",
                    "environment": "production",
                    "targetPercent": 99.9,
                }
            ]
        }
    )

    name: Name
    kind: KindName = "availability"
    source: SourceName
    environment: str = Field("production", max_length=100)
    subject_id: str = Field("", max_length=36)
    route: str = Field("", max_length=500)
    threshold_ms: int = Field(0, ge=0, le=600_000)
    target_percent: Target = 99.9
    period: Periods = "30d"


class ObjectiveChanges(Body):
    """What to change; fields left out stay. What it is counted by cannot change."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"targetPercent": 99.5}]})

    name: Name | None = None
    target_percent: Target | None = None
    period: Periods | None = None


class BurnAnswer(Answer):
    """One rule: burn rates over both windows, and from which on it fires."""

    severity: Literal["page", "ticket"] = Field(examples=["page"])
    long_window: str = Field(examples=["1h"])
    short_window: str = Field(examples=["5m"])
    factor: float = Field(examples=[14.4])
    long_burn: float = Field(examples=[0.8])
    short_burn: float = Field(examples=[0.0])
    has_history: bool = Field(examples=[True])
    burning: bool = Field(examples=[False])


class ObjectiveAnswer(Answer):
    """An objective as it stands now; figures in percent, None where nothing was counted yet."""

    id: str = Field(examples=[AN_ID])
    instance_id: str = Field(examples=[AN_ID])
    name: str = Field(examples=["Requests succeed"])
    kind: KindName = Field(examples=["availability"])
    source: SourceName = Field(examples=["requests"])
    subject_id: str = Field(examples=[""])
    route: str = Field(examples=[""])
    threshold_ms: int = Field(examples=[0])
    target_percent: float = Field(examples=[99.9])
    period: Periods = Field(examples=["30d"])
    status: Literal["ok", "at_risk", "exhausted"] = Field(examples=["ok"])
    burning: list[Literal["page", "ticket"]] = Field(examples=[[]])
    achieved_percent: float | None = Field(examples=[99.97])
    budget_left_percent: float | None = Field(
        description="Signed: below 0 when more was spent than there is.", examples=[70.0]
    )
    total: float = Field(description="Requests, or seconds watched.", examples=[120000])
    bad: float = Field(examples=[36])
    exhausted_at: Instant | None = Field(
        description="When nothing is left, at the burn rate of the last day."
    )
    burns: list[BurnAnswer]
    created_at: Instant


class ObjectivesAnswer(Answer):
    """The objectives of a project, by name."""

    objectives: list[ObjectiveAnswer]
    next_cursor: str | None = Field(examples=[None])


class GateAnswer(Answer):
    """Whether a risky change may go out."""

    status: Literal["ok", "frozen"] = Field(examples=["ok"])
    reason: str = Field(examples=["70 % of the error budget is left."])
    budget_left_percent: float | None = Field(examples=[70.0])


class PresetAnswer(Answer):
    """A usual target against reality: what was achieved over 30 days, and whether that meets it."""

    name: str = Field(examples=["Uptime"])
    kind: KindName = Field(examples=["availability"])
    source: SourceName = Field(examples=["watched"])
    subject_id: str = Field(examples=[AN_ID])
    threshold_ms: int = Field(examples=[0])
    target_percent: float = Field(examples=[99.9])
    achieved_percent: float | None = Field(examples=[99.95])
    is_met: bool | None = Field(examples=[True])


class PresetsAnswer(Answer):
    """The usual targets of an instance."""

    presets: list[PresetAnswer]


class WatchedMonth(Answer):
    """Uptime of something watched in a month; `frozen` when it cannot change by itself any more."""

    id: str = Field(examples=[AN_ID])
    kind: str = Field(examples=["health_check"])
    name: str = Field(examples=["health"])
    instance_id: str = Field(examples=[AN_ID])
    environment: str = Field(examples=["production"])
    uptime_percent: float | None = Field(examples=[99.95])
    coverage_percent: float | None = Field(examples=[100.0])
    down_seconds: float = Field(examples=[1296.0])
    degraded_seconds: float = Field(examples=[0.0])
    unknown_seconds: float = Field(examples=[0.0])
    maintenance_seconds: float = Field(examples=[7200.0])
    frozen: bool = Field(examples=[True])


class ObjectiveMonth(Answer):
    """What of an objective was kept in a month."""

    id: str = Field(examples=[AN_ID])
    name: str = Field(examples=["Requests succeed"])
    environment: str = Field(examples=["production"])
    target_percent: float = Field(examples=[99.9])
    achieved_percent: float | None = Field(examples=[99.97])
    budget_left_percent: float | None = Field(examples=[70.0])
    total: float = Field(examples=[120000])
    bad: float = Field(examples=[36])
    is_met: bool | None = Field(examples=[True])


class ReportAnswer(Answer):
    """A month of a project: uptime of what is watched, and its objectives."""

    project: str = Field(examples=["shop"])
    month: date = Field(examples=["2026-10-01"])
    until: Instant
    is_over: bool = Field(examples=[True])
    watched: list[WatchedMonth]
    objectives: list[ObjectiveMonth]
