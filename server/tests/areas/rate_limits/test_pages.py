import pytest
from mainstay_server.areas.rate_limits.pages import rate_in_words
from mainstay_server.areas.rate_limits.schemas import Policy
from tests.areas.rate_limits.conftest import Passed
from tests.world import World

FORM = {
    "name": "reports",
    "quota": "5",
    "windowSeconds": "3600",
    "burst": "5",
    "by": "owner",
    "methods": "post, put",
    "paths": "/api/reports\r\n/api/exports/*\r\n",
    "plans": "FREE, PRO",
    "cost": "1",
    "onBackendError": "deny",
    "enabled": "on",
}


def page(world: World) -> str:
    return f"/dashboard/projects/{world.project}/rate-limits"


def act(world: World, rest: str, data: dict[str, str] | None = None) -> int:
    path = f"{page(world)}/{world.instance.id}/{rest}"
    return world.alice.post(path, data=data or {}).status_code


def limits(world: World) -> dict[str, dict[str, object]]:
    found = world.alice.get(f"/api/instances/{world.instance.id}/rate-limits").json()
    return {each["name"]: each for each in found["rateLimits"]}


def test_the_page_shows_what_holds_and_only_admins_see_how_to_change_it(world: World) -> None:
    shown = world.bob.get(page(world)).text
    assert "100 a minute" in shown
    assert "Add a limit" not in shown
    assert "Simulate" not in shown
    assert "Add a limit" in world.alice.get(page(world)).text
    assert world.charlie.get(page(world)).status_code == 404


def test_a_limit_is_added_changed_switched_and_removed_with_forms(world: World) -> None:
    assert 'name="quota"' in world.alice.get(f"{page(world)}?new=1").text
    assert act(world, "policies", FORM) == 303
    made = limits(world)["reports"]
    assert made["methods"] == ["POST", "PUT"]
    assert made["paths"] == ["/api/reports", "/api/exports/*"]
    assert (made["plans"], made["by"], made["enabled"]) == (["FREE", "PRO"], "owner", True)

    form = world.alice.get(f"{page(world)}?edit=reports").text
    assert "Change reports" in form
    assert act(world, "policies/reports", {**FORM, "quota": "7", "burst": "9"}) == 303
    assert (limits(world)["reports"]["quota"], limits(world)["reports"]["burst"]) == (7, 9)

    assert act(world, "policies/reports/switch", {"switch": "simulate", "to": "on"}) == 303
    assert act(world, "policies/default/switch", {"switch": "enabled", "to": "off"}) == 303
    assert limits(world)["reports"]["simulate"] is True
    assert limits(world)["default"]["enabled"] is False
    shown = world.alice.get(page(world)).text
    assert "Simulates" in shown
    assert "Switch on" in shown

    assert act(world, "policies/reports/remove") == 303
    assert list(limits(world)) == ["default"]


def test_a_preset_is_one_click(world: World) -> None:
    assert "New accounts: 5 an hour" in world.alice.get(page(world)).text
    assert act(world, "presets/register") == 303
    assert (limits(world)["register"]["quota"], limits(world)["register"]["windowSeconds"]) == (
        5,
        3600,
    )
    assert "New accounts: 5 an hour" not in world.alice.get(page(world)).text


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": "two words"}, "name: has 1 to 64"),
        ({"paths": "reports"}, "begins with /"),
        ({"quota": "100000", "windowSeconds": "1"}, "10,000 a second"),
        ({"name": "default"}, "change that one"),
    ],
)
def test_what_is_refused_is_said_on_the_page(
    wrong: dict[str, str], words: str, world: World
) -> None:
    path = f"{page(world)}/{world.instance.id}/policies"
    answer = world.alice.post(path, data={**FORM, **wrong})
    cookie = answer.headers["set-cookie"].partition(";")[0]

    shown = world.alice.get(page(world), headers={"cookie": f"{_session(world)}; {cookie}"}).text

    assert words in shown
    assert "reports" not in limits(world)


def _session(world: World) -> str:
    return str(world.alice._headers["cookie"])


def test_members_cannot_change_limits(world: World) -> None:
    for rest in ("policies", "policies/default", "policies/default/switch", "presets/register"):
        path = f"{page(world)}/{world.instance.id}/{rest}"
        assert world.bob.post(path, data=FORM).status_code in (400, 403)
    assert list(limits(world)) == ["default"]
    assert limits(world)["default"]["enabled"] is True


def test_the_panel_shows_limits_and_whom_they_held_back(world: World, passed: Passed) -> None:
    panel = f"/dashboard/projects/{world.project}/panels/rate_limits"
    assert "Limits held nobody back" in world.bob.get(panel).text
    for number in range(12):
        passed.refused(world.instance, 5 + number, address=f"192.0.2.{number}")

    shown = world.bob.get(panel).text

    assert "192.0.2.11" in shown
    assert "192.0.2.1<" not in shown, "the ten worst"
    assert "The worst 10 of 12 addresses" in shown
    security = world.bob.get(f"/dashboard/projects/{world.project}/security").text
    assert "100 a minute" in security


def test_without_reports_the_panel_says_that_nobody_knows(world: World) -> None:
    panel = f"/dashboard/projects/{world.project}/panels/rate_limits"
    assert "Nothing reports what passed" in world.bob.get(panel).text


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        ((100, 60, 100), "100 a minute"),
        ((5, 3600, 5), "5 an hour"),
        ((10, 900, 10), "10 in 15 minutes"),
        ((1000, 86_400, 50), "1,000 a day, 50 at once"),
        ((3, 1, 3), "3 a second"),
        ((7, 90, 7), "7 in 90 seconds"),
    ],
)
def test_a_rate_is_told_as_people_say_it(rate: tuple[int, int, int], words: str) -> None:
    quota, window, burst = rate
    assert rate_in_words(Policy(name="x", quota=quota, window_seconds=window, burst=burst)) == words
