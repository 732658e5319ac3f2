from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from mainstay_server.areas.health_checks import area as health_checks
from mainstay_server.areas.maintenance import area as maintenance
from mainstay_server.areas.objectives import area
from mainstay_server.areas.requests import area as requests
from mainstay_server.kernel.clock import rfc3339, utc_now
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.watching import State
from tests.world import World

from .worlds import DAY, HOUR, MINUTE, a_check


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(area, health_checks, maintenance, requests)


def base(world: World) -> str:
    return f"/api/projects/{world.project}/objectives"


def made(world: World, **body: object) -> dict[str, Any]:
    answer = world.bob.post(
        base(world), json={"name": "Shop", "source": "requests", "targetPercent": 99} | body
    )
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def serve(world: World, count: int, *, status: int = 200, ms: float = 20, path: str = "/") -> None:
    """Have the instance serve requests in the last minutes, by the door that apps use."""
    now = utc_now()
    body = {
        "sentAt": rfc3339(now),
        "environment": "production",
        "requests": [
            {
                "at": rfc3339(now - MINUTE - timedelta(milliseconds=each)),
                "method": "GET",
                "path": path,
                "status": status,
                "durationMs": ms,
            }
            for each in range(count)
        ],
    }
    answer = world.stranger.post(
        f"/api/{world.instance.project_number}/requests/?sentry_key={world.ingest_key}", json=body
    )
    assert answer.is_success, answer.text


def test_requests_are_counted_by_status_route_and_time(world: World) -> None:
    serve(world, 180)
    serve(world, 10, status=500)
    serve(world, 10, ms=900, path="/slow")
    every = made(world)
    assert (every["total"], every["bad"]) == (200, 10)
    assert every["achievedPercent"] == 95
    assert every["budgetLeftPercent"] == -400
    assert every["status"] == "exhausted"
    slow = made(world, kind="latency", thresholdMs=300)
    assert (slow["total"], slow["bad"]) == (200, 10)
    route = made(world, kind="latency", thresholdMs=300, route="/slow", name="Slow one")
    assert (route["total"], route["bad"]) == (10, 10)
    assert [burn["hasHistory"] for burn in every["burns"]] == [False] * 4

    gate = world.alice.get(f"{base(world)}/{every['id']}/gate").json()
    assert gate["status"] == "frozen"
    assert "spent" in gate["reason"]


def test_requests_during_maintenance_do_not_count(world: World) -> None:
    begun = world.bob.post(f"/api/projects/{world.project}/maintenance", json={"name": "Deploy"})
    assert begun.status_code == 201
    objective = made(world)
    assert objective["achievedPercent"] is None
    assert world.bob.get(f"{base(world)}/{objective['id']}/gate").json()["status"] == "ok"


def test_an_objective_about_a_check_is_set_listed_changed_and_removed(world: World) -> None:
    now = utc_now()
    with transaction() as session:
        check = a_check(
            session,
            world.instance,
            [(State.HEALTHY, now - 10 * DAY), (State.UNHEALTHY, now - HOUR)],
            until=now + DAY,
        ).id
    objective = made(world, source="watched", subjectId=check, targetPercent=99.9)
    assert objective["burning"] == ["page", "ticket"]
    assert objective["burns"][0]["factor"] == 14.4
    assert objective["exhaustedAt"] is not None
    (listed,) = world.alice.get(f"{base(world)}?q=shop").json()["objectives"]
    assert listed["id"] == objective["id"]
    path = f"{base(world)}/{objective['id']}"
    changed = world.bob.patch(path, json={"period": "7d", "targetPercent": 99.5}).json()
    assert (changed["period"], changed["targetPercent"]) == ("7d", 99.5)
    report = world.bob.get(f"/api/projects/{world.project}/sla-report").json()
    assert report["watched"][0]["id"] == check
    assert report["objectives"][0]["isMet"] in (True, False)
    assert world.bob.delete(path).status_code == 204
    assert world.bob.get(path).status_code == 404


def test_usual_targets_are_shown_against_reality(world: World) -> None:
    serve(world, 90)
    serve(world, 10, ms=500)
    found = world.bob.get(f"/api/instances/{world.instance.id}/objective-presets").json()
    told = {each["name"]: (each["achievedPercent"], each["isMet"]) for each in found["presets"]}
    assert told == {
        "Requests succeed": (100, True),
        "Requests within 300 ms": (90, False),
        "Requests within 2 s": (100, True),
    }


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"targetPercent": 100},
        {"targetPercent": 0},
        {"source": "metrics"},
        {"period": "1y"},
        {"kind": "latency"},
        {"environment": "moon"},
        {"typo": 1},
    ],
)
def test_what_makes_no_sense_is_refused(world: World, body: dict[str, object]) -> None:
    answer = world.bob.post(base(world), json={"name": "x", "source": "requests"} | body)
    assert answer.status_code == 400
    assert answer.json()["detail"]


def test_charlie_neither_sees_nor_touches_them(world: World) -> None:
    objective = made(world)
    theirs = f"/api/projects/{world.charlies_instance.project_slug}"
    assert world.charlie.get(base(world)).status_code == 404
    for suffix in ("", "/gate"):
        path = f"{theirs}/objectives/{objective['id']}{suffix}"
        assert world.charlie.get(path).status_code == 404
    assert world.charlie.delete(f"{theirs}/objectives/{objective['id']}").status_code == 404
    assert world.charlie.get(f"/api/projects/{world.project}/sla-report").status_code == 404
    presets = f"/api/instances/{world.instance.id}/objective-presets"
    assert world.charlie.get(presets).status_code == 403
