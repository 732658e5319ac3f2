"""Maintenance in documents: what is planned, by names, and windows that are over."""

from typing import Any

import pytest
from mainstay_server.areas.maintenance.configured import MAINTENANCE, MaintenanceShape
from mainstay_server.areas.maintenance.schemas import MaintenanceBody
from mainstay_server.kernel.area import install
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.configured import ConfiguredProject, Held
from mainstay_server.kernel.problems import Invalid
from pydantic import ValidationError
from sqlalchemy.orm import Session
from tests.world import NOON_YESTERDAY as NOON
from tests.world import a_project, configured_project


@pytest.fixture
def project(session: Session) -> ConfiguredProject:
    install(())
    instance = a_project(session, now=NOON)
    return configured_project(instance)


def shape(**fields: Any) -> MaintenanceShape:
    usual = {"name": "Patch night", "startsAt": f"{NOON.year}-01-04T02:00", "schedule": "0 2 * * 0"}
    return MaintenanceShape.model_validate(usual | fields)


def only(session: Session, project: ConfiguredProject) -> Held:
    (held,) = MAINTENANCE.export(session, project)
    return held


def test_what_is_planned_is_held_as_it_was_written(
    session: Session, project: ConfiguredProject
) -> None:
    wanted = shape(
        timeZone="Europe/Berlin", instances=["production"], tags=["b", "a", "a"], description=" x "
    )
    assert (wanted.tags, wanted.description) == (["a", "b"], "x")
    MAINTENANCE.write(session, project, wanted, None, NOON)
    made = only(session, project)
    assert (made.shape, made.over) == (wanted, False)
    changed = shape(schedule="rrule:FREQ=MONTHLY;BYDAY=2TU".upper(), durationMinutes=90)
    MAINTENANCE.write(session, project, changed, made.id, NOON)
    assert only(session, project).shape == changed
    MAINTENANCE.remove(session, project, made, NOON)
    assert MAINTENANCE.export(session, project) == []


def test_what_came_once_and_is_over_stays_in_a_document_and_comes_into_none(
    session: Session, project: ConfiguredProject
) -> None:
    once = shape(schedule="", startsAt=NOON.strftime("%Y-%m-%dT%H:%M"), durationMinutes=5)
    MAINTENANCE.write(session, project, once, None, NOON)
    held = only(session, project)
    assert (held.shape, held.over) == (once, True)
    with pytest.raises(Invalid, match="lies behind"):
        MAINTENANCE.write(session, project, once, None, utc_now())


def test_names_of_nothing_are_refused(session: Session, project: ConfiguredProject) -> None:
    for wrong in ({"subjects": ["production/nothing"]}, {"instances": ["nowhere"]}):
        with pytest.raises(Invalid, match=r"(nothing is watched|there is no instance)"):
            MAINTENANCE.write(session, project, shape(**wrong), None, NOON)


def test_whatever_maintenance_can_be_told_a_document_can_say() -> None:
    by_name = {"instance_ids": "instances", "subject_ids": "subjects"}
    told = {by_name.get(name, name) for name in MaintenanceBody.model_fields}
    assert told <= set(MaintenanceShape.model_fields)


def test_what_is_no_maintenance_is_no_shape() -> None:
    wrongs: list[dict[str, Any]] = [
        {"startsAt": "soon"},
        {"schedule": "now and then"},
        {"timeZone": "Mars/Olympus"},
        {"durationMinutes": 0},
    ]
    for wrong in wrongs:
        with pytest.raises(ValidationError):
            shape(**wrong)
