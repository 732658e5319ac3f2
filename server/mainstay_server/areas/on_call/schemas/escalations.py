"""Escalations as the API answers, and the mails of them that are due."""

from typing import Literal

from pydantic import Field
from typing_extensions import override

from mainstay_server.kernel.events import Event
from mainstay_server.kernel.web.bodies import Answer, Instant

from .fields import AN_ID


class EscalationNoticeDue(Event, frozen=True, kw_only=True):
    """One mail has to leave; a person hears of one alert in order."""

    notice_id: str
    escalation_id: str
    person_id: str

    @property
    @override
    def subject(self) -> str:
        return f"{self.escalation_id}:{self.person_id}"


class EscalationAnswer(Answer):
    """An alert on its way through the steps of a policy."""

    id: str = Field(examples=[AN_ID])
    alert_id: str = Field(examples=[AN_ID])
    project_id: str = Field(examples=[AN_ID])
    instance_id: str = Field(examples=[AN_ID])
    title: str = Field(examples=["shop production is down"])
    severity: str = Field(examples=["critical"])
    policy: str = Field(examples=["Wake somebody"])
    state: Literal["running", "acknowledged", "unanswered", "ended"]
    round: int = Field(examples=[1])
    step: int = Field(examples=[2], description="The step that comes next, from 1 on.")
    due_at: Instant | None
    opened_at: Instant
    acknowledged_at: Instant | None
    acknowledged_by: str = Field(examples=["Anna Arendt"])
    ended_at: Instant | None


class EscalationsAnswer(Answer):
    """Escalations, the newest first."""

    escalations: list[EscalationAnswer]
    next_cursor: str | None = None


class LineAnswer(Answer):
    """One thing that happened."""

    at: Instant
    text: str = Field(examples=["Step 1: told Anna Arendt, who is on call in Primary."])


class EscalationWithLog(EscalationAnswer):
    """An escalation with all that happened in it, the oldest first; at most 500 lines."""

    log: list[LineAnswer]
