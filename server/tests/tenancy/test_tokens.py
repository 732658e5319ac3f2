"""Access tokens look like what they are, and what was used is written down in batches."""

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import engine, transaction
from mainstay_server.tenancy import seen
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.service.members import add_member
from mainstay_server.tenancy.service.passwords import hash_password, is_outdated, is_password
from mainstay_server.tenancy.service.tokens import checksum, new_token
from tests.world import World


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for()


def test_a_token_can_be_told_from_a_random_word() -> None:
    token = new_token()

    assert re.fullmatch(r"mst_[0-9A-Za-z]{46}", token)
    assert checksum(token[4:44]) == token[44:]
    assert new_token() != token


def test_a_checksum_keeps_its_length() -> None:
    assert checksum("") == "000000"
    assert {len(checksum(str(n))) for n in range(1000)} == {6}


def test_reading_writes_nothing_and_last_uses_are_written_together(world: World) -> None:
    made = world.alice.post("/api/tokens", json={"name": "x", "scopes": ["project:read"]}).json()
    headers = {"authorization": f"Bearer {made['token']}"}
    begun: list[str] = []
    sa.event.listen(
        engine(), "before_cursor_execute", lambda _c, _k, statement, *_: begun.append(statement)
    )

    for _ in range(5):
        assert world.stranger.get("/api/projects", headers=headers).status_code == 200
    assert not [statement for statement in begun if statement.startswith(("UPDATE", "BEGIN IMM"))]

    with transaction() as session:
        assert seen.write_uses(session) >= 1
    used = world.alice.get("/api/tokens").json()["tokens"][0]["lastUsedAt"]
    assert used is not None


def test_an_end_in_the_past_or_an_unknown_scope_is_refused(world: World) -> None:
    past = (utc_now() - timedelta(hours=1)).isoformat()
    for body, field in (
        ({"name": "x", "scopes": ["project:read"], "expiresAt": past}, "expiresAt"),
        ({"name": "x", "scopes": ["everything"]}, "scopes"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": " ", "scopes": ["org:read"]}, "name"),
    ):
        answer = world.alice.post("/api/tokens", json=body)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize("path", ["tokens", "sessions/end-others", "password", "organization"])
def test_a_reading_token_can_do_nothing_on_the_page_of_its_person(path: str, world: World) -> None:
    made = world.alice.post("/api/tokens", json={"name": "x", "scopes": ["project:read"]}).json()
    headers = {"authorization": f"Bearer {made['token']}"}
    data = {"name": "y", "scopes": "project:read"}

    answer = world.stranger.post(f"/dashboard/account/{path}", headers=headers, data=data)

    assert answer.status_code == 403
    assert len(world.alice.get("/api/tokens").json()["tokens"]) == 1
    assert len(world.alice.get("/api/sessions").json()["sessions"]) == 1


def test_a_token_makes_none_that_outlives_it(world: World) -> None:
    end = utc_now() + timedelta(hours=1)
    short = {"name": "x", "scopes": ["org:write"], "expiresAt": end.isoformat()}
    token = world.alice.post("/api/tokens", json=short).json()["token"]
    headers = {"authorization": f"Bearer {token}"}
    later = (end + timedelta(seconds=1)).isoformat()

    for wish, status in (({"expiresAt": None}, 403), ({"expiresAt": later}, 403), ({}, 201)):
        made = world.stranger.post("/api/tokens", json={**short, **wish}, headers=headers)
        assert made.status_code == status


def test_tokens_of_a_member_who_was_removed_stay_shut_when_they_return(world: World) -> None:
    token = world.bob.post("/api/tokens", json={"name": "x", "scopes": ["project:read"]}).json()
    headers = {"authorization": f"Bearer {token['token']}"}
    assert world.stranger.get("/api/projects", headers=headers).status_code == 200
    organization_id = world.alice.get("/api/me").json()["organization"]["id"]

    assert world.alice.delete(f"/api/members/{world.bob.person_id}").status_code == 204
    with transaction() as session:
        add_member(
            session,
            organization_id=organization_id,
            person_id=world.bob.person_id,
            role=Role.VIEWER,
            now=utc_now(),
        )

    assert world.stranger.get("/api/projects", headers=headers).status_code == 401


def test_what_is_left_is_written_when_the_process_ends(world: World) -> None:
    world.alice.get("/api/me")
    assert seen._Noted.sessions

    async def end_at_once() -> None:
        stop = asyncio.Event()
        stop.set()
        await seen.last_uses.run(stop)

    seen._Noted.untold.append("a-project")
    asyncio.run(end_at_once())

    assert not seen._Noted.sessions
    assert seen.has_sent("a-project")


def test_a_password_is_kept_as_argon2id_and_made_anew_when_parameters_change() -> None:
    kept = hash_password("nine ships at anchor")

    assert kept.startswith("$argon2id$")
    assert is_password(kept, "nine ships at anchor")
    assert not is_password(kept, "nine ships at sea")
    assert not is_password("", "")
    assert not is_outdated(kept)
    assert is_outdated(kept.replace("t=2", "t=1"))
