"""The door for batches of requests: a key that may send, bodies that make sense, nothing else."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from mainstay_server.areas.requests import area as requests
from tests.world import World

FULL = (Path(__file__).parents[4] / "wire" / "requests" / "full.json").read_bytes()


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(requests)


def send(world: World, body: bytes, *, key: str = "", number: int = 0, **headers: str) -> int:
    given = {
        "x-sentry-auth": f"Sentry sentry_key={key or world.ingest_key}, sentry_version=7",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    path = f"/api/{number or world.instance.project_number}/requests/"
    return world.stranger.post(path, content=body, headers=given).status_code


def test_the_golden_batch_is_taken_packed_and_plain(world: World) -> None:
    assert send(world, FULL) == 200
    assert send(world, gzip.compress(FULL), content_encoding="gzip") == 200
    found = world.bob.get(f"/api/instances/{world.instance.id}/metrics?hours=8760&interval=1440")
    assert found.json()["summary"]["totalRequests"] == 2


def test_an_environment_seen_for_the_first_time_becomes_an_instance(world: World) -> None:
    batch = {**json.loads(FULL), "environment": "preview"}
    assert send(world, json.dumps(batch).encode()) == 200
    instances = world.bob.get(f"/api/projects/{world.project}").json()["instances"]
    assert {one["environment"] for one in instances} == {"production", "preview"}


def test_only_the_projects_own_key_may_send(world: World) -> None:
    assert send(world, FULL, key="0" * 32) == 403
    assert send(world, FULL, number=world.charlies_instance.project_number) == 403
    path = f"/api/{world.instance.project_number}/requests/"
    assert world.stranger.post(path, content=FULL).status_code == 401


def test_bodies_that_make_no_sense_are_refused(world: World) -> None:
    assert send(world, b"not json") == 400
    assert send(world, FULL[:-5]) == 400
    assert send(world, b"\x1f\x8bbroken", content_encoding="gzip") == 400
    assert send(world, gzip.compress(b" " * 10_000_000), content_encoding="gzip") == 413
    too_many = {**json.loads(FULL), "requests": json.loads(FULL)["requests"] * 1001}
    assert send(world, json.dumps(too_many).encode()) == 400
    path = f"/api/{world.instance.project_number}/requests/"
    assert world.stranger.get(path).status_code == 405
