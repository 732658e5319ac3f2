"""Escalation policies in documents: schedules by their names, people by their addresses."""

from typing import Any

import pytest
from mainstay_server.areas.on_call.configured import POLICIES, SCHEDULES, PolicyShape, ScheduleShape
from mainstay_server.areas.on_call.service import policies, schedules
from mainstay_server.contracts.alerts import channels_of_organization
from mainstay_server.kernel.configured import ConfiguredProject, Held, written
from mainstay_server.kernel.ports import forget_answers, install_answers
from mainstay_server.kernel.problems import Conflict, Invalid
from pydantic import ValidationError
from sqlalchemy.orm import Session
from tests.world import a_project, configured_project

from .worlds import NOON, OPS, a_layer, a_member, a_policy, a_schedule, tells_schedule


@pytest.fixture
def project(session: Session) -> ConfiguredProject:
    instance = a_project(session, now=NOON)
    anna = a_member(session, instance.organization_id, "Anna")
    a_schedule(session, instance.organization_id, a_layer(anna.id))
    return configured_project(instance)


def shape(**fields: Any) -> PolicyShape:
    usual: dict[str, Any] = {
        "instance": "production",
        "name": "Wake somebody",
        "steps": [
            {"kind": "action", "to": "restart", "waitMinutes": 2},
            {"kind": "schedule", "to": "Primary"},
            {"kind": "person", "to": "anna@ships.example", "waitMinutes": 15},
        ],
    }
    return PolicyShape.model_validate(usual | fields)


def only(session: Session, project: ConfiguredProject) -> Held:
    (held,) = POLICIES.export(session, project)
    return held


def test_a_policy_is_held_as_it_was_written(session: Session, project: ConfiguredProject) -> None:
    POLICIES.write(session, project, shape(), None, NOON)
    made = only(session, project)
    assert made.shape == shape()
    POLICIES.write(session, project, shape(repeat=2, minimumSeverity="low"), made.id, NOON)
    changed = only(session, project)
    assert (changed.id, changed.shape) == (made.id, shape(repeat=2, minimumSeverity="low"))
    POLICIES.remove(session, project, changed, NOON)
    assert POLICIES.export(session, project) == []


def test_one_of_the_whole_project_is_held_and_one_of_all_projects_is_not(
    session: Session, project: ConfiguredProject
) -> None:
    POLICIES.write(session, project, shape(instance=""), None, NOON)
    everywhere = {"name": "All", "steps": [{"kind": "action"}], "repeat": 0}
    settings = {"minimum_severity": "low", "acknowledge_timeout_minutes": 0, "enabled": True}
    policies.make_policy(session, project.organization_id, everywhere | settings, now=NOON)
    assert only(session, project).shape == shape(instance="")


@pytest.mark.parametrize(
    "step",
    [{"kind": "schedule", "to": "Nights"}, {"kind": "person", "to": "x@ships.example"},
     {"kind": "person"}],
)  # fmt: skip
def test_a_step_that_tells_nobody_known_is_refused(
    session: Session, project: ConfiguredProject, step: dict[str, str]
) -> None:
    with pytest.raises(Invalid) as refused:
        POLICIES.write(session, project, shape(steps=[step]), None, NOON)
    assert refused.value.errors[0]["field"] == "steps"


def test_a_policy_whose_schedule_is_gone_can_still_be_exported(
    session: Session, project: ConfiguredProject
) -> None:
    POLICIES.write(session, project, shape(), None, NOON)
    (primary,) = schedules.list_schedules(session, project.organization_id).items
    schedules.remove_schedule(session, primary, now=NOON)
    session.flush()
    held = only(session, project).shape
    assert isinstance(held, PolicyShape)
    assert [step.to for step in held.steps] == ["restart", "", "anna@ships.example"]


