"""Routes, inhibition, mutes and groups over HTTP, and who may set them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from mainstay_server.areas import alerts
from mainstay_server.areas.alerts.service.routing import flushing
from mainstay_server.kernel.clock import rfc3339, utc_now
from mainstay_server.kernel.events import run_waiting
from tests.servers.http import HttpReceiver
from tests.world import World

AN_HOUR = timedelta(hours=1)


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(alerts.area)


def path(world: World, rest: str = "routes") -> str:
    return f"/api/projects/{world.project}/alert-{rest}"


def a_channel(world: World, url: str = "https://hooks.example/", **more: Any) -> str:
    body = {"type": "webhook", "config": {"webhookUrl": url}, **more}
    answer = world.bob.post(f"/api/projects/{world.project}/alert-channels", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def a_route(world: World, name: str, *channels: str, **more: Any) -> dict[str, Any]:
    body = {"name": name, "channelIds": list(channels), **more}
    answer = world.bob.post(path(world), json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def an_alert(world: World, title: str = "Empty", severity: str = "critical") -> dict[str, Any]:
    body = {"type": "backup_failed", "severity": severity, "title": title}
    answer = world.bob.post(f"/api/instances/{world.instance.id}/alerts", json=body)
    opened: dict[str, Any] = answer.json()
    return opened


def act(world: World, alert_id: str, **what: Any) -> dict[str, Any]:
    url = f"/api/instances/{world.instance.id}/alerts"
    answer = world.bob.post(url, json={"alertId": alert_id, **what})
    assert answer.status_code == 200, answer.text
    done: dict[str, Any] = answer.json()
    return done


def work() -> None:
    now = utc_now()
    run_waiting(now=now)
    flushing.release_held(now=now)
    run_waiting(now=now)


def test_routes_are_made_ordered_changed_and_removed(world: World) -> None:
    pager = a_channel(world)
    first = a_route(world, "first", pager, matchers='{severity = "critical"}')
    second = a_route(world, "second", pager, position=1, **{"continue": True})
    assert (first["matchers"], first["continue"]) == ('severity="critical"', False)
    assert first["groupBy"] == ["environment", "alertname", "severity"]
    assert (second["matchers"], second["continue"], second["position"]) == ("", True, 1)

    def names() -> list[str]:
        found = world.bob.get(path(world)).json()["routes"]
        places = [each["position"] for each in found]
        assert places == sorted(set(places))
        return [each["name"] for each in found]

    assert names() == ["second", "first"]
    change = {
        "position": 2,
        "repeatSeconds": 14400,
        "muteTimes": "Sat-Sun",
        "timeZone": "Asia/Tokyo",
    }
    changed = world.bob.patch(path(world, f"routes/{second['id']}"), json=change).json()
    assert (changed["repeatSeconds"], changed["muteTimes"]) == (14400, "Sat-Sun")
    assert names() == ["first", "second"]
    assert world.bob.get(path(world, f"routes/{second['id']}")).json() == changed
    page = world.bob.get(path(world, "routes?limit=1")).json()
    rest = world.bob.get(path(world, f"routes?cursor={page['nextCursor']}")).json()
    assert [each["name"] for each in page["routes"] + rest["routes"]] == ["first", "second"]

    assert world.bob.delete(path(world, f"routes/{first['id']}")).status_code == 204
    assert names() == ["second"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"matchers": "severity"}, "operator is missing"),
        ({"matchers": 'a=~"("'}, "regular expression"),
        ({"channelIds": []}, "channelIds"),
        ({"channelIds": ["nobody"]}, "has no channel 'nobody'"),
        ({"muteTimes": "nights"}, "Mon-Fri 18:00-08:00"),
        ({"timeZone": "Mars/Olympus"}, "Europe/Berlin"),
        ({"intervalSeconds": 86_401}, "intervalSeconds"),
        ({"repeatSeconds": -1}, "repeatSeconds"),
        ({"name": "  "}, "name is missing"),
        ({"groupBy": ["x" * 201]}, "groupBy"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_what_makes_no_route_is_refused_with_the_next_step(
    world: World, wrong: dict[str, Any], says: str
) -> None:
    body = {"name": "one", "channelIds": [a_channel(world)], **wrong}
    answer = world.bob.post(path(world), json=body)
    assert answer.status_code == (404 if wrong.get("channelIds") else 400), answer.text
    assert says in answer.text
    assert world.bob.get(path(world)).json()["routes"] == []


def test_a_name_is_taken_once(world: World) -> None:
    pager = a_channel(world)
    a_route(world, "one", pager)
    again = {"name": " one ", "channelIds": [pager]}
    assert world.bob.post(path(world), json=again).status_code == 409


def test_charlie_sees_and_changes_nothing_and_a_viewer_only_looks(world: World) -> None:
    route = a_route(world, "one", a_channel(world))
    rule = {"name": "x", "source": "a=b", "target": "c=d"}
    made = world.bob.post(path(world, "inhibitions"), json=rule).json()
    one, mute = path(world, f"routes/{route['id']}"), path(world, f"inhibitions/{made['id']}")
    for url in (path(world), one, path(world, "groups"), path(world, "inhibitions")):
        assert world.charlie.get(url).status_code == 404
    assert world.charlie.post(path(world), json={}).status_code in (400, 404)
    assert world.charlie.patch(one, json={"position": 1}).status_code == 404
    assert world.charlie.delete(one).status_code == 404
    assert world.charlie.delete(mute).status_code == 404
    trial = world.charlie.post(path(world, "route-test"), json={"labels": {}})
    assert trial.status_code == 404
    assert len(world.bob.get(path(world)).json()["routes"]) == 1
    assert world.bob.get(path(world, "routes/nobody")).status_code == 404


def test_trying_labels_tells_who_hears_and_why_not(world: World) -> None:
    pager = a_channel(world, name="pager")
    a_channel(world, "https://hooks.example/rest", name="rest")
    a_route(world, "outages", pager, matchers="severity=critical")

    def trial(**labels: str) -> dict[str, Any]:
        answer = world.bob.post(path(world, "route-test"), json={"labels": labels})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    grave, mild = trial(severity="critical"), trial(severity="info")
    assert (grave["routes"], mild["routes"]) == (["outages"], [])
    assert [(each["channel"], each["hears"]) for each in grave["channels"]] == [
        ("pager", True),
        ("rest", True),
    ]
    assert [(each["channel"], each["hears"], each["why"]) for each in mild["channels"]] == [
        ("pager", False, "no route that names it fits"),
        ("rest", True, "no route names it, so it hears all"),
    ]
    answer = world.bob.post(path(world, "route-test"), json={"labels": {"severity": "loud"}})
    assert answer.status_code == 400
    elsewhere = {"labels": {"environment": "moon"}}
    assert world.bob.post(path(world, "route-test"), json=elsewhere).status_code == 400


def test_a_muted_alert_says_so_and_is_told_when_that_ends(
    world: World, http_receiver: HttpReceiver
) -> None:
    a_channel(world, http_receiver.url)
    opened = an_alert(world)
    until = rfc3339(utc_now() + AN_HOUR)
    muted = act(world, opened["id"], action="mute", until=until)
    assert muted["mutedUntil"] == until
    work()
    (listed,) = world.bob.get(f"/api/instances/{world.instance.id}/alerts").json()["alerts"]
    assert listed["notToldBecause"].startswith("muted until ")
    assert http_receiver.requests == []
    (group,) = world.bob.get(path(world, "groups")).json()["groups"]
    assert (group["held"], group["told"], group["labels"]["severity"]) == (1, 0, "critical")

    assert "mutedUntil" not in act(world, opened["id"], action="mute")
    work()
    assert len(http_receiver.requests) == 1
    (group,) = world.bob.get(path(world, "groups")).json()["groups"]
    assert (group["held"], group["told"]) == (0, 1)


def test_a_muted_channel_and_a_muted_route_are_quiet(
    world: World, http_receiver: HttpReceiver
) -> None:
    channel = a_channel(world, http_receiver.url)
    url = f"/api/instances/{world.instance.id}/alert-channels/{channel}"
    until = rfc3339(utc_now() + AN_HOUR)
    quiet = world.bob.patch(url, json={"mutedUntil": until, "muteTimes": "Sat", "timeZone": "UTC"})
    assert (quiet.json()["mutedUntil"], quiet.json()["muteTimes"]) == (until, "Sat")
    route = a_route(world, "all", channel, mutedUntil=until)
    an_alert(world)
    work()
    assert http_receiver.requests == []
    reset = {"mutedUntil": None, "muteTimes": ""}
    assert world.bob.patch(url, json=reset).json()["mutedUntil"] is None
    work()
    assert http_receiver.requests == []
    loud = world.bob.patch(path(world, f"routes/{route['id']}"), json={"mutedUntil": None})
    assert loud.json()["mutedUntil"] is None
    work()
    assert len(http_receiver.requests) == 1
    assert world.bob.patch(url, json={"muteTimes": "nights"}).status_code == 400


def test_a_rule_of_inhibition_holds_back_what_follows(
    world: World, http_receiver: HttpReceiver
) -> None:
    a_channel(world, http_receiver.url)
    rule = {
        "name": "A failed backup mutes its warnings",
        "source": "alertname=backup_failed,severity=critical",
        "target": "alertname=backup_failed,severity=warning",
        "equal": ["environment"],
    }
    made = world.bob.post(path(world, "inhibitions"), json=rule)
    assert made.status_code == 201, made.text
    assert world.bob.get(path(world, "inhibitions")).json()["inhibitions"] == [made.json()]
    an_alert(world, "Empty")
    an_alert(world, "Late", "warning")
    work()
    assert len(http_receiver.requests) == 1

    one = path(world, f"inhibitions/{made.json()['id']}")
    assert world.bob.patch(one, json={"target": "x"}).status_code == 400
    off = world.bob.patch(one, json={"enabled": False}).json()
    assert off == made.json() | {"enabled": False}
    gone = world.bob.delete(one)
    assert gone.status_code == 204
    work()
    assert len(http_receiver.requests) == 2
    for wrong in ({"source": "{}"}, {"target": "x"}, {"name": ""}):
        refused = world.bob.post(path(world, "inhibitions"), json=rule | wrong)
        assert refused.status_code == 400


def test_a_removed_channel_leaves_its_routes(world: World) -> None:
    one, two = a_channel(world), a_channel(world, "https://hooks.example/2")
    route = a_route(world, "both", one, two)
    url = f"/api/instances/{world.instance.id}/alert-channels/{one}"
    assert world.bob.delete(url).status_code == 204
    assert world.bob.get(path(world, f"routes/{route['id']}")).json()["channelIds"] == [two]
