"""Shapes of the past: months, and what people say that it really was."""

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, ConfigDict, Field, model_validator

from mainstay_server.kernel.web.bodies import Answer, Body, Instant


class MonthAnswer(Answer):
    """A month (UTC). `uptime` is in percent of known time, null without any.

    `coverage` is known time in percent of all time outside of maintenance. A month that is not
    `frozen` may still change.
    """

    month: str
    uptime: float | None
    coverage: float | None
    maintenance_seconds: float
    seconds: dict[str, float]
    frozen: bool


class MonthsAnswer(Answer):
    """The newest months first."""

    months: list[MonthAnswer]


class NewCorrection(Body):
    """What a past range really was, and why that is said."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "state": "healthy",
                    "from": "2026-11-20T09:42:00Z",
                    "to": "2026-11-20T09:50:00Z",
                    "reason": "A firewall of ours kept the probe out; customers were served.",
                }
            ]
        }
    )

    state: Literal["healthy", "degraded", "unhealthy", "unknown"]
    since: Annotated[AwareDatetime, Field(alias="from")]
    until: Annotated[AwareDatetime, Field(alias="to")]
    reason: Annotated[str, Field(min_length=3, max_length=300)]

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.since >= self.until:
            raise ValueError("from must be before to")
        return self


class ReplacedSpell(Answer):
    """What had been recorded within the range of a correction."""

    state: str
    started_at: Instant
    ended_at: Instant
    reason: str


class CorrectionAnswer(Answer):
    """What somebody said of a past range, and what had been recorded."""

    id: str
    health_check_id: str
    state: str
    since: Instant = Field(alias="from", serialization_alias="from")
    until: Instant = Field(alias="to", serialization_alias="to")
    reason: str
    by: str
    at: Instant
    before: list[ReplacedSpell]


class CorrectionsAnswer(Answer):
    """Corrections, newest first."""

    corrections: list[CorrectionAnswer]
    next_cursor: str | None