def test_a_step_that_tells_a_channel_is_refused_where_there_is_no_such_channel(
    session: Session, project: ConfiguredProject
) -> None:
    wanted = shape(steps=[{"kind": "channel", "to": "ops"}])
    with pytest.raises(Invalid, match="no alert channel of yours") as refused:
        POLICIES.write(session, project, wanted, None, NOON)
    assert refused.value.errors[0]["field"] == "steps"

    install_answers((channels_of_organization.answered_by(lambda *_: [OPS]),))
    POLICIES.write(session, project, wanted, None, NOON)
    forget_answers()
    assert only(session, project).shape == wanted


def rota(**fields: Any) -> ScheduleShape:
    usual: dict[str, Any] = {
        "name": "Nights",
        "timeZone": "Europe/Berlin",
        "layers": [
            {
                "name": "Turns",
                "people": ["Anna@Ships.example"],
                "startsAt": "2026-01-05T09:00:00",
                "days": ["SA", "SU"],
                "fromTime": "09:00",
                "toTime": "21:00",
            }
        ],
    }
    return ScheduleShape.model_validate(usual | fields)


def rotas(session: Session, project: ConfiguredProject) -> dict[str, Held]:
    return {held.shape.key[0]: held for held in SCHEDULES.export(session, project)}


def test_a_schedule_is_held_as_it_was_written_changed_and_removed(
    session: Session, project: ConfiguredProject
) -> None:
    made = SCHEDULES.write(session, project, rota(), None, NOON)
    held = rotas(session, project)["Nights"]
    assert (held.id, held.shape) == (made, rota())
    assert ScheduleShape.model_validate(written(held.shape)) == rota()
    (layer,) = schedules.get_schedule(session, project.organization_id, made).layers

    changed = rota(timeZone="UTC", layers=[rota().layers[0].model_copy(update={"every": 2})])
    SCHEDULES.write(session, project, changed, made, NOON)
    assert rotas(session, project)["Nights"].shape == changed
    (kept,) = schedules.get_schedule(session, project.organization_id, made).layers
    assert (kept["id"], kept["every"]) == (layer["id"], 2)
    SCHEDULES.remove(session, project, rotas(session, project)["Nights"], NOON)
    assert set(rotas(session, project)) == {"Primary"}


def test_a_schedule_that_other_projects_are_told_by_is_no_document_s(
    session: Session, project: ConfiguredProject
) -> None:
    (primary,) = schedules.list_schedules(session, project.organization_id).items
    a_policy(session, project.organization_id, tells_schedule(primary), project_id=project.id)
    assert set(rotas(session, project)) == {"Primary"}
    a_policy(session, project.organization_id, tells_schedule(primary), name="For all")
    assert rotas(session, project) == {}
    with pytest.raises(Conflict) as refused:
        SCHEDULES.write(session, project, rota(name="Primary"), None, NOON)
    assert refused.value.errors[0]["field"] == "name"


def test_who_left_is_in_no_export_and_a_stranger_in_no_schedule(
    session: Session, project: ConfiguredProject
) -> None:
    gone = a_layer("0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c", name="Old")
    (primary,) = schedules.list_schedules(session, project.organization_id).items
    primary.layers = [*primary.layers, gone.model_dump()]
    session.flush()
    held = rotas(session, project)["Primary"].shape
    assert isinstance(held, ScheduleShape)
    assert [layer.name for layer in held.layers] == ["Turns"]
    strange = rota().layers[0].model_copy(update={"people": ["x@ships.example"]})
    with pytest.raises(Invalid, match="no member"):
        SCHEDULES.write(session, project, rota(layers=[strange]), None, NOON)


@pytest.mark.parametrize(
    "wrong",
    [
        {"startsAt": "Monday"},
        {"people": []},
        {"every": 61, "rotates": "daily"},
        {"fromTime": ""},
        {"days": ["MON"]},
    ],
)
def test_a_layer_that_cannot_be_is_refused_in_the_document(wrong: dict[str, Any]) -> None:
    layer = rota().layers[0].model_dump(by_alias=True)
    with pytest.raises(ValidationError):
        rota(layers=[layer | wrong])
    with pytest.raises(ValidationError):
        rota(layers=[layer, layer])
