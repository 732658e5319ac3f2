"""The door for alerts of apps: stored before it answers, heard once, and never a flood."""

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mainstay_server.areas import alerts
from mainstay_server.areas.alerts.service import app_alerts
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import transaction
from tests.world import World

WIRE = Path(__file__).parents[4] / "wire" / "alerts"


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(alerts.area)


def send(world: World, body: object, *, key: str = "", number: int = 0) -> int:
    headers = {"x-sentry-auth": f"Sentry sentry_key={key or world.ingest_key}, sentry_version=7"}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    path = f"/api/{number or world.instance.project_number}/alerts/"
    return world.stranger.post(path, content=content, headers=headers).status_code


def active(world: World) -> list[dict[str, Any]]:
    answer = world.bob.get(f"/api/instances/{world.instance.id}/alerts?active=true")
    found: list[dict[str, Any]] = answer.json()["alerts"]
    return found


def an_alert(title: str = "Payments are refused", **fields: Any) -> dict[str, Any]:
    return {"id": uuid.uuid4().hex, "severity": "low", "title": title, **fields}


@pytest.mark.parametrize("name", ["full.json", "minimal.json"])
def test_the_golden_messages_are_taken(world: World, name: str) -> None:
    assert send(world, (WIRE / name).read_bytes()) == 200
    (alert,) = active(world)
    severity = {"full.json": "high", "minimal.json": "warning"}[name]
    assert (alert["type"], alert["severity"]) == ("app_alert", severity)
    assert alert["title"] == "inspections production: Payments are refused"


def test_what_an_app_adds_stands_beside_what_it_is_about_for_amtool(world: World) -> None:
    assert send(world, {"alerts": [an_alert(metadata={"provider": "acme"})]}) == 200
    token = world.bob.post("/api/tokens", json={"name": "amtool", "scopes": ["project:read"]})
    headers = {"authorization": f"Bearer {token.json()['token']}"}
    asked = world.stranger.get(f"/alertmanager/{world.project}/api/v2/alerts", headers=headers)

    (told,) = asked.json()
    assert told["annotations"]["provider"] == "acme"
    assert told["annotations"]["summary"] == "inspections production: Payments are refused"


def test_what_is_sent_again_is_heard_once_and_a_title_again_is_counted(world: World) -> None:
    body = (WIRE / "full.json").read_bytes()
    for _ in range(3):
        assert send(world, body) == 200
    assert [alert["count"] for alert in active(world)] == [1]
    assert send(world, {"alerts": [an_alert()]}) == 200
    assert [alert["count"] for alert in active(world)] == [2]


def test_beyond_twenty_titles_an_hour_one_alert_stands_for_the_rest(world: World) -> None:
    assert send(world, {"alerts": [an_alert(f"title {n}") for n in range(30)]}) == 200
    found = active(world)
    assert len(found) == 21
    assert found[0]["title"] == "inspections production: the app sends many alerts"
    assert found[0]["count"] == 10


def test_what_is_not_sent_again_for_a_day_is_over(world: World) -> None:
    send(world, {"alerts": [an_alert()]})
    later = utc_now() + timedelta(hours=24, minutes=1)
    with transaction() as session:
        assert app_alerts.settle(session, now=later - timedelta(minutes=2)) == 0
        assert app_alerts.settle(session, now=later) == 1
    assert active(world) == []


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        {"alerts": []},
        {"alerts": [an_alert(severity="panic")]},
        {"alerts": [an_alert(title="")]},
        {"alerts": [an_alert(title="t" * 201)]},
        {"alerts": [an_alert(id="short")]},
        {"alerts": [an_alert(metadata={f"fact {n}": "" for n in range(21)})]},
        {"alerts": [an_alert() for _ in range(51)]},
    ],
)
def test_bad_bodies_are_refused_and_nothing_is_stored(world: World, body: object) -> None:
    assert send(world, body) == 400
    assert active(world) == []


def test_a_strange_key_and_another_project_are_refused(world: World) -> None:
    body = {"alerts": [an_alert()]}
    assert send(world, body, key="0" * 32) == 403
    assert send(world, body, number=2) == 403
    assert world.bob.get(f"/api/{world.instance.project_number}/alerts/").status_code == 405
    assert active(world) == []
