"""Instances: where they run, how they are asked, and what areas say about them."""

from collections.abc import Callable
from typing import Any

import pytest
from mainstay_server.contracts.tenancy import InstanceChanged, InstanceRemoved
from mainstay_server.kernel.area import Area
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.events import said_events
from mainstay_server.tenancy.service.environments import health_url
from tests.world import World

HEALTH = Area(
    name="health",
    title="Health",
    summary=lambda session, ids, now: {id_: {"health": {"uptime": 99.5}} for id_ in ids},
)
ALERTS = Area(
    name="bells",
    title="Bells",
    summary=lambda session, ids, now: {ids[0]: {"activeAlerts": {"critical": 1}}},
)


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(HEALTH, ALERTS)


def test_a_change_is_answered_and_said_with_the_url_joined(world: World) -> None:
    change = {"url": "https://app.example/base/", "healthPath": "/up", "intervalSeconds": 60}

    answer = world.bob.patch(f"/api/instances/{world.instance.id}", json=change)

    assert answer.status_code == 200
    assert {name: answer.json()[name] for name in change} == change
    last = said(InstanceChanged)[-1]
    assert isinstance(last, InstanceChanged)
    assert (last.health_url, last.interval_seconds) == ("https://app.example/base/up", 60)
    assert last.changes == {
        "url": ("", "https://app.example/base/"),
        "health_path": ("", "/up"),
        "interval_seconds": (300, 60),
    }


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "ftp://app.example"}, "url"),
        ({"url": "app.example"}, "url"),
        ({"url": "https://user:secret@app.example"}, "url"),
        ({"url": "https://app.example/#top"}, "url"),
        ({"url": "https://app.example:port"}, "url"),
        ({"url": "http://[::1"}, "url"),
        ({"url": "https://"}, "url"),
        ({"healthPath": "up"}, "healthPath"),
        ({"healthPath": "//evil.example"}, "healthPath"),
        ({"intervalSeconds": 4}, "intervalSeconds"),
        ({"intervalSeconds": 86401}, "intervalSeconds"),
        ({"timeoutSeconds": 0}, "timeoutSeconds"),
        ({"timeoutSeconds": 61}, "timeoutSeconds"),
        ({"intervalSeconds": 5, "timeoutSeconds": 6}, "timeoutSeconds"),
        ({"degradedAfterMs": 49}, "degradedAfterMs"),
        ({"degradedAfterMs": 60001}, "degradedAfterMs"),
        ({"intervalSeconds": "often"}, "intervalSeconds"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_bad_value_is_refused_by_its_name(
    change: dict[str, Any], field: str, world: World
) -> None:
    answer = world.bob.patch(f"/api/instances/{world.instance.id}", json=change)

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert said(InstanceChanged) == []


def test_instances_are_made_by_hand_listed_and_deleted(world: World) -> None:
    body = {"project": "inspections", "environment": "staging", "url": "https://staging.example"}
    made = world.bob.post("/api/instances", json=body)
    assert made.status_code == 201
    assert world.bob.post("/api/instances", json=body).status_code == 409
    assert world.bob.post("/api/instances", json={**body, "environment": "a/b"}).status_code == 400

    first = world.bob.get("/api/instances?limit=1").json()
    rest = world.bob.get(f"/api/instances?limit=1&cursor={first['nextCursor']}").json()
    found = [each["environment"] for each in first["instances"] + rest["instances"]]
    assert found == ["production", "staging"]
    assert rest["nextCursor"] is None

    assert world.alice.delete(f"/api/instances/{made.json()['id']}").status_code == 204
    assert [type(event) for event in said(InstanceRemoved)] == [InstanceRemoved]
    last = world.alice.delete(f"/api/instances/{world.instance.id}")
    assert (last.status_code, last.json()["code"]) == (409, "conflict")


def test_an_unknown_instance_is_absent_and_anothers_is_forbidden(world: World) -> None:
    assert world.bob.get("/api/instances/0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b").status_code == 404
    assert world.bob.get(f"/api/instances/{world.charlies_instance.id}").status_code == 403


def test_a_summary_is_what_every_area_says(world: World) -> None:
    one = world.bob.get(f"/api/instances/{world.instance.id}/summary").json()

    assert one == {
        "instanceId": world.instance.id,
        "project": "inspections",
        "environment": "production",
        "url": "",
        "health": {"uptime": 99.5},
        "activeAlerts": {"critical": 1},
    }
    assert world.bob.get("/api/summaries").json() == {"summaries": [one], "nextCursor": None}


@pytest.mark.parametrize(
    ("url", "path", "joined"),
    [
        ("", "/up", ""),
        ("https://a.example", "", "https://a.example"),
        ("https://a.example/x?y=1", "", "https://a.example/x?y=1"),
        ("https://a.example/", "/up", "https://a.example/up"),
        ("https://a.example/base", "/up?full=1", "https://a.example/base/up?full=1"),
    ],
)
def test_the_url_asked_is_url_and_path_with_one_slash(url: str, path: str, joined: str) -> None:
    assert health_url(url, path) == joined


def said(kind: type[Any]) -> list[Any]:
    with reading() as session:
        return [event for _, event in said_events(session) if isinstance(event, kind)]
