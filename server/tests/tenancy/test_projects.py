"""Projects and their keys: what a script relies on, names that collide, and data that stops."""

from collections.abc import Callable

import pytest
from mainstay_server.kernel.events import Event
from mainstay_server.kernel.problems import Conflict, Forbidden, Invalid
from mainstay_server.tenancy.addresses import dsn
from mainstay_server.tenancy.senders import find_sender
from mainstay_server.tenancy.service import keys, projects
from mainstay_server.tenancy.service.fields import clean_slug, derived_slug
from sqlalchemy.orm import Session
from tests.tenancy.worlds import NOON, an_organization
from tests.world import World

Said = Callable[[], list[Event]]


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for()


def kinds(said: Said) -> list[str]:
    return [type(event).__name__ for event in said()]


def test_a_project_comes_with_all_that_the_first_event_needs(world: World) -> None:
    answer = world.bob.post("/api/projects", json={"name": "Sea Trials"})

    assert answer.status_code == 201
    made = answer.json()
    assert made["number"] == 3
    assert made["slug"] == "sea-trials"
    assert len(made["ingestKey"]) == 32
    assert made["dsn"] == f"http://{made['ingestKey']}@mainstay.test/3"
    assert [(each["environment"], each["url"]) for each in made["instances"]] == [
        ("production", "")
    ]
    assert world.bob.get("/api/projects/sea-trials").json() == made
    assert world.bob.get(f"/api/projects/{made['id']}").json() == made
    query = f"sentry_key={made['ingestKey']}".encode()
    assert find_sender({"headers": [], "query_string": query}, 3).project_slug == "sea-trials"


def test_a_derived_slug_gets_a_suffix_and_a_wanted_one_is_a_conflict(world: World) -> None:
    slugs = [world.bob.post("/api/projects", json={"name": "A b!"}).json()["slug"] for _ in "123"]
    assert slugs == ["a-b", "a-b-2", "a-b-3"]

    assert world.bob.post("/api/projects", json={"name": "X", "slug": "a-b"}).status_code == 409
    assert world.bob.post("/api/projects", json={"name": "X", "slug": "A b"}).status_code == 400


def test_projects_are_listed_by_pages(world: World) -> None:
    for name in ("anchor", "bow", "crew"):
        world.bob.post("/api/projects", json={"name": name})

    first = world.bob.get("/api/projects?limit=3").json()
    rest = world.bob.get(f"/api/projects?limit=3&cursor={first['nextCursor']}").json()

    found = [each["slug"] for each in first["projects"] + rest["projects"]]
    assert found == ["anchor", "bow", "crew", "inspections"]
    assert rest["nextCursor"] is None
    assert len(world.bob.get("/api/projects?search=CRE").json()["projects"]) == 1


def test_deleting_needs_the_slug_once_more(world: World) -> None:
    assert world.alice.delete("/api/projects/inspections").status_code == 400
    assert world.alice.delete("/api/projects/inspections?confirm=inspections").status_code == 204
    assert world.alice.get("/api/projects/inspections").status_code == 404


def test_a_rotated_key_leaves_the_old_one_working_until_it_is_disabled(world: World) -> None:
    base = "/api/projects/inspections/ingest-keys"
    old = world.alice.get(base).json()["ingestKeys"][0]

    both = world.alice.post(f"{base}/{old['id']}/rotate").json()
    assert both["old"]["key"] == old["key"]
    assert sends(old["key"])
    assert sends(both["new"]["key"])
    assert world.bob.get("/api/projects/inspections").json()["ingestKey"] == both["new"]["key"]

    assert world.alice.post(f"{base}/{old['id']}/disable").json()["enabled"] is False
    assert not sends(old["key"])
    assert world.alice.post(f"{base}/{old['id']}/enable").json()["enabled"] is True
    assert sends(old["key"])


def test_a_project_is_announced_when_it_comes_and_goes(session: Session, said: Said) -> None:
    organization = an_organization(session)

    made = projects.create_project(session, organization.id, name="Ships", now=NOON)
    assert kinds(said) == ["ProjectCreated", "InstanceCreated", "IngestKeyCreated"]

    with pytest.raises(Invalid, match="confirm=ships"):
        projects.delete_project(session, made, confirm="", now=NOON)
    projects.delete_project(session, made, confirm="ships", now=NOON)
    assert kinds(said) == ["InstanceRemoved", "ProjectRemoved"]


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Über Ships!", "uber-ships"),
        ("  --  ", "project"),
        ("日本", "project"),
        ("x" * 100, "x" * 54),
        ("0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "project"),
    ],
)
def test_slugs_are_derived_from_names(name: str, slug: str) -> None:
    assert derived_slug(name) == slug
    assert clean_slug(slug) == slug


@pytest.mark.parametrize(
    "slug", ["", "-a", "a-", "A", "a b", "a/b", "x" * 61, "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"]
)
def test_a_slug_that_would_confuse_an_address_is_refused(slug: str) -> None:
    with pytest.raises(Invalid, match="slug"):
        clean_slug(slug)


def test_a_project_keeps_to_fifty_keys(session: Session) -> None:
    made = projects.create_project(session, an_organization(session).id, name="Ships", now=NOON)
    for _ in range(49):
        keys.create_key(session, made, label="more", now=NOON)

    with pytest.raises(Conflict):
        keys.create_key(session, made, label="more", now=NOON)


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("https://mainstay.example", "https://k@mainstay.example/7"),
        ("http://localhost:8000/", "http://k@localhost:8000/7"),
        ("https://example.com/base/path/", "https://k@example.com/base/path/7"),
    ],
)
def test_a_dsn_follows_the_address_of_the_server(base: str, expected: str) -> None:
    assert dsn(base, "k", 7) == expected


def sends(key: str) -> bool:
    try:
        find_sender({"headers": [], "query_string": f"sentry_key={key}".encode()}, None)
    except Forbidden:
        return False
    return True
