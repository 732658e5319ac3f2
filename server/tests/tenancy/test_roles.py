"""Who may do what: one table of calls and the least role that may make them."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from mainstay_server.kernel.database import transaction
from mainstay_server.tenancy.models import Membership, Role
from tests.world import World

ROLES = (Role.VIEWER, Role.MEMBER, Role.ADMIN, Role.OWNER)
PROJECT = "/api/projects/inspections"
# Calls whose refusal for lack of a role is a 403; what they do otherwise is not asked here.
CALLS: list[tuple[str, str, dict[str, Any], Role]] = [
    ("GET", "/api/me", {}, Role.VIEWER),
    ("GET", "/api/sessions", {}, Role.VIEWER),
    ("GET", "/api/tokens", {}, Role.VIEWER),
    ("GET", "/api/members", {}, Role.VIEWER),
    ("GET", "/api/invitations", {}, Role.ADMIN),
    ("POST", "/api/invitations", {"role": "viewer"}, Role.ADMIN),
    ("DELETE", "/api/invitations/none", {}, Role.ADMIN),
    ("PATCH", "/api/members/nobody", {"role": "viewer"}, Role.ADMIN),
    ("DELETE", "/api/members/nobody", {}, Role.ADMIN),
    ("GET", "/api/projects", {}, Role.VIEWER),
    ("POST", "/api/projects", {"name": ""}, Role.MEMBER),
    ("GET", PROJECT, {}, Role.VIEWER),
    ("PATCH", PROJECT, {"name": ""}, Role.MEMBER),
    ("DELETE", PROJECT, {}, Role.OWNER),
    ("GET", f"{PROJECT}/ingest-keys", {}, Role.VIEWER),
    ("POST", f"{PROJECT}/ingest-keys", {"label": ""}, Role.ADMIN),
    ("POST", f"{PROJECT}/ingest-keys/none/rotate", {}, Role.ADMIN),
    ("POST", f"{PROJECT}/ingest-keys/none/disable", {}, Role.ADMIN),
    ("POST", f"{PROJECT}/ingest-keys/none/enable", {}, Role.ADMIN),
    ("GET", "/api/instances", {}, Role.VIEWER),
    ("POST", "/api/instances", {"project": "none", "environment": "x"}, Role.MEMBER),
    ("GET", "/api/instances/{instance}", {}, Role.VIEWER),
    ("PATCH", "/api/instances/{instance}", {"url": "no"}, Role.MEMBER),
    ("DELETE", "/api/instances/{instance}", {}, Role.ADMIN),
    ("GET", "/api/instances/{instance}/summary", {}, Role.VIEWER),
    ("GET", "/api/summaries", {}, Role.VIEWER),
]


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for()


def call(person: Any, world: World, method: str, path: str, body: dict[str, Any]) -> int:
    path = path.format(instance=world.instance.id)
    status: int = person.request(method, path, **({"json": body} if body else {})).status_code
    return status


def test_every_call_is_open_from_its_least_role_up_and_closed_below(world: World) -> None:
    for role in ROLES:
        with transaction() as session:
            session.execute(
                sa.update(Membership)
                .where(Membership.person_id == world.bob.person_id)
                .values(role=role)
            )
        for method, path, body, least in CALLS:
            refused = call(world.bob, world, method, path, body) == 403
            assert refused is (not role.covers(least)), (role, method, path)


def test_charlie_sees_nothing_of_the_others(world: World) -> None:
    for method, path, body, _ in CALLS:
        if "inspections" in path:
            assert call(world.charlie, world, method, path, body) == 404, (method, path)
        if "{instance}" in path:
            assert call(world.charlie, world, method, path, body) == 403, (method, path)
    for path in ("/api/projects", "/api/instances", "/api/summaries", "/api/members"):
        text = world.charlie.get(path).text
        assert "inspections" not in text
        assert "alice" not in text
    made = world.charlie.post("/api/instances", json={"project": "inspections", "environment": "x"})
    assert made.status_code == 404


def test_strangers_are_told_to_sign_in(world: World) -> None:
    for method, path, body, _ in CALLS:
        assert call(world.stranger, world, method, path, body) == 401, (method, path)


def test_a_token_does_no_more_than_its_scopes_and_its_persons_role(world: World) -> None:
    made = world.bob.post("/api/tokens", json={"name": "reader", "scopes": ["project:read"]})
    token = made.json()["token"]
    headers = {"authorization": f"Bearer {token}"}

    def status(method: str, path: str, **options: Any) -> int:
        answer: int = world.stranger.request(method, path, headers=headers, **options).status_code
        return answer

    assert status("GET", PROJECT) == 200
    assert status("PATCH", PROJECT, json={"name": "New"}) == 403
    assert status("GET", "/api/members") == 403
    assert status("POST", "/api/tokens", json={"name": "x", "scopes": ["org:write"]}) == 403
    assert status("DELETE", "/api/sessions") == 403

    world.bob.delete(f"/api/tokens/{made.json()['id']}")
    assert status("GET", PROJECT) == 401


def test_a_token_cannot_make_one_that_may_do_more(world: World) -> None:
    token = world.alice.post("/api/tokens", json={"name": "o", "scopes": ["org:write"]}).json()
    headers = {"authorization": f"Bearer {token['token']}"}

    def make(scope: str) -> int:
        body = {"name": "child", "scopes": [scope]}
        answer: int = world.stranger.post("/api/tokens", json=body, headers=headers).status_code
        return answer

    assert make("org:read") == 201
    assert make("project:write") == 403


def test_a_removed_member_is_out_at_once(world: World) -> None:
    token = world.bob.post("/api/tokens", json={"name": "x", "scopes": ["org:read"]}).json()

    assert world.alice.delete(f"/api/members/{world.bob.person_id}").status_code == 204

    headers = {"authorization": f"Bearer {token['token']}"}
    assert world.bob.get("/api/me").status_code == 401
    assert world.stranger.get("/api/me", headers=headers).status_code == 401


def test_the_last_owner_stays(world: World) -> None:
    alice = f"/api/members/{world.alice.person_id}"
    assert world.alice.patch(alice, json={"role": "admin"}).status_code == 409
    assert world.alice.delete(alice).status_code == 409

    bob = f"/api/members/{world.bob.person_id}"
    assert world.alice.patch(bob, json={"role": "owner"}).status_code == 204
    assert world.alice.patch(alice, json={"role": "admin"}).status_code == 204
    assert world.alice.patch(bob, json={"role": "viewer"}).status_code == 403  # not an owner now
