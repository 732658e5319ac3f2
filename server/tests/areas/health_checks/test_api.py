"""The API: the exact shape of REQUIREMENTS P9, checks by hand, and who may."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from mainstay_server.areas.health_checks import area
from mainstay_server.areas.health_checks.service import checks
from mainstay_server.contracts.tenancy import InstanceChanged
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.watching import State
from tests.servers.http import Answer, HttpReceiver, running_http
from tests.world import World


@pytest.fixture
def app() -> Iterator[HttpReceiver]:
    with running_http() as receiver:
        yield receiver


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(area)


def follow(world: World, url: str) -> None:
    """The instance's URL was set, an hour ago."""
    instance = world.instance
    event = InstanceChanged(
        organization_id=instance.organization_id,
        project_id=instance.project_id,
        instance_id=instance.id,
        environment="production",
        health_url=url,
        interval_seconds=60,
        timeout_seconds=60,
        degraded_after_ms=60_000,
    )
    with transaction() as session:
        checks.follow_instance(session, event, now=utc_now() - timedelta(hours=1))


def base(world: World) -> str:
    return f"/api/instances/{world.instance.id}"


def main_check(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.alice.get(f"{base(world)}/health-checks").json()
    return dict(found["healthChecks"][0])


def test_without_a_result_there_are_no_metrics(world: World) -> None:
    answer = world.alice.get(f"{base(world)}/health?hours=24")

    assert answer.status_code == 200
    assert answer.json() == {"metrics": None, "recentChecks": []}


def test_health_has_exactly_the_members_that_were_promised(world: World, app: HttpReceiver) -> None:
    follow(world, f"{app.url}/health")
    run = f"{base(world)}/health-checks/{main_check(world)['id']}/run"
    well = world.alice.post(run)
    app.answer_at("/health", Answer(status=503))
    sick = world.alice.post(run)

    answer = world.alice.get(f"{base(world)}/health").json()

    assert well.json()["status"] == "healthy"
    assert "errorMessage" not in well.json()
    assert (sick.json()["status"], sick.json()["errorMessage"]) == ("unhealthy", "answered 503")
    metrics, (newest, oldest) = answer["metrics"], answer["recentChecks"]
    assert sorted(metrics) == [
        "avgResponseTime",
        "errorRate",
        "instanceId",
        "lastCheckAt",
        "p95ResponseTime",
        "p99ResponseTime",
        "uptime",
    ]
    assert metrics["errorRate"] == 50
    assert 0 <= metrics["uptime"] <= 100
    assert (
        0 < metrics["avgResponseTime"] <= metrics["p95ResponseTime"] <= metrics["p99ResponseTime"]
    )
    assert metrics["lastCheckAt"] == newest["timestamp"]
    assert metrics["lastCheckAt"].endswith("Z")
    assert sorted(newest) == [
        "errorMessage",
        "instanceId",
        "responseTimeMs",
        "status",
        "timestamp",
    ]
    assert sorted(oldest) == ["instanceId", "responseTimeMs", "status", "timestamp"]


def test_at_most_fifty_results_are_told_newest_first(world: World, app: HttpReceiver) -> None:
    follow(world, f"{app.url}/health")
    run = f"{base(world)}/health-checks/{main_check(world)['id']}/run"
    for _ in range(52):
        world.alice.post(run)

    recent = world.alice.get(f"{base(world)}/health").json()["recentChecks"]

    assert len(recent) == 50
    assert [one["timestamp"] for one in recent] == sorted(
        (one["timestamp"] for one in recent), reverse=True
    )


def test_a_range_that_makes_no_sense_is_refused(world: World) -> None:
    for path in (
        "health?hours=0",
        "health?hours=x",
        "uptime?from=2026-01-01T00:00:00",
        "uptime?to=0001-01-01T00:00:00Z",
    ):
        assert world.alice.get(f"{base(world)}/{path}").status_code in (400, 404)


def test_uptime_tells_the_spells_it_comes_from(world: World, app: HttpReceiver) -> None:
    follow(world, f"{app.url}/health")
    world.alice.post(f"{base(world)}/health-checks/{main_check(world)['id']}/run")

    answer = world.alice.get(f"{base(world)}/uptime").json()

    assert [spell["state"] for spell in answer["intervals"]] == ["unknown", "healthy"]
    assert answer["intervals"][1]["ongoing"] is True
    assert answer["uptime"] == 100
    assert answer["coverage"] < 1
    assert set(answer["seconds"]) == set(State)


def test_a_check_by_hand_from_its_making_to_its_end(world: World, app: HttpReceiver) -> None:
    path = f"{base(world)}/health-checks"
    made = world.bob.post(path, json={"url": f"{app.url}/deep", "name": "deep"})
    one = f"{path}/{made.json()['id']}"

    assert made.status_code == 201
    assert (made.json()["state"], made.json()["intervalSeconds"]) == ("unknown", 300)
    assert world.bob.patch(one, json={"intervalSeconds": 30}).json()["intervalSeconds"] == 30
    assert world.bob.post(f"{one}/pause").json()["state"] == "paused"
    assert world.bob.post(f"{one}/resume").json()["state"] == "unknown"
    assert world.bob.post(f"{one}/run").json()["status"] == "healthy"
    assert world.bob.delete(one).status_code == 204
    assert world.bob.get(path).json() == {"healthChecks": [], "nextCursor": None}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": "ftp://shop.example"},
        {"url": "https://shop.example", "intervalSeconds": 1},
        {"url": "https://shop.example", "typo": 1},
    ],
)
def test_a_check_that_cannot_be_asked_is_refused(world: World, body: dict[str, Any]) -> None:
    assert world.alice.post(f"{base(world)}/health-checks", json=body).status_code == 400


