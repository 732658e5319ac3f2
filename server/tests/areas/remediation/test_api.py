"""Remediation over HTTP: who may allow it, who may start it, and what a probe is told."""

from collections.abc import Callable
from typing import Any

import pytest
from mainstay_server.areas.alerts import area as alerts
from mainstay_server.areas.health_checks import area as health_checks
from mainstay_server.areas.remediation import area
from mainstay_server.contracts.remediation import start_remediation
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.events import run_waiting
from tests.servers.http import HttpReceiver, http_receiver
from tests.world import World

__all__ = ["http_receiver"]

HOOK: dict[str, Any] = {
    "name": "restart-shop",
    "kind": "webhook",
    "url": "http://127.0.0.1:9/restart/token",
    "matchers": 'alertname="instance_down"',
}


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(area, alerts, health_checks)


def base(world: World) -> str:
    return f"/api/projects/{world.project}/remediation-actions"


def allowed(world: World, **body: object) -> dict[str, Any]:
    answer = world.alice.post(base(world), json=HOOK | body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def alert(world: World) -> str:
    body = {"type": "instance_down", "severity": "critical", "title": "Shop is down", "message": ""}
    answer = world.bob.post(f"/api/instances/{world.instance.id}/alerts", json=body)
    run_waiting(now=utc_now())
    return str(answer.json()["id"])


def a_probe(world: World) -> tuple[str, dict[str, str]]:
    made = world.alice.post("/api/probes", json={"name": "fra-1", "location": "Frankfurt"}).json()
    return made["id"], {"authorization": f"Bearer {made['token']}"}


def test_an_action_is_allowed_by_an_administrator_and_its_secret_shown_once(world: World) -> None:
    assert world.bob.post(base(world), json=HOOK).status_code == 403
    made = allowed(world)
    assert made["secret"].startswith("whsec_")
    assert made["target"] == "http://127.0.0.1:9/…"
    (listed,) = world.bob.get(base(world)).json()["actions"]
    assert listed == {name: value for name, value in made.items() if name != "secret"}
    path = f"{base(world)}/{made['id']}"
    changed = world.alice.put(path, json=HOOK | {"automatic": True, "mostTries": 1}).json()
    assert (changed["automatic"], changed["mostTries"]) == (True, 1)
    assert world.bob.delete(path).status_code == 403
    assert world.alice.delete(path).status_code == 204
    assert world.bob.get(path).status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Not A Name"},
        {"kind": "ssh"},
        {"url": ""},
        {"url": "nothing"},
        {"matchers": ""},
        {"matchers": "a=~("},
        {"mostTries": 0},
        {"mostTries": 11},
        {"verifySeconds": 0},
        {"typo": 1},
        {"kind": "command", "probeId": "x"},
    ],
)
def test_what_makes_no_sense_is_refused(world: World, change: dict[str, object]) -> None:
    answer = world.alice.post(base(world), json=HOOK | change)
    assert answer.status_code == 400, answer.text
    assert answer.json()["detail"]


def test_a_member_runs_one_by_hand_for_an_alert_of_the_project(
    world: World, http_receiver: HttpReceiver
) -> None:
    made = allowed(world, url=f"{http_receiver.url}/x")
    path = f"{base(world)}/{made['id']}/runs"
    assert world.bob.post(path, json={"alertId": "nothing"}).status_code == 404
    alert_id = alert(world)
    run = world.bob.post(path, json={"alertId": alert_id})
    assert run.status_code == 201
    assert world.bob.post(path, json={"alertId": alert_id}).status_code == 409
    run_waiting(now=utc_now())
    (listed,) = world.bob.get(f"/api/projects/{world.project}/remediation-runs").json()["runs"]
    assert (listed["state"], listed["action"]) == ("verifying", "restart-shop")
    assert [each["wentThrough"] for each in listed["tries"]] == [True]
    alerts_path = f"/api/instances/{world.instance.id}/alerts"
    world.bob.post(alerts_path, json={"alertId": alert_id, "action": "resolve"})
    run_waiting(now=utc_now())
    (listed,) = world.bob.get(f"/api/projects/{world.project}/remediation-runs").json()["runs"]
    assert listed["state"] == "healed"


