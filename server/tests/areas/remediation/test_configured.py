"""Actions in documents: targets and secrets stay secret, and probes have names."""

from collections.abc import Iterator
from typing import Any

import pytest
from mainstay_server.areas.remediation.configured import ACTIONS, ActionShape
from mainstay_server.areas.remediation.service import actions
from mainstay_server.contracts.health_checks import ProbeSeen, probes_of
from mainstay_server.contracts.remediation import (
    RemediationActionChanged,
    RemediationActionCreated,
    RemediationActionRemoved,
)
from mainstay_server.kernel.configured import KEPT, ConfiguredProject, Held, written
from mainstay_server.kernel.ports import forget_answers, install_answers
from mainstay_server.kernel.problems import Invalid
from pydantic import ValidationError
from sqlalchemy.orm import Session
from tests.conftest import Said
from tests.world import NOON_YESTERDAY as NOON
from tests.world import a_project, configured_project

URL = "https://deployer.example/restart?key=hush"
SECRET = "whsec_" + "A" * 32


@pytest.fixture
def project(session: Session) -> Iterator[ConfiguredProject]:
    instance = a_project(session, now=NOON)
    rack = ProbeSeen(
        id="the-rack", organization_id=instance.organization_id, name="Rack", location="cellar"
    )
    install_answers((probes_of.answered_by(lambda session, organization_id: [rack]),))
    yield configured_project(instance)
    forget_answers()


def webhook(**fields: Any) -> ActionShape:
    usual = {
        "name": "restart-shop",
        "kind": "webhook",
        "url": URL,
        "matchers": 'alertname="instance_down"',
    }
    return ActionShape.model_validate(usual | fields)


def command(**fields: Any) -> ActionShape:
    usual = {
        "name": "restart-shop",
        "kind": "command",
        "probe": "Rack",
        "command": "restart-shop",
        "matchers": "alertname=instance_down",
    }
    return ActionShape.model_validate(usual | fields)


def only(session: Session, project: ConfiguredProject) -> Held:
    (held,) = ACTIONS.export(session, project)
    return held


def test_an_action_is_held_as_it_was_written_changed_and_removed(
    session: Session, project: ConfiguredProject, said: Said
) -> None:
    said()
    wanted = webhook(automatic=True, mostTries=2, signingSecret=SECRET)
    made = ACTIONS.write(session, project, wanted, None, NOON)
    held = only(session, project)
    assert (held.id, held.shape) == (made, wanted)
    assert ActionShape.model_validate(written(held.shape)) == wanted
    assert [*held.shape.secret_paths()] == [("url",), ("signingSecret",)]

    changed = webhook(dryRun=True, signingSecret="whsec_" + "B" * 32, url=f"{URL}2")
    assert ACTIONS.write(session, project, changed, made, NOON) == made
    assert only(session, project).shape == changed
    ACTIONS.remove(session, project, only(session, project), NOON)
    assert ACTIONS.export(session, project) == []
    events = said()
    kinds = [RemediationActionCreated, RemediationActionChanged, RemediationActionRemoved]
    assert [type(event) for event in events] == kinds
    assert "hush" not in str(events)
    assert "whsec_" not in str(events)


def test_a_kept_secret_is_made_at_first_and_then_stays(
    session: Session, project: ConfiguredProject
) -> None:
    made = ACTIONS.write(session, project, webhook(), None, NOON)
    first = actions.get_action(session, project.id, made).secret
    assert first.startswith("whsec_")
    ACTIONS.write(session, project, webhook(enabled=False), made, NOON)
    assert actions.get_action(session, project.id, made).secret == first


def test_a_command_names_its_probe_and_has_no_secret(
    session: Session, project: ConfiguredProject
) -> None:
    made = ACTIONS.write(session, project, command(), None, NOON)
    assert only(session, project).shape == command()
    assert [*command().secret_paths()] == []
    assert actions.get_action(session, project.id, made).probe_id == "the-rack"
    ACTIONS.write(session, project, webhook(), made, NOON)
    assert only(session, project).shape.model_copy(update={"signing_secret": KEPT}) == webhook()
    with pytest.raises(Invalid) as refused:
        ACTIONS.write(session, project, command(probe="Attic"), None, NOON)
    assert refused.value.errors[0]["field"] == "probe"


def test_a_secret_that_signs_nothing_is_refused(
    session: Session, project: ConfiguredProject
) -> None:
    for wrong in ("hush", "whsec_AAAA", "whsec_" + "A" * 33):
        with pytest.raises(Invalid, match="signingSecret"):
            ACTIONS.write(session, project, webhook(signingSecret=wrong), None, NOON)


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": ""},
        {"url": "ftp://x"},
        {"probe": "Rack"},
        {"matchers": ""},
        {"matchers": "severity"},
        {"mostTries": 99},
        {"kind": "command"},
        {"name": "No Name"},
    ],
)
def test_what_is_no_action_is_refused_in_the_document(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        webhook(**wrong)