def test_charlie_sees_nothing_and_a_stranger_is_asked_who_they_are(world: World) -> None:
    follow(world, "http://127.0.0.1:9/")
    check = f"health-checks/{main_check(world)['id']}"
    doors = [
        ("GET", "health"),
        ("GET", "uptime"),
        ("GET", "health-checks"),
        ("POST", "health-checks"),
        ("PATCH", check),
        ("DELETE", check),
        ("POST", f"{check}/run"),
        ("POST", f"{check}/pause"),
        ("POST", f"{check}/resume"),
    ]
    for method, path in doors:
        json = {"url": "https://shop.example"} if method in ("POST", "PATCH") else None
        charlie = world.charlie.request(method, f"{base(world)}/{path}", json=json)
        stranger = world.stranger.request(method, f"{base(world)}/{path}", json=json)
        assert (charlie.status_code, stranger.status_code) == (403, 401), path
    unknown = world.alice.get("/api/instances/0193a0c2-7e57-7000-8000-000000000000/health")
    assert unknown.status_code == 404


def test_a_port_is_watched_as_a_page_is(world: World, app: HttpReceiver) -> None:
    path = f"{base(world)}/health-checks"
    port = int(app.url.rpartition(":")[2])
    body = {"kind": "tcp", "name": "door", "config": {"host": "127.0.0.1", "port": port}}
    made = world.bob.post(path, json=body | {"tags": ["doors"]})
    one = f"{path}/{made.json()['id']}"

    assert made.status_code == 201, made.text
    assert (made.json()["kind"], made.json()["target"]) == ("tcp", f"127.0.0.1:{port}")
    assert made.json()["config"]["port"] == port
    assert made.json()["tags"] == ["doors"]
    assert world.bob.post(f"{one}/run").json()["status"] == "healthy"
    moved = world.bob.patch(one, json={"config": {"host": "127.0.0.1", "port": 1}}).json()
    assert (moved["target"], moved["config"]["expect"]) == ("127.0.0.1:1", "")
    assert world.bob.post(f"{one}/run").json()["errorMessage"] == "connection refused"


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"kind": "telepathy", "config": {}}, "kind"),
        ({"kind": "tcp"}, "config"),
        ({"kind": "tcp", "config": {"host": "db.example"}}, "port"),
        ({"kind": "tcp", "config": {"host": "https://db.example", "port": 1}}, "host"),
        ({"kind": "tcp", "config": {"host": "db.example", "port": 1, "expect": "\\q"}}, "expect"),
        ({"kind": "tcp", "config": {"host": "db.example", "port": 1}, "url": "http://x"}, "url"),
    ],
)
def test_what_a_kind_does_not_understand_is_refused_by_name(
    world: World, body: dict[str, Any], names: str
) -> None:
    refused = world.alice.post(f"{base(world)}/health-checks", json=body)

    assert refused.status_code == 400
    assert names in refused.json()["detail"]


def test_a_check_depends_on_one_of_its_project_and_never_on_itself(world: World) -> None:
    path = f"{base(world)}/health-checks"
    body = {"url": "https://shop.example/health"}
    router = world.alice.post(path, json=body | {"name": "router"}).json()["id"]
    page = world.alice.post(path, json=body | {"parentId": router}).json()

    assert page["parentId"] == router
    circle = world.alice.patch(f"{path}/{router}", json={"parentId": page["id"]})
    nobody = world.alice.patch(f"{path}/{router}", json={"parentId": world.instance.id})
    assert (circle.status_code, nobody.status_code) == (400, 400)
    assert "cannot depend on itself" in circle.json()["detail"]
    world.alice.delete(f"{path}/{router}")
    assert world.alice.get(path).json()["healthChecks"][0]["parentId"] is None


def test_checks_are_listed_page_by_page_the_instances_own_first(world: World) -> None:
    path = f"/api/instances/{world.instance.id}/health-checks"
    names = [f"berth-{number}" for number in range(5)]
    for name in names:
        assert world.bob.post(path, json={"name": name, "url": "http://127.0.0.1:9/"}).is_success

    found: list[str] = []
    cursor = ""
    while cursor is not None:
        page = world.bob.get(path, params={"limit": 2, "cursor": cursor}).json()
        assert len(page["healthChecks"]) <= 2
        found += [check["name"] for check in page["healthChecks"]]
        cursor = page["nextCursor"]

    assert found == names
    assert world.bob.get(path, params={"cursor": "nonsense"}).status_code == 400
