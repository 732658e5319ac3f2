"""Policies as people write them and the API answers: whom each step tells, and when."""

from typing import Literal

from pydantic import ConfigDict, Field, model_validator
from typing_extensions import Self

from mainstay_server.contracts.alerts.severities import Severity
from mainstay_server.kernel.web.bodies import Answer, Body, Instant

from .fields import AN_ID, Id, Name

MOST_STEPS = 20

StepKind = Literal["schedule", "person", "channel", "action"]


class StepBody(Body):
    """One step of a policy.

    `schedule` tells who is on call at that moment, `person` one person, `channel` an alert
    channel, `action` starts an automatic action. Of the ids, the one that fits `kind` is given.
    After it, so many minutes pass for an acknowledgement before the next step.
    """

    kind: StepKind
    wait_minutes: int = Field(5, ge=0, le=1440)
    schedule_id: Id = ""
    person_id: Id = ""
    channel_id: Id = ""
    action: str = Field("", max_length=100, description="Empty: whichever fits the alert.")

    @model_validator(mode="after")
    def _names_its_target(self) -> Self:
        if self.kind != "action" and not self.target:
            raise ValueError(f"a step of the kind {self.kind} needs {self.kind}Id")
        return self

    @property
    def target(self) -> str:
        """The id, or the name of the action, that the kind asks for."""
        return {
            "schedule": self.schedule_id,
            "person": self.person_id,
            "channel": self.channel_id,
            "action": self.action,
        }[self.kind]


class PolicyBody(Body):
    """An escalation policy: for one instance, one project, or without both for all of them.

    `repeat` is how often all steps come again. With `acknowledgeTimeoutMinutes`, an
    acknowledgement counts so long, and then the steps go on; 0: until the alert is over.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Wake somebody",
                    "minimumSeverity": "critical",
                    "steps": [{"kind": "action", "waitMinutes": 5}],
                    "repeat": 1,
                }
            ]
        }
    )

    name: Name
    project_id: Id | None = None
    instance_id: Id | None = None
    enabled: bool = True
    minimum_severity: Severity = Severity.CRITICAL
    steps: list[StepBody] = Field(min_length=1, max_length=MOST_STEPS)
    repeat: int = Field(0, ge=0, le=10)
    acknowledge_timeout_minutes: int = Field(0, ge=0, le=10_080)


class PolicyChanges(Body):
    """What to change; alerts that are being escalated go on as they began."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"repeat": 2}]})

    name: Name | None = None
    enabled: bool | None = None
    minimum_severity: Severity | None = None
    steps: list[StepBody] | None = Field(None, min_length=1, max_length=MOST_STEPS)
    repeat: int | None = Field(None, ge=0, le=10)
    acknowledge_timeout_minutes: int | None = Field(None, ge=0, le=10_080)


class PolicyAnswer(Answer):
    """An escalation policy."""

    id: str = Field(examples=[AN_ID])
    name: str = Field(examples=["Wake somebody"])
    project_id: str | None = Field(examples=[AN_ID])
    instance_id: str | None = Field(examples=[None])
    enabled: bool
    minimum_severity: str = Field(examples=["critical"])
    steps: list[StepBody]
    repeat: int = Field(examples=[1])
    acknowledge_timeout_minutes: int = Field(examples=[0])
    created_at: Instant


class PoliciesAnswer(Answer):
    """The policies of an organization, by name."""

    policies: list[PolicyAnswer]
    next_cursor: str | None = None
