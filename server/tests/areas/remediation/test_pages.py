"""The page of remediation."""

from collections.abc import Callable
from typing import Any

import pytest
from mainstay_server.areas.alerts import area as alerts
from mainstay_server.areas.health_checks import area as health_checks
from mainstay_server.areas.remediation import area
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.events import run_waiting
from tests.world import World

FORM = {
    "name": "restart-shop",
    "kind": "webhook",
    "url": "http://127.0.0.1:9/restart",
    "matchers": 'alertname="instance_down"',
    "automatic": "on",
    "dry_run": "on",
}


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(area, alerts, health_checks)


def home(world: World) -> str:
    return f"/dashboard/projects/{world.project}/remediation"


def only(world: World) -> dict[str, Any]:
    path = f"/api/projects/{world.project}/remediation-actions"
    (found,) = world.alice.get(path).json()["actions"]
    assert isinstance(found, dict)
    return found


def test_an_empty_page_says_how_to_begin(world: World) -> None:
    page = world.alice.get(home(world)).text
    assert "Nothing is done by itself" in page
    assert "mainstay probe --server" in page
    assert 'id="allow"' in page
    assert 'id="allow"' not in world.bob.get(home(world)).text


def test_an_action_is_allowed_and_its_secret_is_shown_once(world: World) -> None:
    page = world.alice.post(home(world), data=FORM).text
    assert "whsec_" in page
    assert "whsec_" not in world.alice.get(home(world)).text
    assert (only(world)["automatic"], only(world)["dryRun"]) == (True, True)
    assert world.bob.post(home(world), data=FORM).status_code == 403


def test_what_was_done_stands_below_with_its_reason(world: World) -> None:
    world.alice.post(home(world), data=FORM)
    body = {"type": "instance_down", "severity": "critical", "title": "Shop <b>", "message": ""}
    world.bob.post(f"/api/instances/{world.instance.id}/alerts", json=body)
    run_waiting(now=utc_now())
    page = world.bob.get(home(world)).text
    assert "A dry run: nothing was done." in page
    assert "Shop &lt;b&gt;" in page


def test_an_action_is_switched_and_removed(world: World) -> None:
    world.alice.post(home(world), data=FORM)
    path = f"{home(world)}/{only(world)['id']}"
    world.alice.post(f"{path}/switch", data={"field": "dry_run"})
    world.alice.post(f"{path}/switch", data={"field": "enabled"})
    assert (only(world)["dryRun"], only(world)["enabled"]) == (False, False)
    world.alice.post(f"{path}/switch", data={"field": "secret"})
    assert world.bob.post(f"{path}/remove").status_code == 403
    world.alice.post(f"{path}/remove")
    assert "Nothing is done by itself" in world.alice.get(home(world)).text


def test_a_form_that_makes_no_sense_leaves_nothing_behind(world: World) -> None:
    for change in ({"url": "x"}, {"matchers": ""}, {"most_tries": "many"}, {"kind": "command"}):
        assert world.alice.post(home(world), data=FORM | change).status_code == 303
    path = f"/api/projects/{world.project}/remediation-actions"
    assert world.alice.get(path).json()["actions"] == []


def test_others_see_nothing(world: World) -> None:
    assert world.charlie.get(home(world)).status_code == 404
    assert world.charlie.post(home(world), data=FORM).status_code == 404
