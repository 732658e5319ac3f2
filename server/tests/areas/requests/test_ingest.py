"""The door for batches of requests: a key that may send, bodies that make sense, nothing else."""

import gzip
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from mainstay_server.areas.requests import area as requests
from mainstay_server.areas.requests.columns import count_lost
from mainstay_server.kernel.clock import utc_now
from tests.world import World

WIRE = Path(__file__).parents[4] / "wire" / "requests"
FULL, MINIMAL = (WIRE / "full.json").read_bytes(), (WIRE / "minimal.json").read_bytes()


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


def another(batch: bytes) -> bytes:
    return json.dumps({**json.loads(batch), "batchId": "another-batch"}).encode()


def stored(world: World) -> int:
    found = world.bob.get(f"/api/instances/{world.instance.id}/metrics?hours=8760&interval=1440")
    return int(found.json()["summary"]["totalRequests"])


def lost(world: World) -> int:
    now = utc_now() + timedelta(seconds=1)
    return count_lost(world.instance.id, since=now - timedelta(days=1), until=now)


def test_the_golden_batch_is_taken_packed_and_plain(world: World) -> None:
    assert send(world, FULL) == 200
    assert send(world, gzip.compress(another(FULL)), content_encoding="gzip") == 200
    assert stored(world) == 2


def test_a_batch_whose_answer_was_lost_is_stored_once_and_so_is_what_it_lost(world: World) -> None:
    batch = json.dumps({**json.loads(FULL), "dropped": 3}).encode()
    for _ in range(3):
        assert send(world, batch) == 200

    assert stored(world) == 1
    assert lost(world) == 3


def test_a_batch_without_an_id_is_stored_as_often_as_it_comes(world: World) -> None:
    for _ in range(2):
        assert send(world, MINIMAL) == 200
    assert stored(world) == 2


def test_one_who_guesses_anothers_batch_id_hides_nothing_of_theirs(world: World) -> None:
    batch = {**json.loads(FULL), "environment": "staging"}
    assert send(world, json.dumps(batch).encode()) == 200
    assert send(world, FULL) == 200
    assert stored(world) == 1


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
