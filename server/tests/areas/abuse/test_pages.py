from tests.areas.abuse.test_api import ban
from tests.world import World


def test_an_admin_bans_lifts_and_changes_the_mode_by_forms(world: World) -> None:
    path = f"/dashboard/projects/{world.project}/abuse/{world.instance.id}"
    panel = f"/dashboard/projects/{world.project}/panels/abuse"
    assert "Nobody is banned" in world.bob.get(panel).text

    form = {"network": "198.51.100.4", "minutes": "5", "reason": "scraped"}
    assert world.alice.post(f"{path}/ban", data=form).status_code == 303
    assert "scraped" in world.bob.get(panel).text
    assert world.alice.post(f"{path}/mode", data={"mode": "enforce"}).status_code == 303
    assert "Who breaks a rule is kept out" in world.bob.get(panel).text

    made = ban(world, "198.51.100.5").json()
    assert world.alice.post(f"{path}/{made['id']}/lift").status_code == 303
    assert "lifted by hand" in world.bob.get(panel).text


def test_members_see_bans_without_the_buttons(world: World) -> None:
    ban(world, "198.51.100.4")
    shown = world.bob.get(f"/dashboard/projects/{world.project}/panels/abuse").text
    assert ">198.51.100.4<" in shown
    assert "Lift" not in shown
