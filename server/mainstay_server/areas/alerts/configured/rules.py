"""What a document may hold of rules: when each type of alert fires."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Self

from pydantic import Field, model_validator
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import AlertType, Severity
from mainstay_server.areas.alerts.schemas.rules import WindowSeconds
from mainstay_server.areas.alerts.service import rules
from mainstay_server.kernel.configured import Configured, ConfiguredProject, Held, Shape


class RuleShape(Shape):
    """When a type of alert fires; what is no longer in a document has its default again."""

    KEY: ClassVar[tuple[str, ...]] = ("instance", "type")

    instance: str = Field("", max_length=64, description="Empty: where no instance has its own.")
    type: AlertType
    enabled: bool = True
    severity: Severity | None = Field(None, description="Default: that of the type.")
    threshold: float | None = Field(
        None, ge=0, le=1_000_000, description="Default: that of the type."
    )
    window_seconds: WindowSeconds = 300
    minimum_count: int | None = Field(
        None, ge=0, le=1_000_000, description="Default: that of the type."
    )
    runbook: str = Field("", max_length=500)

    @model_validator(mode="after")
    def _has_the_values_of_its_type(self) -> Self:
        default = rules.DEFAULTS[self.type]
        self.severity = self.severity or default.severity
        self.threshold = default.threshold if self.threshold is None else self.threshold
        if self.minimum_count is None:
            self.minimum_count = default.minimum_count
        return self


def export_rules(session: Session, project: ConfiguredProject) -> Sequence[Held]:
    """What was changed about the rules; the defaults are none of it."""
    return [
        Held(
            id=row.id,
            shape=RuleShape(
                instance=project.environment_of(row.instance_id),
                type=AlertType(row.type),
                enabled=row.enabled,
                severity=Severity(row.severity),
                threshold=row.threshold,
                window_seconds=row.window_seconds,
                minimum_count=row.minimum_count,
                runbook=row.runbook,
            ),
        )
        for row in rules.changed_rules(session, project.id)
    ]


def write_rule(
    session: Session,
    project: ConfiguredProject,
    wanted: RuleShape,
    rule_id: str | None,
    now: datetime,
) -> str:
    """Let a rule be exactly so."""
    _ = rule_id  # there is one of its type and reach, whose row stays
    changes = wanted.model_dump(exclude={"instance", "type"})
    about = _about(project, wanted.instance)
    rules.change_rule(session, about, wanted.type, changes, now=now)
    return rules.id_of(session, about, wanted.type)


def remove_rule(session: Session, project: ConfiguredProject, held: Held, now: datetime) -> None:
    """Let the default hold again."""
    instance, kind = held.shape.key
    rules.reset_rule(session, _about(project, instance), AlertType(kind), now=now)


def _about(project: ConfiguredProject, environment: str) -> tuple[str, str, str | None]:
    instance_id = project.instance(environment).id if environment else None
    return (project.organization_id, project.id, instance_id)


RULES = Configured(
    name="alertRules",
    title="alert rule",
    order=70,
    shape=RuleShape,
    export=export_rules,
    write=write_rule,
    remove=remove_rule,
)
