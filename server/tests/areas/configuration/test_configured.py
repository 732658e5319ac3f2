"""Instances in documents: normalised as they are stored, so that nothing differs for ever."""

import pytest
from mainstay_server.areas.configuration.configured import INSTANCES, InstanceShape
from mainstay_server.areas.configuration.service.applying import about
from mainstay_server.kernel.problems import Conflict
from mainstay_server.tenancy.subjects import find_project
from pydantic import ValidationError
from sqlalchemy.orm import Session
from tests.world import NOON_YESTERDAY as NOON
from tests.world import a_project


def test_an_instance_is_held_as_it_was_written(session: Session) -> None:
    a_project(session, now=NOON)
    found = find_project(session, "inspections")
    assert found is not None
    project = about(session, found)
    wanted = InstanceShape(
        environment="staging", url="  https://ships.example  ", health_path=" /health "
    )
    INSTANCES.write(session, project, wanted, None, NOON)
    held = {one.shape.key: one for one in INSTANCES.export(session, project)}
    assert held["staging",].shape == wanted
    assert project.instance("staging").url == "https://ships.example"

    INSTANCES.remove(session, project, held["staging",], NOON)
    assert "staging" not in project.instances
    with pytest.raises(Conflict):
        INSTANCES.remove(session, project, held["production",], NOON)


def test_what_no_instance_may_have_is_no_shape() -> None:
    for wrong in ({"url": "https://a:b@c.example"}, {"health_path": "no-slash"}, {"x": 1}):
        with pytest.raises(ValidationError):
            InstanceShape.model_validate({"environment": "a", **wrong})
