import asyncio

from mainstay_server.areas.guard import jobs
from mainstay_server.kernel.clock import utc_now
from tests.areas.guard.test_ingest import check
from tests.areas.guard.worlds import PASSWORD
from tests.world import World


def page(world: World) -> str:
    return f"/dashboard/projects/{world.project}/guard"


def test_without_traffic_the_page_shows_how_to_guard(world: World) -> None:
    shown = world.bob.get(page(world)).text
    assert "mainstay.Guard(app)" in shown
    assert f"/api/guard/check?instance={world.instance.id}" in shown
    assert "Make a guard key" not in shown, "a member cannot make one"
    assert "Make a guard key" in world.alice.get(page(world)).text


def test_a_new_key_is_shown_on_the_answering_page_only(world: World) -> None:
    made = world.alice.post(f"{page(world)}/keys", data={"name": "web"})
    assert made.status_code == 200
    assert f"{world.ingest_key}:mst_guard_" in made.text
    again = world.alice.get(page(world)).text
    assert f"{world.ingest_key}:mst_guard_" not in again
    assert "mst_guard_…" in again


def test_settings_are_changed_with_a_form_and_refusals_are_said(world: World) -> None:
    path = f"{page(world)}/{world.instance.id}/settings"
    good = {
        "mode": "simulate",
        "trusted_hops": "2",
        "trusted_networks": "10.0.0.0/8\n192.0.2.1",
        "most_body_mib": "5",
        "cors_origins": "https://app.example",
    }
    assert world.alice.post(path, data=good).status_code == 303
    settings = world.alice.get(f"/api/instances/{world.instance.id}/guard/settings").json()
    assert settings["mode"] == "simulate"
    assert settings["client"]["trustedHops"] == 2
    assert settings["client"]["trustedNetworks"] == ["10.0.0.0/8", "192.0.2.1/32"]
    assert settings["mostBodyBytes"] == 5 * 1024 * 1024
    assert settings["cors"]["origins"] == ["https://app.example"]

    assert world.alice.post(path, data={**good, "cors_origins": "nonsense"}).status_code == 303
    kept = world.alice.get(f"/api/instances/{world.instance.id}/guard/settings").json()
    assert kept == settings
    assert world.bob.post(path, data=good).status_code == 403


def test_the_panel_tells_what_was_refused(world: World) -> None:
    panel = f"/dashboard/projects/{world.project}/panels/guard"
    assert "Nothing is guarded yet" in world.bob.get(panel).text

    check(world, x_api_key=PASSWORD)
    check(world, x_api_key="wrong")
    asyncio.run(jobs.store_verdicts(now=utc_now()))

    shown = world.bob.get(panel).text
    assert "key unknown" in shown
    assert "Requests decided" in shown
