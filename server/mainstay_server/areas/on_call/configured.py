"""What a document may hold of on call: the escalation policies of a project and its instances.

Schedules are the organization's, and so are policies for all projects: no one project declares
them. A document names schedules by their names and people by their e-mail addresses.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator
from sqlalchemy.orm import Session

from mainstay_server.contracts.alerts.severities import Severity
from mainstay_server.kernel.configured import (
    Configured,
    ConfiguredProject,
    Held,
    Shape,
    numbered,
)
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.web.bodies import Body

from .models import EscalationPolicy
from .schemas.fields import Name
from .schemas.policies import MOST_STEPS, StepBody, StepKind
from .service import policies, schedules
from .service.people import members_of

NAMES = {"schedule": "schedule_id", "person": "person_id", "channel": "channel_id"}


class PolicyStepShape(Body):
    """One step: what is done, to whom, and how many minutes pass before the next one."""

    kind: StepKind
    to: str = Field(
        "",
        max_length=254,
        examples=["Primary"],
        description="A schedule's name, a person's e-mail address, a channel's id, or an action.",
    )
    wait_minutes: int = Field(5, ge=0, le=1440)


class PolicyShape(Shape):
    """What happens of alerts of a project, or one instance, until somebody acknowledges them."""

    KEY: ClassVar[tuple[str, ...]] = ("instance", "name")

    instance: str = Field("", max_length=64, description="Empty: the whole project.")
    name: Name
    enabled: bool = True
    minimum_severity: Severity = Severity.CRITICAL
    steps: list[PolicyStepShape] = Field(min_length=1, max_length=MOST_STEPS)
    repeat: int = Field(0, ge=0, le=10)
    acknowledge_timeout_minutes: int = Field(0, ge=0, le=10_080)

    @model_validator(mode="after")
    def _is_as_it_is_kept(self) -> Self:
        self.name = " ".join(self.name.split())
        for step in self.steps:
            to = step.to.strip()
            step.to = to.lower() if step.kind == "person" else to
        return self


def export_policies(session: Session, project: ConfiguredProject) -> Sequence[Held]:
    """Every policy of the project and its instances."""
    found = policies.policies_of_project(session, project.id)
    names = numbered((one.instance_id, one.name) for one in found)
    words = _words(session, project.organization_id)
    return [
        Held(id=one.id, shape=_shape(project, one, name, words))
        for one, name in zip(found, names, strict=True)
    ]


def write_policy(
    session: Session,
    project: ConfiguredProject,
    wanted: PolicyShape,
    policy_id: str | None,
    now: datetime,
) -> str:
    """Make a policy, or change it for alerts that open from now on."""
    ids = {word: id_ for id_, word in reversed(_words(session, project.organization_id).items())}
    values = wanted.model_dump(exclude={"instance", "steps"})
    values["steps"] = [_step(step, ids) for step in wanted.steps]
    if policy_id is not None:
        policy = policies.get_policy(session, project.organization_id, policy_id)
        return policies.change_policy(session, policy, values, now=now).id
    values["project_id"] = project.id
    if wanted.instance:
        values["instance_id"] = project.instance(wanted.instance).id
    return policies.make_policy(session, project.organization_id, values, now=now).id


def remove_policy(session: Session, project: ConfiguredProject, held: Held, now: datetime) -> None:
    """Escalate no further alert by it."""
    policy = policies.get_policy(session, project.organization_id, held.id)
    policies.remove_policy(session, policy, now=now)


def _words(session: Session, organization_id: str) -> dict[tuple[str, str], tuple[str, str]]:
    """How documents name what steps tell: `(kind, id)` to `(kind, word)`."""
    page = schedules.list_schedules(session, organization_id, limit=schedules.MOST_SCHEDULES)
    people = members_of(session, organization_id).values()
    return {("schedule", one.id): ("schedule", one.name) for one in page.items} | {
        ("person", one.id): ("person", one.email) for one in people
    }


def _shape(
    project: ConfiguredProject,
    policy: EscalationPolicy,
    name: str,
    words: Mapping[tuple[str, str], tuple[str, str]],
) -> PolicyShape:
    steps = [StepBody.model_validate(each) for each in policy.steps]
    return PolicyShape.model_construct(
        instance=project.environment_of(policy.instance_id),
        name=name,
        enabled=policy.enabled,
        minimum_severity=Severity(policy.minimum_severity),
        steps=[
            PolicyStepShape(kind=step.kind, to=_to(step, words), wait_minutes=step.wait_minutes)
            for step in steps
        ],
        repeat=policy.repeat,
        acknowledge_timeout_minutes=policy.acknowledge_timeout_minutes,
    )


def _to(step: StepBody, words: Mapping[tuple[str, str], tuple[str, str]]) -> str:
    """What a document calls the target of a step; "" for one that is gone."""
    if step.kind in ("action", "channel"):
        return step.target
    return words.get((step.kind, step.target), ("", ""))[1]


def _step(step: PolicyStepShape, ids: Mapping[tuple[str, str], tuple[str, str]]) -> dict[str, Any]:
    values: dict[str, Any] = {"kind": step.kind, "wait_minutes": step.wait_minutes}
    if step.kind == "action":
        return values | {"action": step.to}
    target = step.to
    if step.kind in ("schedule", "person"):
        found = ids.get((step.kind, step.to))
        if found is None:
            raise Invalid.of_field(
                "steps", f"there is no {step.kind} {step.to!r} in the organization"
            )
        target = found[1]
    return values | {NAMES[step.kind]: target}


POLICIES = Configured(
    name="escalationPolicies",
    title="escalation policy",
    order=80,
    shape=PolicyShape,
    export=export_policies,
    write=write_policy,
    remove=remove_policy,
)
