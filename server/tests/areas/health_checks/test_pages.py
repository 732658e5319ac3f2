"""The panel, its buttons and the tile, over the real app."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from mainstay_server.areas.health_checks import area, pages
from mainstay_server.areas.health_checks.models import HealthState
from mainstay_server.areas.health_checks.service import checks, recording
from mainstay_server.contracts.tenancy import InstanceChanged
from mainstay_server.kernel.area import PanelRequest
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import said_events
from starlette.requests import Request
from tests.areas.health_checks.test_api import follow
from tests.areas.health_checks.worlds import GRACE, finished
from tests.servers.http import Answer, HttpReceiver, running_http
from tests.world import World


@pytest.fixture
def app() -> Iterator[HttpReceiver]:
    with running_http() as receiver:
        yield receiver


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(area)


def panel_of(world: World, *, may_write: bool = True) -> str:
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    request = Request({**scope, "server": ("mainstay.test", 80), "scheme": "http"})
    with reading() as session:
        return pages.draw_panel(
            PanelRequest(
                request=request,
                session=session,
                instance=world.instance,
                hours=24,
                now=utc_now(),
                may_write=may_write,
            )
        )


def test_without_a_url_the_panel_asks_for_it_and_only_those_who_may(world: World) -> None:
    drawn = panel_of(world)

    assert "Nobody is watching production yet" in drawn
    assert f"/health/{world.instance.id}/url" in drawn
    assert "<form" not in panel_of(world, may_write=False)


def test_the_form_sets_the_url_of_the_instance(world: World) -> None:
    base = f"/dashboard/projects/{world.project}/health/{world.instance.id}"

    answer = world.bob.post(f"{base}/url", data={"url": "https://shop.example/health"})

    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"/dashboard/projects/{world.project}/monitoring")
    with reading() as session:
        changed = [e for _, e in said_events(session) if isinstance(e, InstanceChanged)]
    assert [event.health_url for event in changed] == ["https://shop.example/health"]


def test_a_bad_url_changes_nothing_and_leads_back(world: World) -> None:
    base = f"/dashboard/projects/{world.project}/health/{world.instance.id}"

    answer = world.bob.post(f"{base}/url", data={"url": "shop"})

    assert answer.status_code == 303
    with reading() as session:
        assert [e for _, e in said_events(session) if isinstance(e, InstanceChanged)] == []


def test_check_now_asks_and_the_panel_shows_it(world: World, app: HttpReceiver) -> None:
    follow(world, f"{app.url}/health")
    app.answer_at("/health", Answer(status=503))

    run = f"/dashboard/projects/{world.project}/health/{world.instance.id}/run"
    answer = world.bob.post(run)
    drawn = panel_of(world)

    assert answer.status_code == 303
    assert "Unhealthy" in drawn
    assert "answered 503" in drawn
    assert "time-chart" in drawn


def test_pause_and_resume_are_buttons_too(world: World) -> None:
    follow(world, "https://shop.example/health")
    base = f"/dashboard/projects/{world.project}/health/{world.instance.id}"

    paused = world.bob.post(f"{base}/pause")
    resting = panel_of(world)
    resumed = world.bob.post(f"{base}/resume")

    assert (paused.status_code, resumed.status_code) == (303, 303)
    assert "Paused: nothing is asked." in resting
    assert f"{base}/resume" in resting
    assert f"{base}/pause" in panel_of(world)


def test_the_buttons_are_not_for_charlie(world: World) -> None:
    base = f"/dashboard/projects/{world.project}/health/{world.instance.id}"

    for button in ("run", "pause", "resume"):
        assert world.charlie.post(f"{base}/{button}").status_code == 403
    assert world.charlie.post(f"{base}/url", data={"url": "https://x.example"}).status_code == 403


def test_tile_and_summary_tell_the_last_day(world: World) -> None:
    follow(world, "https://shop.example/health")
    now = utc_now()
    with transaction() as session:
        check = checks.find_main_check(session, world.instance.id)
        assert check is not None
        for minutes, state in ((40, "healthy"), (20, "unhealthy"), (10, "healthy")):
            check.watched_until = check.silent_at = now
            one = finished(check, HealthState(state), at=now - timedelta(minutes=minutes))
            recording.record_results(session, [one], grace_seconds=GRACE)
        check.watched_until = check.silent_at = now
    with reading() as session:
        tile = pages.tiles(session, [world.instance.id], now)[world.instance.id]
        summary = pages.summary(session, [world.instance.id], now)[world.instance.id]

    assert (tile.label, tile.value, tile.tone) == ("Uptime 24 h", "75 %", "critical")
    assert tile.hint == "healthy, since 10 min ago"
    assert len(tile.spark) == 24
    assert (summary["status"], summary["uptime"], summary["checks"]) == ("healthy", 75.0, 0)
