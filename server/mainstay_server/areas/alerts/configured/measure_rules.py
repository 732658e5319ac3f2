"""What a document may hold of rules over measures, and of changed defaults."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import Field
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.schemas.measure_rules import MeasureRuleValue
from mainstay_server.areas.alerts.service.measures import measure_rules
from mainstay_server.kernel.configured import Configured, ConfiguredProject, Held, Shape

from .projects import ref_of


class MeasureRuleShape(Shape, MeasureRuleValue):
    """A rule over a measure: of one instance, or of the whole project."""

    instance: str = Field("", max_length=64, description="Empty: of every instance.")
    default: str = Field(
        "", max_length=40, description="The key of the default that it changes; empty: of its own."
    )


def export_measure_rules(session: Session, project: ConfiguredProject) -> Sequence[Held]:
    """The rules that the project wrote, and what it changed about defaults."""
    return [
        Held(
            id=rule.id,
            shape=MeasureRuleShape(
                **rule.value.model_dump(),
                instance=project.environment_of(rule.instance_id),
                default=rule.default.key if rule.default else "",
            ),
        )
        for rule in measure_rules.list_rules(session, project.id)
        if rule.changed_at is not None
    ]


def write_measure_rule(
    session: Session,
    project: ConfiguredProject,
    wanted: MeasureRuleShape,
    rule_id: str | None,
    now: datetime,
) -> str:
    """Let a rule be exactly so."""
    value = MeasureRuleValue(**wanted.model_dump(exclude={"instance", "default"}))
    about = ref_of(session, project)
    instance_id = project.instance(wanted.instance).id if wanted.instance else None
    if rule_id is None and not wanted.default:
        return measure_rules.create_rule(session, about, instance_id, value, now=now).id
    before = measure_rules.get_rule(session, project.id, rule_id or wanted.default)
    return measure_rules.write_rule(
        session, about, before, value, instance_id=instance_id, now=now
    ).id


def remove_measure_rule(
    session: Session, project: ConfiguredProject, held: Held, now: datetime
) -> None:
    """Remove a rule, or take a default as it ships again."""
    measure_rules.remove_rule(session, ref_of(session, project), held.id, now=now)


MEASURE_RULES = Configured(
    name="measureRules",
    title="rule over a measure",
    order=75,
    shape=MeasureRuleShape,
    export=export_measure_rules,
    write=write_measure_rule,
    remove=remove_measure_rule,
)
