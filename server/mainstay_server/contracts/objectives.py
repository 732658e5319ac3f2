"""What objectives say: a budget of errors burns too fast, is calm again, is nearly or all spent."""

from datetime import datetime
from typing import ClassVar, Literal

from sqlalchemy.orm import Session
from typing_extensions import override

from mainstay_server.kernel.events import Audited, Event, Target
from mainstay_server.kernel.ports import port


@port
def is_burning(session: Session, objective_id: str, severity: str) -> bool:
    """Whether what was said to burn still does, for those who may hear of it late."""
    raise NotImplementedError


class ObjectiveTold(Event, frozen=True, kw_only=True):
    """The base of what is said of one objective, in order; `budget_left` is signed percent."""

    organization_id: str
    project_id: str
    instance_id: str
    objective_id: str
    name: str
    target_percent: float
    budget_left: float

    @property
    @override
    def subject(self) -> str:
        return self.objective_id


class ErrorBudgetBurning(ObjectiveTold, frozen=True, kw_only=True):
    """Both windows of a rule burn faster than it allows; said once per severity until it is calm.

    `burn` is over the long window: how many times faster than would use the budget up exactly at
    the end of its period. `exhausted_at` is when nothing is left, if it goes on so.
    """

    severity: Literal["page", "ticket"]
    long_hours: float
    burn: float
    factor: float
    exhausted_at: datetime | None


class ErrorBudgetCalm(ObjectiveTold, frozen=True, kw_only=True):
    """What burned too fast does not any more, over the long windows that had said so."""

    severity: Literal["page", "ticket"]


class ObjectiveStatusChanged(ObjectiveTold, frozen=True, kw_only=True):
    """The budget is nearly spent (`at_risk`, 20 %), spent (`exhausted`), or well again (`ok`)."""

    before: str
    after: Literal["ok", "at_risk", "exhausted"]


class ObjectiveEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said when somebody administers an objective."""

    noun: ClassVar[str] = "objective"
    project_id: str
    instance_id: str
    objective_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.objective_id, self.name)


class ObjectiveCreated(ObjectiveEvent, frozen=True, kw_only=True):
    """Somebody set an objective."""


class ObjectiveChanged(ObjectiveEvent, frozen=True, kw_only=True):
    """Somebody changed an objective; its history is judged by it as it is now."""


class ObjectiveRemoved(ObjectiveEvent, frozen=True, kw_only=True):
    """Somebody removed an objective; alerts about it end."""
