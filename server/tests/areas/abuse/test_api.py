from typing import Any

from tests.world import World


def base(world: World) -> str:
    return f"/api/instances/{world.instance.id}"


def ban(world: World, network: str, **body: object) -> Any:
    return world.alice.post(f"{base(world)}/bans", json={"network": network, **body})


def test_somebody_is_banned_listed_and_let_in_again(world: World) -> None:
    made = ban(world, "198.51.100.4", minutes=5, reason="scraped")
    assert made.status_code == 201
    assert (made.json()["active"], made.json()["rule"]) == (True, "by_hand")
    (listed,) = world.bob.get(f"{base(world)}/bans").json()["bans"]
    assert listed == made.json()

    lifted = world.alice.post(f"{base(world)}/bans/{listed['id']}/lift").json()
    assert (lifted["active"], lifted["liftedBecause"]) == (False, "by hand")


def test_what_cannot_be_banned_is_refused_with_the_reason(world: World) -> None:
    assert ban(world, "127.0.0.1").status_code == 409
    assert ban(world, "0.0.0.0/0").status_code == 400
    assert ban(world, "198.51.100.4", minutes=0).status_code == 400
    assert world.alice.post(f"{base(world)}/bans/nothing/lift").status_code == 404


def test_settings_are_read_by_members_and_changed_by_admins(world: World) -> None:
    path = f"{base(world)}/abuse/settings"
    before = world.bob.get(path).json()
    assert (before["mode"], before["windowMinutes"]) == ("simulate", 10)
    change = {"mode": "enforce", "thresholds": {"key_spraying": 7}}
    assert world.bob.patch(path, json=change).status_code == 403
    after = world.alice.patch(path, json=change).json()
    spraying = next(rule for rule in after["rules"] if rule["rule"] == "key_spraying")
    assert (after["mode"], spraying["threshold"], spraying["default"]) == ("enforce", 7, 20)
    assert world.alice.patch(path, json={"thresholds": {"no": 1}}).status_code == 400


def test_charlie_sees_and_lifts_nothing_of_others(world: World) -> None:
    made = ban(world, "198.51.100.4").json()
    assert world.charlie.get(f"{base(world)}/bans").status_code == 403
    theirs = f"/api/instances/{world.charlies_instance.id}/bans/{made['id']}/lift"
    assert world.charlie.post(theirs).status_code == 404
