"""What a document may hold of on call: schedules, and the policies of a project and its instances.

Policies for all projects are the organization's: no one project declares them. Schedules are its
own, too, and a document of one project holds those that no policy of another tells. A document
names schedules by their names and people by their e-mail addresses.
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
from mainstay_server.kernel.problems import Conflict, Invalid
from mainstay_server.kernel.web.bodies import Body

from .models import EscalationPolicy, OnCallSchedule
from .schemas.fields import Name
from .schemas.policies import MOST_STEPS, StepBody, StepKind
from .schemas.schedules import MOST_LAYERS, MOST_TURNS, Clock, Day, LayerBody, Rotates
from .service import policies, schedules
from .service.people import Member, members_of

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


class LayerShape(Body):
    """A rotation as `PUT /api/on-call/schedules` takes it, with people by their addresses."""

    name: Name
    people: list[str] = Field(
        min_length=1, max_length=MOST_TURNS, examples=[["ada@example.com"]], description="In turn."
    )
    rotates: Rotates = "weekly"
    every: int = Field(1, ge=1, le=720)
    starts_at: str = Field(max_length=19, examples=["2026-12-07T09:00"])
    days: list[Day] = Field(default_factory=list, max_length=7)
    from_time: Clock = ""
    to_time: Clock = ""

    @model_validator(mode="after")
    def _is_as_it_is_kept(self) -> Self:
        self.people = [each.strip().lower() for each in self.people]
        self.starts_at = self.told(self.people).starts_at
        return self

    def told(self, person_ids: Sequence[str], id_: str = "") -> LayerBody:
        """The layer with people by their ids. Raises ValueError for one that cannot be."""
        values = self.model_dump(exclude={"people"})
        return LayerBody(id=id_, person_ids=[each[:36] for each in person_ids], **values)


class ScheduleShape(Shape):
    """Who is on call when. Calendars and overrides of it are left as they are."""

    name: Name
    time_zone: str = Field("UTC", max_length=60)
    layers: list[LayerShape] = Field(default_factory=list, max_length=MOST_LAYERS)

    @model_validator(mode="after")
    def _is_as_it_is_kept(self) -> Self:
        self.name = " ".join(self.name.split())
        names = [layer.name for layer in self.layers]
        if len(set(names)) < len(names):
            raise ValueError("layers have names of their own within a schedule")
        return self


def export_schedules(session: Session, project: ConfiguredProject) -> Sequence[Held]:
    """The schedules of the organization that no policy of another project tells."""
    members = members_of(session, project.organization_id)
    found = _own_schedules(session, project)
    names = numbered((None, one.name) for one in found)
    return [
        Held(
            id=one.id,
            shape=ScheduleShape.model_construct(
                name=name, time_zone=one.time_zone, layers=_layers(one, members)
            ),
        )
        for one, name in zip(found, names, strict=True)
    ]


def write_schedule(
    session: Session,
    project: ConfiguredProject,
    wanted: ScheduleShape,
    schedule_id: str | None,
    now: datetime,
) -> str:
    """Make a schedule, or let its layers be exactly so; a layer that stays keeps its id."""
    organization_id = project.organization_id
    if schedule_id is None:
        _refuse_shared(session, project, wanted.name)
        values = _schedule_values(session, organization_id, wanted, {})
        return schedules.make_schedule(session, organization_id, values, now=now).id
    schedule = schedules.get_schedule(session, organization_id, schedule_id, locked=True)
    present = {layer.name: layer.id for layer in schedules.layers_of(schedule)}
    values = _schedule_values(session, organization_id, wanted, present)
    del values["name"]  # it is known by it; one of two alike is told apart by a number
    return schedules.change_schedule(session, schedule, values, now=now).id


def remove_schedule(
    session: Session, project: ConfiguredProject, held: Held, now: datetime
) -> None:
    """Remove a schedule with its overrides and calendars."""
    schedule = schedules.get_schedule(session, project.organization_id, held.id)
    schedules.remove_schedule(session, schedule, now=now)


def _own_schedules(session: Session, project: ConfiguredProject) -> list[OnCallSchedule]:
    organization_id = project.organization_id
    page = schedules.list_schedules(session, organization_id, limit=schedules.MOST_SCHEDULES)
    elsewhere = policies.schedules_told_elsewhere(session, organization_id, project.id)
    return [one for one in page.items if one.id not in elsewhere]


def _refuse_shared(session: Session, project: ConfiguredProject, name: str) -> None:
    """Refuse a second schedule of the name of one that other projects have."""
    organization_id = project.organization_id
    page = schedules.list_schedules(session, organization_id, limit=schedules.MOST_SCHEDULES)
    if any(one.name == name for one in page.items):
        message = (
            f"the schedule {name!r} is told by policies of other projects, too, and no document of"
            " one project holds it; take it out of this one, or choose another name"
        )
        raise Conflict.of_field("name", message)


def _layers(schedule: OnCallSchedule, members: Mapping[str, Member]) -> list[LayerShape]:
    """The layers by people's addresses, without those who left and without what is then empty."""
    found = []
    names = numbered((None, layer.name) for layer in schedules.layers_of(schedule))
    for layer, name in zip(schedules.layers_of(schedule), names, strict=True):
        people = [members[id_].email for id_ in layer.person_ids if id_ in members]
        if people:
            values = layer.model_dump(exclude={"id", "name", "person_ids"})
            found.append(LayerShape.model_construct(name=name, people=people, **values))
    return found


def _schedule_values(
    session: Session, organization_id: str, wanted: ScheduleShape, ids: Mapping[str, str]
) -> dict[str, Any]:
    by_email = {one.email: one.id for one in members_of(session, organization_id).values()}
    people = [each for layer in wanted.layers for each in layer.people]
    if strange := [each for each in people if each not in by_email]:
        message = f"{strange[0]!r} is no member of the organization; invite them first"
        raise Invalid.of_field("layers", message)
    layers = [
        layer.told([by_email[each] for each in layer.people], ids.get(layer.name, ""))
        for layer in wanted.layers
    ]
    return {
        "name": wanted.name,
        "time_zone": wanted.time_zone,
        "layers": [layer.model_dump() for layer in layers],
    }


SCHEDULES = Configured(
    name="onCallSchedules",
    title="on-call schedule",
    order=79,
    shape=ScheduleShape,
    export=export_schedules,
    write=write_schedule,
    remove=remove_schedule,
    guarded=True,
)
POLICIES = Configured(
    name="escalationPolicies",
    title="escalation policy",
    order=80,
    shape=PolicyShape,
    export=export_policies,
    write=write_policy,
    remove=remove_policy,
)
