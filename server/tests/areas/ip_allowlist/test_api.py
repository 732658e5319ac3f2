from collections.abc import Callable
from typing import Any

import pytest
from mainstay_server.areas.ip_allowlist import area
from mainstay_server.contracts.ip_allowlist import (
    AllowlistEntryAdded,
    AllowlistEntryChanged,
    AllowlistEntryRemoved,
)
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.events import said_events
from mainstay_server.kernel.guard import policy_version
from tests.world import World


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(area)


def path(world: World) -> str:
    return f"/api/instances/{world.instance.id}/ip-allowlist"


def do(world: World, action: str, **body: object) -> dict[str, Any]:
    answer = world.alice.post(path(world), json={"action": action, **body})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert isinstance(found, dict)
    return found


def test_an_address_and_a_network_are_added_switched_and_removed(world: World) -> None:
    assert world.bob.get(path(world)).json() == {"allowlist": [], "active": False}
    do(world, "add", ipAddress="203.0.113.7", description="the office")
    listed = do(world, "add", ipAddress="10.1.2.3", cidr="8")
    office, network = listed["allowlist"]
    assert (office["ipAddress"], office["cidr"], office["description"], office["enabled"]) == (
        "203.0.113.7",
        None,
        "the office",
        True,
    )
    assert (network["ipAddress"], network["cidr"]) == ("10.0.0.0", "10.0.0.0/8")

    do(world, "toggle", entryId=office["id"])
    off = do(world, "toggle", entryId=network["id"], enabled=False)
    assert [entry["enabled"] for entry in off["allowlist"]] == [False, False]
    assert off["active"] is False

    left = do(world, "remove", entryId=office["id"])
    assert [entry["id"] for entry in left["allowlist"]] == [network["id"]]


@pytest.mark.parametrize(
    ("address", "cidr", "shown"),
    [
        ("10.1.2.3/8", None, "10.0.0.0/8"),
        ("10.1.2.3", "/8", "10.0.0.0/8"),
        ("10.1.2.3", 8, "10.0.0.0/8"),
        ("10.1.2.3", "10.0.0.0/8", "10.0.0.0/8"),
        ("", "10.0.0.0/8", "10.0.0.0/8"),
        ("2001:DB8::1", "32", "2001:db8::/32"),
        ("::ffff:10.0.0.0", 104, "10.0.0.0/8"),
    ],
)
def test_a_network_is_understood_however_it_is_written(
    world: World, address: str, cidr: str | int | None, shown: str
) -> None:
    (entry,) = do(world, "add", ipAddress=address, cidr=cidr)["allowlist"]
    assert entry["cidr"] == shown


@pytest.mark.parametrize(
    "body",
    [
        {"action": "add"},
        {"action": "add", "ipAddress": "example.com"},
        {"action": "add", "ipAddress": "10.0.0.0", "cidr": "99"},
        {"action": "add", "ipAddress": "999.0.0.1"},
        {"action": "remove"},
        {"action": "burn", "entryId": "x"},
        {"action": "add", "ipAddress": "10.0.0.1", "typo": 1},
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(world: World, body: dict[str, Any]) -> None:
    answer = world.alice.post(path(world), json=body)
    assert answer.status_code == 400
    assert answer.json()["detail"]


def test_the_same_network_is_listed_once(world: World) -> None:
    do(world, "add", ipAddress="10.0.0.0/8")
    again = world.alice.post(path(world), json={"action": "add", "ipAddress": "10.9.9.9/8"})
    assert again.status_code == 409


def test_whether_an_address_gets_in_is_told_with_the_entry_that_lets_it(world: World) -> None:
    def check(address: str) -> dict[str, Any]:
        answer = world.bob.get(f"{path(world)}/check?address={address}").json()
        assert isinstance(answer, dict)
        return answer

    assert check("192.0.2.1") == {
        "address": "192.0.2.1",
        "allowed": True,
        "active": False,
        "entryId": None,
    }
    (entry,) = do(world, "add", ipAddress="10.0.0.0/8")["allowlist"]
    assert check("::ffff:10.2.3.4")["entryId"] == entry["id"]
    assert check("192.0.2.1")["allowed"] is False
    assert world.bob.get(f"{path(world)}/check?address=10.0.0.0/8").status_code == 400


def test_each_change_is_said_and_makes_a_new_policy(world: World) -> None:
    (entry,) = do(world, "add", ipAddress="10.0.0.0/8")["allowlist"]
    do(world, "toggle", entryId=entry["id"])
    do(world, "toggle", entryId=entry["id"], enabled=False)  # changes nothing
    do(world, "remove", entryId=entry["id"])

    with reading() as session:
        said = [event for _, event in said_events(session)]
        version = policy_version(session, world.instance.id)
    assert [type(event) for event in said] == [
        AllowlistEntryAdded,
        AllowlistEntryChanged,
        AllowlistEntryRemoved,
    ]
    assert isinstance(said[1], AllowlistEntryChanged)
    assert said[1].changes == {"enabled": (True, False)}
    assert version == 3


def test_members_look_and_admins_change_and_charlie_sees_nothing(world: World) -> None:
    add = {"action": "add", "ipAddress": "10.0.0.0/8"}
    assert world.bob.post(path(world), json=add).status_code == 403
    assert world.charlie.get(path(world)).status_code == 403
    (entry,) = do(world, "add", ipAddress="10.0.0.0/8")["allowlist"]
    theirs = f"/api/instances/{world.charlies_instance.id}/ip-allowlist"
    stolen = {"action": "remove", "entryId": entry["id"]}
    assert world.charlie.post(theirs, json=stolen).status_code == 404
    assert len(world.bob.get(path(world)).json()["allowlist"]) == 1
