"""Status pages in documents: settings, groups and components in their order, bound by names."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from mainstay_server.areas import configuration, health_checks, heartbeats, status_pages
from mainstay_server.areas.heartbeats.service.making import make_heartbeat
from mainstay_server.areas.status_pages.configured import STATUS_PAGES, StatusPageShape
from mainstay_server.areas.status_pages.schemas.bodies import StatusPageChanges
from mainstay_server.areas.status_pages.service import components, pages
from mainstay_server.kernel.area import install
from mainstay_server.kernel.configured import ConfiguredProject, Held
from mainstay_server.kernel.problems import Conflict, Invalid
from pydantic import ValidationError
from sqlalchemy.orm import Session
from tests.world import NOON_YESTERDAY as NOON
from tests.world import Browser, World, a_project, configured_project


@pytest.fixture
def project(session: Session) -> ConfiguredProject:
    install((health_checks.area, heartbeats.area, status_pages.area))
    instance = a_project(session, now=NOON)
    for name in ("Nightly backup", "Invoices"):
        make_heartbeat(session, instance, {"name": name}, now=NOON)
    return configured_project(instance)


def shape(**fields: Any) -> StatusPageShape:
    usual: dict[str, Any] = {"slug": "ships", "name": "Ships"}
    return StatusPageShape.model_validate(usual | fields)


def only(session: Session, project: ConfiguredProject) -> Held:
    (held,) = STATUS_PAGES.export(session, project)
    return held


FULL: dict[str, Any] = {
    "published": True,
    "timeZone": "Europe/Berlin",
    "theme": "dark",
    "groups": ["Jobs", "By hand"],
    "components": [
        {"name": "Invoices", "group": "Jobs", "subject": "production/Invoices"},
        {"name": "Backups", "group": "Jobs", "subject": "production/Nightly backup"},
        {"name": "Telephone", "group": "By hand", "description": "the old one"},
    ],
}


def test_a_page_is_held_as_it_was_written_and_in_order(
    session: Session, project: ConfiguredProject
) -> None:
    STATUS_PAGES.write(session, project, shape(**FULL), None, NOON)
    made = only(session, project)
    assert made.shape == shape(**FULL)
    turned = FULL | {
        "groups": ["By hand", "Jobs"],
        "components": [FULL["components"][1], {"name": "Gate"}, FULL["components"][0]],
        "published": False,
    }
    before = {one.name: one.id for one in components.list_components(session, made.id)}
    STATUS_PAGES.write(session, project, shape(**turned), made.id, NOON)
    assert only(session, project).shape == shape(**turned)
    after = {one.name: one.id for one in components.list_components(session, made.id)}
    assert after["Backups"] == before["Backups"], "a line that stays keeps its history"
    STATUS_PAGES.remove(session, project, made, NOON)
    assert STATUS_PAGES.export(session, project) == []


def test_a_page_that_shows_another_project_is_none_of_this_one(
    session: Session, project: ConfiguredProject
) -> None:
    STATUS_PAGES.write(session, project, shape(**FULL), None, NOON)
    made = only(session, project)
    page = pages.get_page(session, made.id)
    line = components.list_components(session, page.id)[0]
    line.subject_id = "0" * 36
    session.flush()
    assert STATUS_PAGES.export(session, project) == []
    with pytest.raises(Conflict, match="is taken"):
        STATUS_PAGES.write(session, project, shape(), None, NOON)


def test_what_a_page_cannot_have_is_refused(session: Session, project: ConfiguredProject) -> None:
    with pytest.raises(Invalid, match="nothing is watched"):
        nowhere = shape(components=[{"name": "a", "subject": "production/nothing"}])
        STATUS_PAGES.write(session, project, nowhere, None, NOON)
    with pytest.raises(Invalid, match="password by hand"):
        STATUS_PAGES.write(session, project, shape(slug="other", visibility="password"), None, NOON)
    wrongs: list[dict[str, Any]] = [
        {"slug": "Not a slug"},
        {"components": [{"name": "a"}, {"name": "a"}]},
        {"components": [{"name": "a", "group": "nowhere"}]},
        {"accent": "#ffffff"},
    ]
    for wrong in wrongs:
        with pytest.raises(ValidationError):
            shape(**wrong)


def test_whatever_a_page_can_be_told_a_document_can_say_but_its_password() -> None:
    told = set(StatusPageChanges.model_fields) - {"password"}
    assert told <= set(StatusPageShape.model_fields)


def test_members_apply_components_and_admins_all_that_the_page_is(
    client_for: Callable[..., World],
) -> None:
    world = client_for(configuration.area, status_pages.area)
    path = f"/api/projects/{world.project}/configuration/apply"

    def apply(who: Browser, **fields: Any) -> Any:
        page = {"slug": "ships", "name": "Ships", "components": [{"name": "API"}], **fields}
        document = json.dumps({"version": 1, "statusPages": [page]})  # which is YAML as well
        return who.post(path, json={"document": document})

    assert apply(world.bob, published=True).status_code == 403, "a new one is a draft for him"
    assert apply(world.bob).status_code == 200
    for setting in (
        {"published": True},
        {"visibility": "members"},
        {"host": "status.ships.example"},
        {"takesWebhooks": True},
        {"name": "Boats"},
    ):
        refused = apply(world.bob, **setting)
        assert refused.status_code == 403, setting
        assert next(iter(setting)) in refused.json()["detail"]
    assert apply(world.alice, published=True, visibility="members").status_code == 200
    hidden = {"published": True, "visibility": "members"}
    assert apply(world.bob, **hidden, components=[{"name": "Shop"}]).status_code == 200
    assert apply(world.bob, published=True, visibility="public").status_code == 403
