"""Shapes of the scorecard."""

from enum import StrEnum

from pydantic import Field

from mainstay_server.kernel.web.bodies import Answer, Instant


class Status(StrEnum):
    """`unknown`: the question could not be asked now, which is not the same as a bad answer."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "notApplicable"
    UNKNOWN = "unknown"


class CheckResult(Answer):
    """One question and its answer; `fix` is the one next step and empty unless it failed."""

    id: str = Field(examples=["alerts.has_channel"])
    area: str = Field(examples=["Alerts"])
    question: str = Field(examples=["Is somebody told when this breaks?"])
    weight: str = Field(examples=["must"])
    status: Status
    evidence: str = Field(examples=["1 channel is on: a webhook."])
    fix: str = Field(examples=[""])
    fix_url: str = Field(examples=[""])


class Scorecard(Answer):
    """All questions about one instance. `ready` is true when no `must` failed or is unknown."""

    instance_id: str = Field(examples=["0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"])
    environment: str = Field(examples=["production"])
    asked_at: Instant
    ready: bool
    passed: int = Field(examples=[9])
    asked: int = Field(examples=[9])
    checks: list[CheckResult]
