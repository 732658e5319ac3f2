from tests.areas.quotas.test_api import on_plan, use
from tests.world import World


def test_the_page_shows_the_plan_and_warns_with_the_next_one(world: World) -> None:
    page = f"/dashboard/projects/{world.project}/usage"
    assert "no limit" in world.bob.get(page).text
    on_plan(world, "FREE")
    use(world, amount=5)
    shown = world.bob.get(page).text
    assert "100 % of autopilot_runs are used." in shown
    assert "The plan PRO allows more." in shown
    assert "Change the plan" not in shown
    assert "Change the plan" in world.alice.get(page).text


def test_the_plan_is_changed_by_a_form(world: World) -> None:
    path = f"/dashboard/projects/{world.project}/usage/plan"
    form = {"plan": "PRO", "time_zone": "Europe/Berlin"}
    assert world.alice.post(path, data=form).status_code == 303
    assert world.bob.get("/api/v1/usage").json()["plan"] == "PRO"
    assert world.bob.post(path, data=form).status_code == 403


def test_the_panel_shows_the_busiest_owners(world: World) -> None:
    panel = f"/dashboard/projects/{world.project}/panels/usage"
    assert "ENTERPRISE" in world.bob.get(panel).text
    use(world, meter="calls", owner="acme", amount=7)
    assert "acme" in world.bob.get(panel).text
    found = world.bob.get(f"/dashboard/projects/{world.project}/usage?q=acm").text
    assert "acme" in found
    missing = world.bob.get(f"/dashboard/projects/{world.project}/usage?q=zzz").text
    assert "No owner called by that name" in missing
