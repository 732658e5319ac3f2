"""The API of the keys: shown once, never told to others, exact in its shapes."""

import hashlib
import re
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import sqlalchemy as sa
from mainstay_server.areas.api_keys.service import minting
from mainstay_server.areas.api_keys.settings import ApiKeyAreaSettings
from mainstay_server.contracts.guard import KeyUse, use_of_keys
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import engine
from mainstay_server.kernel.ports import install_answers
from mainstay_server.kernel.settings import override_settings
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


@pytest.mark.parametrize("value", [b'"\\ud800"', b"1e999", b"NaN", b"[" * 300 + b"]" * 300])
def test_metadata_that_could_not_be_told_again_is_refused_by_name(
    world: World, value: bytes
) -> None:
    answer = world.bob.post(
        url(world),
        content=b'{"name":"x","metadata":{"n":%b}}' % value,
        headers={"content-type": "application/json"},
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


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


def test_usage_is_told_by_route_and_address(world: World) -> None:
    key = made(world.bob, world)
    at = utc_now()

    def answer(
        instance_id: str, *, key_ids: Sequence[str], since: datetime, until: datetime
    ) -> list[KeyUse]:
        return [
            KeyUse(
                key_id=key_ids[0],
                method="GET",
                route=route,
                address="203.0.113.7",
                total=total,
                refused=refused,
                last_at=at,
            )
            for route, total, refused in (("/a", 5, 2), ("/b", 1, 0))
        ]

    path = url(world, f"/{key['id']}/usage")
    assert world.bob.get(path).json() == {
        "apiKeyId": key["id"],
        "hours": 24,
        "total": 0,
        "refused": 0,
        "lastAt": None,
        "routes": [],
        "addresses": [],
        "complete": True,
    }
    install_answers((use_of_keys.answered_by(answer),))
    try:
        found = world.bob.get(path, params={"hours": 48}).json()
    finally:
        use_of_keys.answer = None

    assert (found["total"], found["refused"], found["hours"]) == (6, 2, 48)
    assert [(r["method"], r["route"], r["total"]) for r in found["routes"]] == [
        ("GET", "/a", 5),
        ("GET", "/b", 1),
    ]
    assert [(a["address"], a["total"]) for a in found["addresses"]] == [("203.0.113.7", 6)]
    assert world.bob.get(path, params={"hours": 0}).status_code == 400
    assert world.charlie.get(path).status_code == 403


def report(world: World, *tokens: dict[str, str]) -> httpx.Response:
    return world.stranger.post("/api/guard/keys/leaked", json=list(tokens))


def test_whoever_found_a_key_can_have_it_revoked_without_signing_in(world: World) -> None:
    key = made(world.bob, world)
    unknown = minting.mint("production", "nobody").key
    tokens = [
        {"token": key["key"], "type": "mainstay_api_key", "url": "https://code.example/a.py"},
        {"token": unknown, "type": "mainstay_api_key", "url": "", "source": "content"},
        {"token": "hunter2", "type": "mainstay_api_key", "found_by": "a field of tomorrow"},
    ]

    answer = report(world, *tokens)

    assert answer.status_code == 200, answer.text
    assert [one["label"] for one in answer.json()] == [
        "true_positive",
        "false_positive",
        "false_positive",
    ]
    assert answer.json()[0]["token_hash"] == hashlib.sha256(key["key"].encode()).hexdigest()
    assert key["key"] not in answer.text
    found = world.bob.get(url(world, f"/{key['id']}")).json()
    assert found["status"] == "revoked"
    assert found["leakedAt"] == found["revokedAt"]
    assert report(world, tokens[0]).json()[0]["label"] == "true_positive", "it was real"


def test_a_report_of_words_asks_the_database_nothing(world: World) -> None:
    mistyped = made(world.bob, world)["key"][:-1] + "-"
    asked: list[str] = []
    sa.event.listen(
        engine(), "before_cursor_execute", lambda _c, _k, statement, *_: asked.append(statement)
    )

    answer = report(world, {"token": mistyped}, {"token": "hunter2"})

    assert [one["label"] for one in answer.json()] == ["false_positive"] * 2
    assert asked == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"token": "x"}, 400),
        ([{"type": "x"}], 400),
        ([{"token": "x" * 501}], 400),
        ([{"token": "x"}] * 1001, 400),
        ([], 200),
    ],
)
def test_a_report_is_a_list_of_bounded_size(world: World, body: object, status: int) -> None:
    answer = world.stranger.post("/api/guard/keys/leaked", json=body)

    assert answer.status_code == status


def test_one_address_may_report_only_so_often(world: World) -> None:
    override_settings(ApiKeyAreaSettings(api_keys_reports_per_minute=3))

    statuses = [report(world, {"token": "x"}) for _ in range(9)]

    assert statuses[-1].status_code == 429
    assert 1 <= int(statuses[-1].headers["retry-after"]) <= 60
    assert sum(answer.status_code == 200 for answer in statuses) <= 6, "around a minute's edge"


def test_scanners_are_told_what_to_search_for(world: World) -> None:
    told = world.stranger.get("/api/guard/keys/pattern").json()
    key = made(world.bob, world)["key"]

    assert re.search(told["pattern"], f"KEY = '{key}'")
    assert re.search(told["pattern"], told["example"])
    assert minting.is_well_formed(told["example"])
    assert not re.search(told["pattern"], "mst_0123456789012345678901234567890123456789012345")
