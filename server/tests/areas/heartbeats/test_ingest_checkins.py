"""Check-ins of Sentry's SDKs: in envelopes and at their address, with the monitor they describe."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx2 as httpx
import pytest
from mainstay_server.areas.errors import area as errors
from mainstay_server.areas.heartbeats import area as heartbeats
from mainstay_server.areas.heartbeats.models import Heartbeat, HeartbeatPing
from mainstay_server.areas.heartbeats.service.intake import close_intake
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.watching import State
from sqlalchemy import select
from tests.world import World

CONFIG = {
    "schedule": {"type": "crontab", "value": "0 3 * * *"},
    "checkin_margin": 5,
    "max_runtime": 20,
    "timezone": "Europe/Berlin",
    "failure_issue_threshold": 2,
    "recovery_threshold": 3,
}
ZEROS = "0" * 32


@pytest.fixture
def world(client_for: Callable[..., World]) -> Iterator[World]:
    yield client_for(heartbeats, errors)
    close_intake()


def number(world: World) -> int:
    return world.instance.project_number


def send(world: World, **check_in: Any) -> httpx.Response:
    """An envelope as the SDKs send it."""
    item = {"monitor_slug": "nightly-backup", "status": "ok", **check_in}
    body = "\n".join([json.dumps({"dsn": world.dsn}), '{"type":"check_in"}', json.dumps(item)])
    return world.stranger.post(
        f"/api/{number(world)}/envelope/",
        content=body.encode(),
        headers={"x-sentry-auth": f"Sentry sentry_key={world.ingest_key}"},
    )


def address(world: World, rest: str, **options: Any) -> httpx.Response:
    return world.stranger.post(f"/api/{number(world)}/cron/{rest}", **options)


def the_beat() -> Heartbeat:
    with reading() as session:
        return session.scalars(select(Heartbeat)).one()


def signals() -> list[tuple[str, int | None]]:
    with reading() as session:
        rows = session.scalars(select(HeartbeatPing).order_by(HeartbeatPing.number))
        return [(row.signal, row.duration_ms) for row in rows]


def test_a_check_in_with_a_configuration_makes_the_heartbeat(world: World) -> None:
    run = uuid4().hex
    first = send(world, status="in_progress", check_in_id=run, monitor_config=CONFIG)
    assert first.status_code == 200, first.text
    send(world, check_in_id=run, duration=38.25)

    beat = the_beat()
    assert (beat.slug, beat.expression, beat.time_zone) == (
        "nightly-backup",
        "0 3 * * *",
        "Europe/Berlin",
    )
    assert (beat.grace_seconds, beat.max_duration_seconds) == (300, 1200)
    assert (beat.fail_after, beat.recover_after) == (2, 3)
    assert (beat.state, beat.is_running, beat.last_duration_ms) == (State.HEALTHY, False, 38_250)
    assert signals() == [("start", None), ("success", 38_250)]


def test_another_configuration_changes_it(world: World) -> None:
    send(world, monitor_config=CONFIG)
    hourly = {"schedule": {"type": "interval", "value": 2, "unit": "hour"}}

    send(world, monitor_config=hourly)

    beat = the_beat()
    assert (beat.schedule_kind, beat.period_seconds, beat.grace_seconds) == ("period", 7200, 300)


def test_what_is_not_said_is_as_sentry_takes_it(world: World) -> None:
    send(world, monitor_config={"schedule": {"type": "crontab", "value": "@daily"}})

    beat = the_beat()
    assert (beat.expression, beat.grace_seconds, beat.max_duration_seconds) == (
        "0 0 * * *",
        60,
        1800,
    )


def test_an_id_of_zeros_ends_the_run_that_began_last(world: World) -> None:
    for run in (uuid4().hex, uuid4().hex):
        send(world, status="in_progress", check_in_id=run, monitor_config=CONFIG)
    send(world, check_in_id=ZEROS, status="error")

    assert len(the_beat().open_runs) == 1
    assert [signal for signal, _ in signals()] == ["start", "start", "fail"]


def test_an_environment_has_heartbeats_of_its_own(world: World) -> None:
    send(world, monitor_config=CONFIG)
    send(world, monitor_config=CONFIG, environment="staging")

    with reading() as session:
        beats = session.scalars(select(Heartbeat)).all()
    assert len({beat.instance_id for beat in beats}) == 2


@pytest.mark.parametrize(
    ("check_in", "status", "said"),
    [
        ({}, 404, "There is no heartbeat 'nightly-backup' in production"),
        ({"status": "missed"}, 400, "cannot be read"),
        ({"check_in_id": "seven"}, 400, "check_in_id is no UUID"),
        ({"monitor_slug": "!!!"}, 400, "no letter or digit"),
        ({"duration": -1}, 400, "duration must be"),
        (
            {"monitor_config": {"schedule": {"type": "crontab", "value": "61 * * * *"}}},
            400,
            "no cron expression",
        ),
        ({"monitor_config": CONFIG | {"timezone": "Mars/Olympus"}}, 400, "no time zone"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(
    world: World, check_in: dict[str, Any], status: int, said: str
) -> None:
    answer = send(world, **check_in)

    assert answer.status_code == status
    assert said in answer.json()["detail"]
    assert signals() == []


def test_the_address_takes_query_body_and_key(world: World) -> None:
    send(world, monitor_config=CONFIG)
    key = world.ingest_key

    by_path = address(world, f"nightly-backup/{key}/?status=in_progress")
    by_query = address(world, f"nightly-backup?sentry_key={key}&status=ok&duration=2.5")
    by_body = address(
        world,
        "nightly-backup",
        json={"status": "error"},
        headers={"x-sentry-auth": f"Sentry sentry_key={key}"},
    )

    assert [answer.status_code for answer in (by_path, by_query, by_body)] == [202] * 3
    assert signals()[1:] == [("start", None), ("success", 2500), ("fail", None)]


def test_the_address_wants_a_key_of_the_project(world: World) -> None:
    send(world, monitor_config=CONFIG)

    assert address(world, "nightly-backup?status=ok").status_code == 401
    assert address(world, f"nightly-backup/{'f' * 32}?status=ok").status_code == 403
    assert address(world, f"nobody/{world.ingest_key}?status=ok").status_code == 404
    assert address(world, "").status_code == 404
    assert len(signals()) == 1
