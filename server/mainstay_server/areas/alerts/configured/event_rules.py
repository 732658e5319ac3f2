"""What a document may hold of rules over what people administer."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.schemas.event_rules import EventRuleValue
from mainstay_server.areas.alerts.service import event_rules
from mainstay_server.kernel.configured import Configured, ConfiguredProject, Held, Shape

from .projects import ref_of


class EventRuleShape(Shape, EventRuleValue):
    """A rule over what people administer in the project."""


def export_event_rules(session: Session, project: ConfiguredProject) -> Sequence[Held]:
    """The rules that the project wrote."""
    return [
        Held(id=rule.id, shape=EventRuleShape(**event_rules.value_of(rule).model_dump()))
        for rule in event_rules.list_rules(session, project.id)
    ]


def write_event_rule(
    session: Session,
    project: ConfiguredProject,
    wanted: EventRuleShape,
    rule_id: str | None,
    now: datetime,
) -> str:
    """Let a rule be exactly so."""
    value = EventRuleValue(**wanted.model_dump())
    about = ref_of(session, project)
    return event_rules.write_rule(session, about, rule_id, value, now=now).id


def remove_event_rule(
    session: Session, project: ConfiguredProject, held: Held, now: datetime
) -> None:
    """Remove a rule."""
    event_rules.remove_rule(session, ref_of(session, project), held.id, now=now)


EVENT_RULES = Configured(
    name="eventRules",
    title="rule over what people administer",
    order=76,
    shape=EventRuleShape,
    export=export_event_rules,
    write=write_event_rule,
    remove=remove_event_rule,
)
