"""When alerts open incidents, in documents: one choice of a project, or the defaults."""

from typing import Any

import pytest
from mainstay_server.areas.incidents.configured import INCIDENT_SETTINGS, ChoicesShape
from mainstay_server.areas.incidents.service import choices
from mainstay_server.contracts.incidents import IncidentSettingsChanged
from mainstay_server.kernel.configured import ConfiguredProject, written
from pydantic import ValidationError
from sqlalchemy.orm import Session
from tests.conftest import Said
from tests.world import NOON_YESTERDAY as NOON
from tests.world import a_project, configured_project


@pytest.fixture
def project(session: Session) -> ConfiguredProject:
    instance = a_project(session, now=NOON)
    return configured_project(instance)


def shape(**fields: Any) -> ChoicesShape:
    return ChoicesShape.model_validate(fields)


def test_what_a_project_chose_is_held_changed_and_taken_back(
    session: Session, project: ConfiguredProject, said: Said
) -> None:
    said()
    assert INCIDENT_SETTINGS.export(session, project) == []
    wanted = shape(opensFrom="warning", joinMinutes=5, resolvesAlone=False, template="# {title}\n")
    made = INCIDENT_SETTINGS.write(session, project, wanted, None, NOON)
    (held,) = INCIDENT_SETTINGS.export(session, project)
    assert (held.id, held.shape) == (made, wanted)
    assert ChoicesShape.model_validate(written(held.shape)) == wanted

    INCIDENT_SETTINGS.write(session, project, shape(), made, NOON)
    (held,) = INCIDENT_SETTINGS.export(session, project)
    assert held.shape == shape()
    INCIDENT_SETTINGS.remove(session, project, held, NOON)
    assert INCIDENT_SETTINGS.export(session, project) == []
    assert [type(event) for event in said()] == [IncidentSettingsChanged] * 2


def test_choosing_what_holds_anyway_is_held_and_says_nothing(
    session: Session, project: ConfiguredProject, said: Said
) -> None:
    said()
    INCIDENT_SETTINGS.write(session, project, shape(), None, NOON)
    assert len(INCIDENT_SETTINGS.export(session, project)) == 1
    assert choices.choices_of(session, project.id) == choices.Choices()
    assert said() == []


@pytest.mark.parametrize(
    "wrong", [{"opensFrom": "sometimes"}, {"joinMinutes": -1}, {"template": "x" * 20_001}]
)
def test_what_cannot_be_chosen_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        shape(**wrong)
