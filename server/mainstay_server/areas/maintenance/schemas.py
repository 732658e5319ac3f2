"""Shapes of maintenance: what the API takes and gives."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from mainstay_server.kernel.web.bodies import Answer, Body, Instant

AN_ID = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
MOST_PREVIEWED = 10
MOST_COVERED = 200
Name = Annotated[str, Field(min_length=1, max_length=100)]
Names = Annotated[list[Annotated[str, Field(max_length=60)]], Field(max_length=200)]


class MaintenanceBody(Body):
    """Maintenance to be planned: when, and what it covers; empty lists stand for all.

    `startsAt` without a zone is what clocks in `timeZone` show; left out, it is now. `schedule` is
    a cron expression (`0 2 * * SUN#1`: the first Sunday at two) or an RRULE
    (`FREQ=MONTHLY;BYDAY=2TU`); left out, the window comes once.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Patch night",
                    "schedule": "0 2 * * SUN#1",
                    "timeZone": "Europe/Berlin",
                    "durationMinutes": 120,
                    "tags": ["database"],
                }
            ]
        }
    )

    name: Name
    description: str = Field("", max_length=2000)
    starts_at: datetime | None = None
    time_zone: str = Field("UTC", max_length=60)
    duration_minutes: int = Field(60, ge=1, le=31 * 24 * 60)
    schedule: str = Field("", max_length=300)
    announce_minutes: int = Field(60, ge=0, le=7 * 24 * 60)
    instance_ids: Names = Field([])
    tags: Names = Field([])
    subject_ids: Names = Field([])


class MaintenanceChanges(Body):
    """What to change; fields left out stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"durationMinutes": 90}]})

    name: Name | None = None
    description: str | None = Field(None, max_length=2000)
    starts_at: datetime | None = None
    time_zone: str | None = Field(None, max_length=60)
    duration_minutes: int | None = Field(None, ge=1, le=31 * 24 * 60)
    schedule: str | None = Field(None, max_length=300)
    announce_minutes: int | None = Field(None, ge=0, le=7 * 24 * 60)
    instance_ids: Names | None = None
    tags: Names | None = None
    subject_ids: Names | None = None


class WindowChanges(Body):
    """Another start or end of one window; what is left out stays."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"endsAt": "2026-12-06T05:00:00.000Z"}]}
    )

    starts_at: Instant | None = None
    ends_at: Instant | None = None


class WindowAnswer(Answer):
    """One window; its id stays when it is moved."""

    id: str = Field(examples=[f"{AN_ID}-20261206T010000Z"])
    maintenance_id: str = Field(examples=[AN_ID])
    name: str = Field(examples=["Patch night"])
    description: str = Field(examples=[""])
    status: Literal["upcoming", "active", "ended"] = Field(examples=["upcoming"])
    starts_at: Instant = Field(examples=["2026-12-06T01:00:00.000Z"])
    ends_at: Instant = Field(examples=["2026-12-06T03:00:00.000Z"])
    instance_ids: list[str] = Field(examples=[[]])
    tags: list[str] = Field(examples=[["database"]])
    subject_ids: list[str] = Field(examples=[[]])


class WindowsAnswer(Answer):
    """Windows by their start."""

    windows: list[WindowAnswer]
    next_cursor: str | None = Field(examples=[None])


class MaintenanceAnswer(Answer):
    """What is planned. `startsAt` is what clocks in `timeZone` show at the first start."""

    id: str = Field(examples=[AN_ID])
    name: str = Field(examples=["Patch night"])
    description: str = Field(examples=[""])
    starts_at: str = Field(examples=["2026-12-06T02:00:00"])
    time_zone: str = Field(examples=["Europe/Berlin"])
    duration_minutes: int = Field(examples=[120])
    schedule: str = Field(examples=["0 2 * * SUN#1"])
    announce_minutes: int = Field(examples=[60])
    instance_ids: list[str] = Field(examples=[[]])
    tags: list[str] = Field(examples=[["database"]])
    subject_ids: list[str] = Field(examples=[[]])
    created_at: Instant
    next_window: WindowAnswer | None = Field(description="The one that lasts, or else the next.")


class MaintenancesAnswer(Answer):
    """What is planned in a project, by name."""

    maintenance: list[MaintenanceAnswer]
    next_cursor: str | None = Field(examples=[None])


class PreviewedWindow(Answer):
    """A window that would be, in UTC and as clocks of its time zone show it."""

    starts_at: Instant = Field(examples=["2026-12-06T01:00:00.000Z"])
    ends_at: Instant = Field(examples=["2026-12-06T03:00:00.000Z"])
    local_start: str = Field(examples=["2026-12-06T02:00:00+01:00"])
    local_end: str = Field(examples=["2026-12-06T04:00:00+01:00"])


class CoveredAnswer(Answer):
    """A watched subject that would be covered."""

    id: str = Field(examples=[AN_ID])
    kind: str = Field(examples=["health_check"])
    name: str = Field(examples=["health"])
    instance_id: str = Field(examples=[AN_ID])


class PreviewAnswer(Answer):
    """The next ten windows of what would be planned, and up to 200 subjects that they cover."""

    windows: list[PreviewedWindow]
    covered: list[CoveredAnswer]
