from typing import Any

import pytest
from tests.areas.rate_limits.conftest import NOON, Passed
from tests.world import Browser, World

REPORTS = {
    "name": "reports",
    "methods": ["POST"],
    "paths": ["/api/reports"],
    "quota": 5,
    "windowSeconds": 3600,
}


def url(world: World, rest: str = "rate-limits") -> str:
    return f"/api/instances/{world.instance.id}/{rest}"


def names(browser: Browser, world: World) -> list[str]:
    return [each["name"] for each in browser.get(url(world)).json()["rateLimits"]]


def test_a_limit_is_added_read_changed_and_removed(world: World) -> None:
    made = world.alice.post(url(world), json=REPORTS)
    assert made.status_code == 201
    assert made.json() == {
        **REPORTS,
        "plans": [],
        "by": "caller",
        "burst": 5,
        "cost": 1,
        "onBackendError": "local",
        "simulate": False,
        "enabled": True,
    }
    assert names(world.bob, world) == ["default", "reports"]

    changed = world.alice.patch(url(world, "rate-limits/reports"), json={"simulate": True})
    assert changed.json() == made.json() | {"simulate": True}
    assert world.bob.get(url(world, "rate-limits/reports")).json() == changed.json()

    assert world.alice.delete(url(world, "rate-limits/reports")).status_code == 204
    assert world.alice.delete(url(world, "rate-limits/reports")).status_code == 404
    assert names(world.alice, world) == ["default"]


def test_the_presets_are_bodies_that_can_be_sent_as_they_are(world: World) -> None:
    presets = world.alice.get(url(world)).json()["presets"]
    for preset in presets:
        assert world.alice.post(url(world), json=preset["policy"]).status_code == 201

    assert [preset["policy"]["name"] for preset in presets][:2] == ["register", "preferences"]
    assert world.alice.get(url(world)).json()["presets"] == []


def test_the_default_is_changed_and_switched_off_but_not_removed(world: World) -> None:
    path = url(world, "rate-limits/default")
    assert world.alice.patch(path, json={"quota": 50, "enabled": False}).json()["burst"] == 50
    refused = world.alice.delete(path)
    assert refused.status_code == 409
    assert "switch it off" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (REPORTS | {"quota": 0}, 400, "quota"),
        (REPORTS | {"name": "key"}, 400, "keys' own limits"),
        (REPORTS | {"paths": ["reports"]}, 400, "begins with /"),
        (REPORTS | {"quota": 100_000, "windowSeconds": 1}, 400, "10,000 a second"),
        (REPORTS | {"name": "default"}, 409, "change that one"),
        ({"name": "x"}, 400, "quota"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(
    body: dict[str, Any], status: int, words: str, world: World
) -> None:
    refused = world.alice.post(url(world), json=body)
    assert refused.status_code == status
    assert words in refused.json()["detail"]


def test_bob_reads_alice_changes_and_charlie_sees_nothing(world: World) -> None:
    for browser, reading, writing in (
        (world.bob, 200, 403),
        (world.charlie, 403, 403),
        (world.stranger, 401, 401),
    ):
        assert browser.get(url(world)).status_code == reading
        assert browser.get(url(world, "limited-addresses")).status_code == reading
        assert browser.post(url(world), json=REPORTS).status_code == writing
        path = url(world, "rate-limits/default")
        assert browser.get(path).status_code == reading
        assert browser.patch(path, json={"quota": 1}).status_code == writing
        assert browser.delete(path).status_code == writing
    assert names(world.alice, world) == ["default"]


def test_who_was_held_back_is_told_the_worst_first(world: World, passed: Passed) -> None:
    passed.refused(world.instance, 3)
    passed.refused(world.instance, 7, address="198.51.100.4")
    passed.refused(world.charlies_instance, 99, address="192.0.2.1")

    answer = world.bob.get(url(world, "limited-addresses"), params={"hours": 6}).json()

    assert answer["known"] is True
    assert [each["address"] for each in answer["addresses"]] == ["198.51.100.4", "203.0.113.9"]
    assert answer["addresses"][0] == {
        "address": "198.51.100.4",
        "limited": 7,
        "total": 107,
        "keyIds": ["key-1"],
        "lastAt": NOON.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    }


def test_without_anybody_who_keeps_what_passed_nothing_is_known(world: World) -> None:
    assert world.bob.get(url(world, "limited-addresses")).json() == {
        "known": False,
        "addresses": [],
    }
