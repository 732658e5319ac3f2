"""The API of the keys: shown once, never told to others, exact in its shapes."""

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from mainstay_server.areas.api_keys.service import minting
from tests.world import Browser, World

UNKNOWN = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"


def url(world: World, rest: str = "") -> str:
    return f"/api/instances/{world.instance.id}/api-keys{rest}"


def made(who: Browser, world: World, **wanted: Any) -> dict[str, Any]:
    answer = who.post(url(world), json={"name": "billing service", **wanted})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_key_is_shown_once_and_then_only_its_beginning_and_end(world: World) -> None:
    key = made(world.bob, world, scopes=["insight:read"], owner="acme")

    assert re.fullmatch(r"mst_production_api_[0-9A-Za-z]{38}", key["key"])
    assert (key["prefix"], key["lastFour"]) == ("mst_production_api_", key["key"][-4:])
    assert key["status"] == "active"
    listed = world.alice.get(url(world))
    assert listed.json()["nextCursor"] is None
    (found,) = listed.json()["apiKeys"]
    assert found == {name: value for name, value in key.items() if name != "key"}
    one = world.alice.get(url(world, f"/{key['id']}"))
    assert one.json() == found
    for answer in (listed, one):
        assert key["key"] not in answer.text
        assert key["key"][-38:-4] not in answer.text


def test_a_dump_of_the_database_opens_nothing(world: World, tmp_path: Path) -> None:
    key = made(world.bob, world)
    successor = world.bob.post(
        url(world, "/rotate"), json={"keyId": key["id"], "gracePeriodHours": 1}
    ).json()
    pepper = minting.pepper_of(world.instance.project_id)
    with sqlite3.connect(tmp_path / "mainstay.db") as database:
        dump = "\n".join(database.iterdump()).encode()
    database.close()
    files = b"".join(path.read_bytes() for path in tmp_path.glob("mainstay.db*"))

    for stored in (dump, files):
        assert key["id"].encode() in stored
        for secret in (key["key"], successor["key"]):
            assert secret.encode() not in stored
            assert secret[-38:-6].encode() not in stored
        for form in (pepper, pepper.hex().encode(), minting.told_pepper("x")[:20].encode()):
            assert form not in stored


def test_rotating_answers_both_keys_and_refuses_a_second_time(world: World) -> None:
    key = made(world.bob, world, scopes=["insight:read"])

    answer = world.bob.post(url(world, "/rotate"), json={"keyId": key["id"]})

    assert answer.status_code == 201
    rotated = answer.json()
    assert rotated["key"] != key["key"]
    assert rotated["scopes"] == ["insight:read"]
    assert rotated["replaces"] == rotated["oldKey"]["id"] == key["id"]
    assert rotated["oldKey"]["status"] == "rotating"
    assert rotated["oldKey"]["replacedBy"] == rotated["id"]
    assert "key" not in rotated["oldKey"]
    again = world.bob.post(url(world, "/rotate"), json={"keyId": key["id"]})
    assert (again.status_code, again.json()["code"]) == (409, "key-not-rotatable")


@pytest.mark.parametrize("hours", [-1, 24 * 90 + 1, "a while"])
def test_a_grace_that_makes_no_sense_is_refused(world: World, hours: object) -> None:
    key = made(world.bob, world)

    answer = world.bob.post(
        url(world, "/rotate"), json={"keyId": key["id"], "gracePeriodHours": hours}
    )

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "gracePeriodHours"


def test_a_key_is_changed_and_revoked(world: World) -> None:
    key = made(world.bob, world)
    path = url(world, f"/{key['id']}")

    changed = world.bob.patch(path, json={"networks": ["203.0.113.7"], "enabled": False})
    assert changed.json()["networks"] == ["203.0.113.7/32"]
    assert changed.json()["status"] == "disabled"
    assert world.bob.delete(path).status_code == 204
    assert world.bob.delete(path).status_code == 204
    assert world.bob.get(path).json()["status"] == "revoked"
    assert world.bob.patch(path, json={"enabled": True}).json()["code"] == "key-dead"
    (found,) = world.bob.get(url(world, "?status=revoked")).json()["apiKeys"]
    assert found["id"] == key["id"]


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"name": ""},
        {"name": "x", "colour": "blue"},
        {"name": "x", "scopes": ["insight"]},
        {"name": "x", "networks": ["anywhere"]},
        {"name": "x", "limits": [{"quota": 0, "windowSeconds": 60}]},
        {"name": "x", "limits": [{"quota": 1, "windowSeconds": n} for n in range(1, 7)]},
        {"name": "x", "expiresAt": "2020-01-01T00:00:00Z"},
        {"name": "x", "expiresAt": "2099-01-01T00:00:00"},
        {"name": "x", "metadata": {"a": "b" * 5000}},
        {"name": "x", "scopes": [f"a:b{n}" for n in range(51)]},
    ],
)
def test_bad_input_is_refused_by_name(world: World, wanted: dict[str, Any]) -> None:
    answer = world.bob.post(url(world), json=wanted)

    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"]
    assert world.bob.get(url(world)).json()["apiKeys"] == []


def test_admins_alone_say_what_asks_for_keys(world: World) -> None:
    settings = {
        "required": ["/api/*"],
        "public": ["/api/health"],
        "scopes": [{"methods": ["POST"], "paths": ["/api/x"], "scopes": ["x:write"]}],
        "mostPerOwner": 3,
        "rotateAfterDays": 30,
    }

    assert world.bob.request("PUT", url(world, "/settings"), json=settings).status_code == 403
    assert world.alice.request("PUT", url(world, "/settings"), json=settings).json() == settings
    assert world.bob.get(url(world, "/settings")).json() == settings


def test_charlie_and_strangers_see_and_change_nothing(world: World) -> None:
    key = made(world.bob, world)
    path = url(world, f"/{key['id']}")
    for who, status in ((world.charlie, 403), (world.stranger, 401)):
        assert who.get(url(world)).status_code == status
        assert who.get(path).status_code == status
        assert who.delete(path).status_code == status
        assert who.post(url(world), json={"name": "x"}).status_code == status
        rotate = who.post(url(world, "/rotate"), json={"keyId": key["id"]})
        assert rotate.status_code == status
    theirs = f"/api/instances/{world.charlies_instance.id}/api-keys"
    assert world.charlie.get(f"{theirs}/{key['id']}").status_code == 404
    rotate = world.charlie.post(f"{theirs}/rotate", json={"keyId": key["id"]})
    assert rotate.status_code == 404
    assert world.bob.get(path).json()["status"] == "active"


def test_a_key_that_is_not_there_is_404(world: World) -> None:
    assert world.bob.get(url(world, f"/{UNKNOWN}")).status_code == 404
    assert world.bob.post(url(world, "/rotate"), json={"keyId": UNKNOWN}).status_code == 404