def test_an_escalation_starts_one_by_its_name_or_whichever_fits(
    world: World, http_receiver: HttpReceiver
) -> None:
    allowed(world, url=f"{http_receiver.url}/x", cooldownSeconds=0)
    alert_id = alert(world)

    def started(action: str) -> bool:
        with transaction() as session:
            return start_remediation(session, alert_id, action=action, now=utc_now())

    assert not started("another")
    assert started("restart-shop")
    assert not started("")  # it is at work already
    run_waiting(now=utc_now())
    assert len(http_receiver.requests) == 1


def test_a_probe_is_told_names_only_and_reports_with_its_own_token(world: World) -> None:
    probe_id, token = a_probe(world)
    command = {"kind": "command", "probeId": probe_id, "command": "restart", "automatic": True}
    allowed(world, url="", **command)
    alert(world)
    path = "/api/probe/commands"
    assert world.stranger.get(path).status_code == 401
    told = world.stranger.get(f"{path}?names=restart", headers=token).json()
    (order,) = told["orders"]
    assert order.keys() == {"runId", "number", "command", "timeoutSeconds"}
    assert world.stranger.get(f"{path}?names=restart", headers=token).json() == {"orders": []}
    report = {"number": 1, "exitCode": 1, "output": "no\x00pe"}
    report_path = f"{path}/{order['runId']}"
    assert world.stranger.post(report_path, json=report).status_code == 401
    taken = world.stranger.post(report_path, json=report, headers=token)
    assert taken.json() == {"taken": True}
    (run,) = world.bob.get(f"/api/projects/{world.project}/remediation-runs").json()["runs"]
    assert run["state"] == "pausing"
    assert "Exit: 1" in run["tries"][0]["said"]
    many = ",".join(f"n{number}" for number in range(51))
    assert world.stranger.get(f"{path}?names={many}", headers=token).status_code == 400


def test_lists_come_in_pages(world: World) -> None:
    for name in ("a", "b", "c"):
        allowed(world, name=name)
    first = world.bob.get(f"{base(world)}?limit=2").json()
    rest = world.bob.get(f"{base(world)}?limit=2&cursor={first['nextCursor']}").json()
    assert [each["name"] for each in (*first["actions"], *rest["actions"])] == ["a", "b", "c"]
    runs = f"/api/projects/{world.project}/remediation-runs"
    assert world.bob.get(f"{runs}?cursor=x").status_code == 400


def test_nobody_sees_or_starts_what_is_of_others(world: World) -> None:
    made = allowed(world)
    path = f"{base(world)}/{made['id']}"
    calls: list[tuple[str, str, dict[str, Any] | None]] = [
        ("GET", base(world), None),
        ("POST", base(world), HOOK),
        ("GET", path, None),
        ("PUT", path, HOOK),
        ("POST", f"{path}/runs", {"alertId": alert(world)}),
        ("GET", f"/api/projects/{world.project}/remediation-runs", None),
        ("DELETE", path, None),
    ]
    for method, each, body in calls:
        options: dict[str, Any] = {} if body is None else {"json": body}
        assert world.charlie.request(method, each, **options).status_code == 404, each
        assert world.stranger.request(method, each, **options).status_code == 401, each
    theirs = f"/api/projects/{world.charlies_instance.project_slug}/remediation-actions"
    assert world.charlie.get(f"{theirs}/{made['id']}").status_code == 404
    probe_id, _ = a_probe(world)
    body = HOOK | {"kind": "command", "url": "", "probeId": probe_id, "command": "x"}
    assert world.charlie.post(theirs, json=body).status_code == 400
