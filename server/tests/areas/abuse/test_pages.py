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


def test_all_bans_are_listed_searched_paged_and_the_chosen_lifted(world: World) -> None:
    path = f"/dashboard/projects/{world.project}/bans"
    assert "Nobody is banned" in world.bob.get(path).text
    made = [ban(world, f"198.51.100.{number}").json()["id"] for number in range(1, 61)]

    first = world.bob.get(path).text
    assert ">198.51.100.60<" in first
    assert ">198.51.100.10<" not in first
    assert 'rel="next"' in first
    assert ">198.51.100.10<" in world.bob.get(f"{path}?q=100.10").text
    assert "Nothing matches" in world.bob.get(f"{path}?q=%25").text
    assert "Lift the chosen" not in first, "Bob is a member"

    lifting = f"/dashboard/projects/{world.project}/abuse/{world.instance.id}/lift"
    assert world.bob.post(lifting, data={"ban": made[:2]}).status_code == 403
    assert world.alice.post(lifting, data={"ban": made[:2]}).status_code == 303
    assert "Active 58" in world.alice.get(path).text
    assert "lifted by hand" in world.alice.get(f"{path}?show=all&q=198.51.100.1%2F").text
