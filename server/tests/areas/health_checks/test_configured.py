"""Health checks in documents: every kind, parents, and what follows an instance."""

from typing import Any

import pytest
from mainstay_server.areas.health_checks.configured import HEALTH_CHECKS, HealthCheckShape
from mainstay_server.areas.health_checks.providers import PROVIDERS
from mainstay_server.areas.health_checks.schemas.bodies import NewCheck, NewHealthCheck
from mainstay_server.areas.health_checks.service import checks
from mainstay_server.kernel.configured import ConfiguredProject, Held
from mainstay_server.kernel.problems import Invalid
from mainstay_server.tenancy.service.instances import Asking, change_instance
from pydantic import ValidationError
from sqlalchemy.orm import Session
from tests.world import NOON_YESTERDAY as NOON
from tests.world import a_project, configured_project


@pytest.fixture
def project(session: Session) -> ConfiguredProject:
    instance = a_project(session, now=NOON)
    return configured_project(instance)


def shape(name: str = "api", **fields: Any) -> HealthCheckShape:
    given = {"instance": "production", "name": name, **fields}
    if "kind" not in given and "followsInstance" not in given:
        given.setdefault("url", "https://ships.example")
    return HealthCheckShape.model_validate(given)


def write(session: Session, project: ConfiguredProject, *shapes: HealthCheckShape) -> None:
    held = {one.shape.key: one.id for one in HEALTH_CHECKS.export(session, project)}
    wrote = [
        Held(id=HEALTH_CHECKS.write(session, project, each, held.get(each.key), NOON), shape=each)
        for each in shapes
    ]
    assert HEALTH_CHECKS.finish is not None
    HEALTH_CHECKS.finish(session, project, wrote, NOON)
    session.flush()


def exported(session: Session, project: ConfiguredProject) -> dict[str, HealthCheckShape]:
    found = {}
    for one in HEALTH_CHECKS.export(session, project):
        assert isinstance(one.shape, HealthCheckShape)
        found[one.shape.name] = one.shape
    return found


def test_whatever_a_check_can_be_told_a_document_can_say() -> None:
    told = set(NewCheck.model_fields) - {"parent_id"}
    assert told <= set(HealthCheckShape.model_fields)


@pytest.mark.parametrize("kind", list(PROVIDERS))
def test_a_check_of_every_kind_is_held_as_it_was_written(
    session: Session, project: ConfiguredProject, kind: str
) -> None:
    wanted = shape(
        kind=kind,
        url="https://ships.example/health" if kind == "http" else "",
        config=dict(PROVIDERS[kind].EXAMPLE),
        intervalSeconds=4_000,
        tags=["a", "b"],
        conditions=["[RESPONSE_TIME] < 60000"],
        quorum="any",
        tellAfterSeconds=60,
        paused=True,
    )
    write(session, project, wanted)
    assert exported(session, project) == {"api": wanted}
    changed = wanted.model_copy(update={"interval_seconds": 7_200, "paused": False, "tags": []})
    write(session, project, changed)
    assert exported(session, project) == {"api": changed}


def test_parents_may_change_places_in_one_document(
    session: Session, project: ConfiguredProject
) -> None:
    write(session, project, shape("app", parent="router"), shape("router"))
    assert exported(session, project)["app"].parent == "router"
    write(session, project, shape("app"), shape("router", parent="app"))
    found = exported(session, project)
    assert (found["app"].parent, found["router"].parent) == ("", "app")
    with pytest.raises(Invalid, match="no health check 'nobody'"):
        write(session, project, shape("app", parent="nobody"))


def test_what_follows_its_instance_is_there_at_once_and_stays_with_it(
    session: Session, project: ConfiguredProject
) -> None:
    follows = shape("health", followsInstance=True, failAfter=3)
    with pytest.raises(Invalid, match="no URL to follow"):
        write(session, project, follows)
    instance = project.instances["production"]
    change_instance(session, instance.id, Asking(url="https://ships.example"), now=NOON)
    write(session, project, follows)
    (held,) = HEALTH_CHECKS.export(session, project)
    assert (held.shape, held.removable) == (follows, False)
    with pytest.raises(ValidationError, match="from there"):
        shape("health", followsInstance=True, url="https://other.example")


def test_another_kind_is_another_check_with_a_history_of_its_own(
    session: Session, project: ConfiguredProject
) -> None:
    write(session, project, shape())
    before = checks.list_of_project(session, project.id)[0].id
    write(session, project, shape(kind="tcp", config={"host": "ships.example", "port": 25}))
    (now,) = checks.list_of_project(session, project.id)
    assert (now.kind, now.id != before) == ("tcp", True)


def test_of_two_with_one_name_the_later_has_a_number(
    session: Session, project: ConfiguredProject
) -> None:
    write(session, project, shape("api"))
    instance = project.instances["production"]
    again = NewHealthCheck(url="https://ships.example/2", name="api")
    checks.add_check(session, instance, again, now=NOON)
    assert sorted(exported(session, project)) == ["api", "api (2)"]


def test_what_is_no_check_is_no_shape() -> None:
    wrong: list[dict[str, Any]] = [
        {"kind": "carrier-pigeon"},
        {"url": ""},
        {"kind": "tcp", "url": "https://ships.example", "config": {"host": "a", "port": 1}},
        {"kind": "tcp", "config": {"host": "a"}},
        {"kind": "tcp", "config": {"host": "a", "port": 1, "colour": "red"}},
        {"intervalSeconds": 1},
        {"colour": "red"},
    ]
    for fields in wrong:
        with pytest.raises(ValidationError):
            shape(**fields)
