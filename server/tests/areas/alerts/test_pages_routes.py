"""The page of routes: what it says of nothing, little and much, and what its buttons do."""

import re
from collections.abc import Callable

import pytest
from mainstay_server.areas import alerts
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.events import run_waiting
from tests.world import World


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(alerts.area)


def path(world: World, rest: str = "/routes") -> str:
    return f"/dashboard/projects/{world.project}/alerts{rest}"


def a_channel(world: World, name: str = "pager") -> str:
    body = {
        "type": "webhook",
        "name": name,
        "config": {"webhookUrl": f"https://hooks.example/{name}"},
    }
    made = world.bob.post(f"/api/projects/{world.project}/alert-channels", json=body)
    return str(made.json()["id"])


def form(*channels: str, **changes: str) -> dict[str, str | list[str]]:
    return {
        "name": "Outages",
        "matchers": 'severity="critical"',
        "channelIds": list(channels),
        "position": "1",
        "groupBy": "environment, alertname",
        "waitSeconds": "0",
        "intervalSeconds": "60",
        "repeatSeconds": "14400",
        "enabled": "on",
        **changes,
    }


def test_without_a_channel_and_without_a_route_it_says_what_holds(world: World) -> None:
    assert "Add a channel first" in world.bob.get(path(world)).text
    a_channel(world)
    page = world.bob.get(path(world)).text
    assert "Every channel hears all" in page
    assert "Nothing waits" in page


def test_a_route_is_added_changed_muted_and_removed(world: World) -> None:
    pager = a_channel(world)
    assert world.bob.post(path(world), data=form(pager)).status_code == 303
    page = world.bob.get(path(world)).text
    assert "Outages" in page
    assert "again every 4 h" in page
    found = re.search(r"edit=([0-9a-f-]{36})", page)
    assert found is not None
    one = found[1]
    assert "checked" in world.bob.get(path(world, f"/routes?edit={one}")).text

    changed = form(pager, name="Pages", muteTimes="Sat-Sun", timeZone="Europe/Berlin")
    assert world.bob.post(path(world, f"/routes/{one}/change"), data=changed).status_code == 303
    assert "quiet Sat-Sun (Europe/Berlin)" in world.bob.get(path(world)).text
    muted = world.bob.post(path(world, f"/routes/{one}/mute"), data={"minutes": "60"})
    assert muted.status_code == 303
    assert "Unmute" in world.bob.get(path(world)).text
    assert world.bob.post(path(world, f"/routes/{one}/remove")).status_code == 303
    assert "Every channel hears all" in world.bob.get(path(world)).text


def test_what_cannot_be_read_is_said_and_nothing_is_kept(world: World) -> None:
    answer = world.bob.post(path(world), data=form(a_channel(world), matchers="severity"))
    assert answer.status_code == 303
    assert "Every channel hears all" in world.bob.get(path(world)).text


def test_a_route_to_nobody_is_one_that_somebody_chose(world: World) -> None:
    pager = a_channel(world)
    for wrong in (form(), form(pager, nobody="on")):
        world.bob.post(path(world), data=wrong)
        assert "Every channel hears all" in world.bob.get(path(world)).text
    world.bob.post(path(world), data=form(nobody="on", name="Watchdog", matchers="a=b"))
    world.bob.post(path(world), data=form(pager, matchers="", position="2"))
    page = world.bob.get(path(world)).text
    assert "Watchdog" in page
    found = re.search(r"edit=([0-9a-f-]{36})", page)
    assert found is not None
    assert re.search(
        r'name="nobody"[^>]*checked', world.bob.get(path(world, f"/routes?edit={found[1]}")).text
    )
    shown = world.bob.get(path(world, "/routes/try?labels=a%3Db")).text
    assert "the search ended at the route" in shown


def test_labels_are_tried_while_they_are_typed(world: World) -> None:
    pager = a_channel(world)
    a_channel(world, "rest")
    world.bob.post(path(world), data=form(pager))
    shown = world.bob.get(path(world, "/routes/try?labels=severity%3Dinfo")).text
    assert "no route that names it fits" in shown
    assert "no route names it, so it hears all" in shown
    assert "one value each" in world.bob.get(path(world, "/routes/try?labels=a%3D~b")).text
    assert world.charlie.get(path(world, "/routes/try?labels=")).status_code == 404


def test_what_mutes_what_is_added_and_removed(world: World) -> None:
    rule = {"name": "North", "source": "centre=north", "target": "severity!=info", "equal": "a, b"}
    assert world.bob.post(path(world, "/inhibitions"), data=rule).status_code == 303
    page = world.bob.get(path(world)).text
    assert "North" in page
    found = re.search(r"inhibitions/([0-9a-f-]{36})/remove", page)
    assert found is not None
    assert world.bob.post(path(world, f"/inhibitions/{found[1]}/remove")).status_code == 303
    assert "North" not in world.bob.get(path(world)).text


def test_an_alert_is_muted_from_the_history_which_says_why_nobody_is_told(world: World) -> None:
    a_channel(world)
    body = {"type": "backup_failed", "severity": "critical", "title": "Empty"}
    opened = world.bob.post(f"/api/instances/{world.instance.id}/alerts", json=body).json()
    answer = world.bob.post(path(world, f"/{opened['id']}/mute"), data={"minutes": "60"})
    assert answer.status_code == 303
    run_waiting(now=utc_now())
    page = world.bob.get(path(world, "")).text
    assert "not told yet" in page
    assert "muted until" in page
    assert "Unmute" in page
    assert "Held back" in world.bob.get(path(world)).text
    assert world.charlie.post(path(world, f"/{opened['id']}/mute")).status_code == 404


def test_a_channel_is_muted_in_its_form(world: World) -> None:
    one = a_channel(world)
    quiet = {"name": "pager", "enabled": "on", "mute": "60", "muteTimes": "Sat", "timeZone": "UTC"}
    answer = world.bob.post(path(world, f"/channels/{one}/change"), data=quiet)
    assert answer.status_code == 303
    assert "Quiet every week" in world.bob.get(path(world, f"/channels?edit={one}")).text
    assert "Muted" in world.bob.get(path(world, "/channels")).text
