"""By DSN: only where the project lets it, and then as by the API."""

from typing import Any

from tests.areas.email.conftest import A_MAIL, arrived, delivered
from tests.servers.smtp import SmtpServer
from tests.world import World


def door(world: World, number: int | None = None) -> str:
    return f"/api/{number or world.instance.project_number}/emails/"


def key(world: World, key: str = "") -> dict[str, str]:
    return {"x-sentry-auth": f"Sentry sentry_key={key or world.ingest_key}"}


def allow(world: World) -> None:
    answer = world.alice.post(
        f"/dashboard/projects/{world.project}/email/setup/dsn", data={"by_dsn": "on"}
    )
    assert answer.status_code == 303


def test_a_dsn_sends_no_mail_until_an_administrator_lets_it(world: World, smtp: SmtpServer) -> None:
    refused = world.stranger.post(door(world), json=A_MAIL, headers=key(world))
    assert refused.status_code == 403
    assert "dsn-sends-no-mail" in refused.text
    path = f"/dashboard/projects/{world.project}/email/setup/dsn"
    assert world.bob.post(path, data={"by_dsn": "on"}).status_code == 403
    allow(world)
    headers = {**key(world), "idempotency-key": "once"}
    answers = [world.stranger.post(door(world), json=A_MAIL, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    delivered()
    arrived(smtp, 1)
    assert world.bob.get("/api/emails").json()["emails"][0]["madeBy"] == "DSN"


def test_what_the_door_cannot_use_is_refused(world: World) -> None:
    allow(world)
    bodies: list[dict[str, Any]] = [
        {"content": b"{"},
        {"json": []},
        {"json": {"to": "x"}},
        {"content": b'{"to":"\xff"}'},
        {"content": b"[" * 100_000},
        {"content": b'{"to":"a@b.example","data":' + b'{"a":' * 40 + b"1" + b"}" * 41},
    ]
    for body in bodies:
        answer = world.stranger.post(door(world), headers=key(world), **body)
        assert answer.status_code == 400, answer.text
    assert world.stranger.post(door(world), json=A_MAIL).status_code == 401
    assert world.stranger.get(door(world), headers=key(world)).status_code == 405
    foreign = world.stranger.post(door(world), json=A_MAIL, headers=key(world, "f" * 32))
    assert foreign.status_code == 403
    other = world.charlies_instance.project_number
    theirs = world.stranger.post(door(world, other), json=A_MAIL, headers=key(world, "f" * 32))
    assert theirs.status_code == 403, "Charlie's project lets its DSN send nothing"
