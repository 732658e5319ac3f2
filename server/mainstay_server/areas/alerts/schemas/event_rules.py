"""Shapes of rules over what people administer."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from mainstay_server.areas.alerts.models import Severity
from mainstay_server.kernel.web import Answer, Body
from mainstay_server.kernel.web.bodies import Instant

MOST_FIELDS = 5
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Action = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[a-z0-9_.*?]+$")]
FieldName = Annotated[str, StringConstraints(min_length=1, max_length=60)]
Fields = Annotated[dict[FieldName, Pattern], Field(max_length=MOST_FIELDS)]


class EventRuleValue(Body):
    """Which audited actions are an alert: a pattern of the action, and of up to five fields.

    In patterns `*` is any text and `?` one character. Fields are `target`, `actor`, `email`,
    what an event tells beside them, and `changes.…` for the new value of what was changed.
    """

    name: str = Field(min_length=1, max_length=100, examples=["A backup target was removed"])
    action: Action = Field(examples=["backup_target.removed"])
    fields: Fields = Field(default_factory=dict, examples=[{"actor": "ann*"}])
    severity: Severity = Severity.WARNING
    enabled: bool = True
    runbook: str = Field("", max_length=500)


class EventRuleChange(Body):
    """What to change of such a rule; what is left out stays."""

    name: str | None = Field(None, min_length=1, max_length=100)
    action: Action | None = None
    fields: Fields | None = None
    severity: Severity | None = None
    enabled: bool | None = None
    runbook: str | None = Field(None, max_length=500)

    def given(self) -> dict[str, Any]:
        """The fields that were given."""
        return self.model_dump(exclude_none=True)


class EventRuleAnswer(EventRuleValue, Answer):
    """One rule over what people administer."""

    id: str
    changed_at: Instant


class EventRuleList(Answer):
    """The rules of a project over what people administer, by name."""

    rules: list[EventRuleAnswer]
    next_cursor: str | None = None
