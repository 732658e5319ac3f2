"""What reports to Uptime Kuma or to Gatus reports here, and is answered as there."""

import httpx2 as httpx
import pytest
from mainstay_server.areas.heartbeats.ingest.pushes import go_duration_ms
from mainstay_server.areas.heartbeats.models import Heartbeat, HeartbeatPing
from mainstay_server.areas.heartbeats.service.making import ensure_ping_key, make_heartbeat
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from sqlalchemy import select
from sqlalchemy.orm import undefer
from tests.world import World

NOW = utc_now()


def a_beat(world: World) -> tuple[Heartbeat, str]:
    with transaction() as session:
        values = {"name": "Backup", "slug": "core_backup"}
        made = make_heartbeat(session, world.instance, values, now=NOW)
        made.push_token = "kUmaT0ken123"
        return made, ensure_ping_key(session, world.instance, now=NOW)


def kept() -> list[tuple[str, int | None, bytes | None]]:
    with reading() as session:
        rows = session.scalars(
            select(HeartbeatPing).order_by(HeartbeatPing.number).options(undefer("*"))
        )
        return [(row.signal, row.duration_ms, row.body) for row in rows]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_kumas_address_takes_any_method_by_token_or_uuid(world: World, method: str) -> None:
    beat, _ = a_beat(world)

    by_token = world.stranger.request(method, "/api/push/kUmaT0ken123?status=up&msg=OK&ping=23")
    by_uuid = world.stranger.request(method, f"/api/push/{beat.ping_id}?status=down&msg=broken")

    for answer in (by_token, by_uuid):
        assert (answer.status_code, answer.json()) == (200, {"ok": True})
    assert kept() == [("success", 23, b"OK"), ("fail", None, b"broken")]


def test_kumas_refusal(world: World) -> None:
    answer = world.stranger.get("/api/push/unknown?status=up")

    assert answer.status_code == 404
    assert answer.json() == {"ok": False, "msg": "Monitor not found or not active."}


def test_gatus_address_takes_a_result_with_a_ping_key(world: World) -> None:
    _, key = a_beat(world)
    headers = {"authorization": f"Bearer {key}"}
    path = "/api/v1/endpoints/core_backup/external"

    assert world.stranger.post(f"{path}?success=true&duration=1m2.5s", headers=headers).is_success
    assert world.stranger.post(f"{path}?success=false&error=no+space", headers=headers).is_success

    assert kept() == [("success", 62_500, None), ("fail", None, b"no space")]


def test_gatus_refusals(world: World) -> None:
    _, key = a_beat(world)

    def ask(name: str, query: str, token: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return world.stranger.post(f"/api/v1/endpoints/{name}/external?{query}", headers=headers)

    assert ask("core_backup", "success=true", "").status_code == 401
    assert ask("core_backup", "success=perhaps", key).status_code == 400
    assert ask("another", "success=true", key).status_code == 404
    assert ask("core_backup", "success=true", "wrong-key-wrong-key").status_code == 404
    assert kept() == []


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("10s", 10_000), ("1h2m3s", 3_723_000), ("250ms", 250), ("1.5m", 90_000), ("", None),
     ("ten", None), ("10", None)],
)  # fmt: skip
def test_durations_are_read_as_go_writes_them(text: str, milliseconds: int | None) -> None:
    assert go_duration_ms(text) == milliseconds
