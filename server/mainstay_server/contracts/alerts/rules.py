"""What alerts say of the rules by which they fire, and of the runbooks that tell what to do."""

from typing import ClassVar

from typing_extensions import override

from mainstay_server.kernel.events import Audited, Target


class MeasureRuleEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of a rule over a measure; project-wide if `instance_id` is ""."""

    noun: ClassVar[str] = "measure_rule"
    project_id: str
    instance_id: str
    rule_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.rule_id, self.name)


class MeasureRuleCreated(MeasureRuleEvent, frozen=True, kw_only=True):
    """Somebody wrote a rule over a measure."""


class MeasureRuleChanged(MeasureRuleEvent, frozen=True, kw_only=True):
    """Somebody changed a rule over a measure, or a default for a project."""


class MeasureRuleRemoved(MeasureRuleEvent, frozen=True, kw_only=True):
    """Somebody removed a rule over a measure, or took a default as it ships again."""


class EventRuleEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of a rule over what people administer."""

    noun: ClassVar[str] = "event_rule"
    project_id: str
    rule_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.rule_id, self.name)


class EventRuleCreated(EventRuleEvent, frozen=True, kw_only=True):
    """Somebody wrote which audited actions are an alert."""


class EventRuleChanged(EventRuleEvent, frozen=True, kw_only=True):
    """Somebody changed which audited actions are an alert."""


class EventRuleRemoved(EventRuleEvent, frozen=True, kw_only=True):
    """Somebody removed a rule over what people administer."""


class RunbookEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of a runbook of a project."""

    noun: ClassVar[str] = "runbook"
    project_id: str
    runbook_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.runbook_id, self.name)


class RunbookCreated(RunbookEvent, frozen=True, kw_only=True):
    """Somebody wrote down what to do when an alert fires."""


class RunbookChanged(RunbookEvent, frozen=True, kw_only=True):
    """Somebody changed what to do when an alert fires."""


class RunbookRemoved(RunbookEvent, frozen=True, kw_only=True):
    """Somebody removed a runbook."""


class AlertRuleChanged(Audited, frozen=True, kw_only=True):
    """Somebody changed when alerts of a type fire; project-wide if `instance_id` is ""."""

    noun: ClassVar[str] = "alert_rule"
    project_id: str
    instance_id: str
    type: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.type, self.type)
