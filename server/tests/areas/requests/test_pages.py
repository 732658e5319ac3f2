"""The panel and the tile: what was served, or the lines that would show it."""

from collections.abc import Callable

from mainstay_server.areas.requests import area as requests
from tests.areas.requests.test_api import send
from tests.world import World


def panel(world: World) -> str:
    page = world.bob.get(f"/dashboard/projects/{world.project}/panels/metrics?hours=1")
    assert page.status_code == 200
    return page.text


def test_without_requests_the_panel_shows_the_lines_with_this_projects_dsn(
    client_for: Callable[..., World],
) -> None:
    world = client_for(requests)
    assert world.dsn.split("@")[0] in panel(world)
    assert "mainstay.ASGIMiddleware" in panel(world)


def test_with_requests_it_shows_figures_charts_and_the_busiest_endpoints(
    client_for: Callable[..., World],
) -> None:
    world = client_for(requests)
    send(world, *([200] * 99), 500)
    text = panel(world)
    assert "time-chart" in text
    assert "/x" in text
    assert "100" in text


def test_the_overview_shows_the_day_and_others_see_nothing(
    client_for: Callable[..., World],
) -> None:
    world = client_for(requests)
    send(world, 200, 500)
    assert "Requests 24 h" in world.bob.get("/dashboard").text
    assert "Requests 24 h" not in world.charlie.get("/dashboard").text
