"""The page of one health check: its state, its past, its results, its steps and its buttons."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mainstay_server.areas.health_checks import area
from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.service import evidence
from mainstay_server.kernel.database import reading
from tests.servers.http import Answer, HttpReceiver, running_http
from tests.world import World

SECRET = "s3cr3t-of-the-shop"


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(area)


@pytest.fixture
def app() -> Iterator[HttpReceiver]:
    with running_http() as receiver:
        yield receiver


def made(world: World, body: dict[str, Any]) -> str:
    """A check made by the API; returns its page."""
    answer = world.bob.post(f"/api/instances/{world.instance.id}/health-checks", json=body)
    assert answer.status_code == 201, answer.text
    return f"/dashboard/projects/{world.project}/health-checks/{answer.json()['id']}"


def test_a_check_that_was_asked_shows_what_it_found(world: World, app: HttpReceiver) -> None:
    here = made(world, {"url": f"{app.url}/health", "name": "shop"})
    app.answer(Answer(status=503), Answer(status=503))

    assert world.bob.post(f"{here}/run").headers["location"] == here
    page = world.bob.get(here).text

    assert "answered 503" in page
    assert "Unhealthy" in page
    assert "(2 tries)" in page
    for range_ in ("7d", "30d", "90d", "nonsense"):
        assert world.bob.get(f"{here}?range={range_}").status_code == 200
    assert "Unhealthy" in world.bob.get(f"{here}/now").text


def test_steps_are_shown_one_by_one_and_no_secret_with_them(
    world: World, app: HttpReceiver
) -> None:
    app.answer_at("/order", Answer(status=500))
    here = made(
        world,
        {
            "kind": "steps",
            "name": "an order",
            "config": {
                "secrets": {"password": SECRET},
                "steps": [
                    {"name": "log in", "url": f"{app.url}/login?password={{{{password}}}}"},
                    {"name": "order", "url": f"{app.url}/order"},
                    {"name": "empty the cart", "url": f"{app.url}/empty", "alwaysRuns": True},
                ],
            },
        },
    )

    world.bob.post(f"{here}/run")
    page = world.bob.get(here).text

    assert "step order: answered 500" in page
    assert "Steps of the latest run" in page
    assert "empty the cart" in page
    assert "cleans up" in page
    assert SECRET not in page
    assert "secrets.password" in page, "that it is set, is told"
    assert any(SECRET in request.path for request in app.requests)


def test_it_is_paused_resumed_and_removed_by_buttons(world: World, app: HttpReceiver) -> None:
    here = made(world, {"url": app.url, "name": "shop"})

    world.bob.post(f"{here}/pause")
    assert f"{here}/resume" in world.bob.get(here).text
    world.bob.post(f"{here}/resume")
    assert f"{here}/pause" in world.bob.get(here).text
    gone = world.bob.post(f"{here}/remove")

    assert gone.headers["location"] == here.rpartition("/")[0]
    assert world.bob.get(here).status_code == 404


def test_what_a_browser_showed_is_shown_to_its_people_alone(
    world: World, app: HttpReceiver
) -> None:
    page = b"<!doctype html><title>Shop</title><h1>Closed</h1>"
    app.answer_at("/", Answer(headers={"content-type": "text/html"}, body=page))
    here = made(
        world,
        {
            "kind": "browser",
            "name": "front page",
            "timeoutSeconds": 30,
            "config": {
                "page": f"{app.url}/",
                "steps": [{"action": "expectTitle", "value": "Shop"}],
            },
        },
    )

    world.bob.post(f"{here}/run")
    shown = world.bob.get(f"{here}/screenshots/success")

    assert f"{here}/screenshots/success" in world.bob.get(here).text
    assert shown.headers["content-type"] == "image/jpeg"
    assert shown.content.startswith(b"\xff\xd8")
    assert world.bob.get(f"{here}/screenshots/failure").status_code == 404
    assert world.charlie.get(f"{here}/screenshots/success").status_code == 404


def test_one_check_is_not_for_charlie(world: World, app: HttpReceiver) -> None:
    here = made(world, {"url": app.url, "name": "shop"})
    id_ = here.rpartition("/")[2]
    theirs = f"/dashboard/projects/{world.charlies_instance.project_slug}/health-checks/{id_}"

    for page in (here, theirs):
        assert world.charlie.get(page).status_code == 404
        for button in ("run", "pause", "resume", "remove"):
            assert world.charlie.post(f"{page}/{button}").status_code == 404
    with reading() as session:
        assert session.get(HealthCheck, id_) is not None
    assert evidence.list_screenshots(id_) == []


def test_a_check_of_several_places_shows_how_each_stands(world: World) -> None:
    body = {"url": "https://shop.example/", "name": "shop"}
    alone = made(world, body)
    world.alice.post("/api/probes", json={"name": "box", "location": "Oslo"})
    spread = made(world, body | {"locations": ["here", "Oslo"], "quorum": "any"})

    page, now = world.bob.get(spread).text, world.bob.get(f"{spread}/now").text

    assert "any of them" in page
    for shown in (page, now):
        assert "Asked from" in shown
        assert "Oslo" in shown
        assert "not yet" in shown
    assert "not yet" not in world.bob.get(alone).text
