from typing import Any

import pytest
from mainstay_server.contracts.guard import GuardKeyCreated, GuardKeyRevoked, GuardSettingsChanged
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.events import said_events
from tests.areas.guard.test_ingest import check
from tests.world import World


def keys_path(world: World) -> str:
    return f"/api/projects/{world.project}/guard-keys"


def settings_path(world: World) -> str:
    return f"/api/instances/{world.instance.id}/guard/settings"


def said() -> list[Any]:
    with reading() as session:
        return [event for _, event in said_events(session)]


def test_a_guard_key_is_shown_once_with_the_dsn_that_holds_it(world: World) -> None:
    made = world.alice.post(keys_path(world), json={"name": " web servers "})
    assert made.status_code == 201
    body = made.json()
    assert body["key"].startswith("mst_guard_")
    assert body["dsn"] == (
        f"http://{world.ingest_key}:{body['key']}@mainstay.test/{world.instance.project_number}"
    )

    (listed,) = world.bob.get(keys_path(world)).json()["guardKeys"]
    assert (listed["name"], listed["hint"]) == ("web servers", f"mst_guard_…{body['key'][-4:]}")
    assert body["key"] not in world.bob.get(keys_path(world)).text


def test_making_and_revoking_is_said_once(world: World) -> None:
    key = world.alice.post(keys_path(world), json={"name": "web"}).json()
    for _ in range(2):
        answer = world.alice.post(f"{keys_path(world)}/{key['id']}/revoke")
        assert answer.json()["revokedAt"] is not None

    assert [type(event) for event in said()] == [GuardKeyCreated, GuardKeyRevoked]
    assert key["key"] not in str(said())


def test_only_admins_make_and_revoke_and_charlie_sees_nothing(world: World) -> None:
    key = world.alice.post(keys_path(world), json={"name": "web"}).json()

    assert world.bob.post(keys_path(world), json={"name": "bobs"}).status_code == 403
    assert world.bob.post(f"{keys_path(world)}/{key['id']}/revoke").status_code == 403
    assert world.charlie.get(keys_path(world)).status_code == 404
    theirs = f"/api/projects/{world.charlies_instance.project_slug}/guard-keys"
    assert world.charlie.post(f"{theirs}/{key['id']}/revoke").status_code == 404


def test_a_project_has_so_many_guard_keys_and_pages_of_them(world: World) -> None:
    for number in range(50):
        assert world.alice.post(keys_path(world), json={"name": str(number)}).status_code == 201
    assert world.alice.post(keys_path(world), json={"name": "more"}).status_code == 409

    first = world.bob.get(f"{keys_path(world)}?limit=30").json()
    second = world.bob.get(f"{keys_path(world)}?limit=30&cursor={first['nextCursor']}").json()
    names = [key["name"] for key in first["guardKeys"] + second["guardKeys"]]
    assert names == [str(number) for number in reversed(range(50))]
    assert second["nextCursor"] is None


def test_settings_have_safe_defaults_and_change_what_is_given(world: World) -> None:
    before = world.bob.get(settings_path(world)).json()
    assert (before["mode"], before["cors"], before["version"]) == ("enforce", None, 0)

    cors = {"origins": ["https://app.example"], "credentials": True}
    after = world.alice.patch(settings_path(world), json={"cors": cors}).json()
    assert after["cors"]["origins"] == ["https://app.example"]
    assert (after["headers"], after["version"]) == (before["headers"], 1)
    assert world.alice.patch(settings_path(world), json={"cors": None}).json()["cors"] is None

    changed, changed_back = said()
    assert isinstance(changed, GuardSettingsChanged)
    assert isinstance(changed_back, GuardSettingsChanged)
    assert changed.changes["cors.origins"] == (None, ["https://app.example"])
    assert changed_back.changes["cors.origins"] == (["https://app.example"], None)


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "off"},
        {"client": {"trustedNetworks": ["10.0.0.0/99"]}},
        {"client": {"trustedHops": -1}},
        {"headers": {"set": {"X Bad": "1"}}},
        {"headers": {"set": {"X-Bad": "1\r\nSet-Cookie: a=b"}}},
        {"cors": {"origins": ["https://app.example/path"]}},
        {"cors": {"origins": ["*"], "credentials": True}},
        {"cors": {"origins": ["http://[::1"]}},
        {"headers": {"set": {"Content-Length": "0"}}},
        {"headers": {"set": {}, "remove": ["Transfer-Encoding"]}},
        {"cors": {"origins": ["https://app.example"], "methods": ["get it"]}},
        {"mostBodyBytes": -1},
        {"unknown": 1},
    ],
)
def test_settings_that_make_no_sense_are_refused(world: World, change: dict[str, Any]) -> None:
    answer = world.alice.patch(settings_path(world), json=change)
    assert answer.status_code == 400
    assert answer.json()["detail"]


def test_members_see_the_settings_and_admins_change_them(world: World) -> None:
    assert world.bob.patch(settings_path(world), json={"mode": "simulate"}).status_code == 403
    assert world.charlie.get(settings_path(world)).status_code == 403


def test_people_see_the_policy_without_what_a_key_could_be_tried_by(world: World) -> None:
    path = f"/api/instances/{world.instance.id}/guard/policy"
    shown = world.alice.get(path).json()
    assert shown["version"] == 0
    assert "pepper" not in shown["keys"]
    assert world.bob.get(path).status_code == 403


def test_figures_start_empty(world: World) -> None:
    check(world)
    path = f"/api/instances/{world.instance.id}/guard/figures"
    assert world.bob.get(f"{path}?hours=0").status_code == 400
    assert world.charlie.get(path).status_code == 403
    assert world.bob.get(path).json()["figures"] == []
