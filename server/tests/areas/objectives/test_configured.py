"""Objectives in documents: by name of what they are counted by."""

from typing import Any

import pytest
import sqlalchemy as sa
from mainstay_server.areas import heartbeats, objectives
from mainstay_server.areas.heartbeats.service.making import make_heartbeat
from mainstay_server.areas.objectives.configured import OBJECTIVES, ObjectiveShape
from mainstay_server.areas.objectives.models import Objective
from mainstay_server.areas.objectives.schemas import ObjectiveBody
from mainstay_server.kernel.area import install
from mainstay_server.kernel.configured import ConfiguredProject, Held
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.watching import list_watched
from pydantic import ValidationError
from sqlalchemy.orm import Session
from tests.world import NOON_YESTERDAY as NOON
from tests.world import a_project, configured_project


@pytest.fixture
def project(session: Session) -> ConfiguredProject:
    install((heartbeats.area, objectives.area))
    instance = a_project(session, now=NOON)
    for name in ("Nightly backup", "Invoices"):
        make_heartbeat(session, instance, {"name": name}, now=NOON)
    return configured_project(instance)


def shape(**fields: Any) -> ObjectiveShape:
    usual: dict[str, Any] = {
        "instance": "production",
        "name": "Backups run",
        "source": "watched",
        "subject": "production/Nightly backup",
    }
    return ObjectiveShape.model_validate(usual | fields)


def only(session: Session, project: ConfiguredProject) -> Held:
    (held,) = OBJECTIVES.export(session, project)
    return held


def test_an_objective_is_held_as_it_was_written(
    session: Session, project: ConfiguredProject
) -> None:
    OBJECTIVES.write(session, project, shape(), None, NOON)
    made = only(session, project)
    assert made.shape == shape()
    OBJECTIVES.write(session, project, shape(targetPercent=99.5, period="7d"), made.id, NOON)
    changed = only(session, project)
    assert (changed.id, changed.shape) == (made.id, shape(targetPercent=99.5, period="7d"))
    other = shape(subject="production/Invoices")
    OBJECTIVES.write(session, project, other, made.id, NOON)
    anew = only(session, project)
    assert (anew.shape, anew.id != made.id) == (other, True)
    OBJECTIVES.remove(session, project, anew, NOON)
    assert OBJECTIVES.export(session, project) == []


def test_what_is_counted_by_nothing_is_refused(
    session: Session, project: ConfiguredProject
) -> None:
    with pytest.raises(Invalid, match="nothing is watched"):
        OBJECTIVES.write(session, project, shape(subject="production/nothing"), None, NOON)
    wrongs: list[dict[str, Any]] = [
        {"subject": ""},
        {"subject": "staging/Invoices"},
        {"source": "requests"},
        {"targetPercent": 100},
    ]
    for wrong in wrongs:
        with pytest.raises(ValidationError):
            shape(**wrong)


def test_whatever_an_objective_can_be_told_a_document_can_say() -> None:
    by_name = {"environment": "instance", "subject_id": "subject"}
    told = {by_name.get(name, name) for name in ObjectiveBody.model_fields}
    assert told <= set(ObjectiveShape.model_fields)


def test_what_shares_its_name_with_another_stays_what_an_objective_is_counted_by(
    session: Session, project: ConfiguredProject
) -> None:
    make_heartbeat(session, project.instance("production"), {"name": "Invoices"}, now=NOON)
    first, second = (
        each.id for each in list_watched(session, project.id) if each.name == "Invoices"
    )
    OBJECTIVES.write(session, project, shape(subject="production/Invoices"), None, NOON)
    objective = session.scalars(sa.select(Objective)).one()
    assert objective.subject_id == first

    objective.subject_id = second
    held = only(session, project)
    assert held.shape == shape(subject="production/Invoices")
    assert OBJECTIVES.write(session, project, held.shape, held.id, NOON) == held.id
    assert objective.subject_id == second
