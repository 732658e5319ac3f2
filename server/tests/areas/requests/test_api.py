"""The requests of an instance over HTTP, exactly as REQUIREMENTS P9 names them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from mainstay_server.areas.requests import area as requests
from tests.world import World


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(requests)


def send(world: World, *statuses: int) -> None:
    at = datetime.now(UTC) - timedelta(minutes=1)
    batch = {
        "environment": "production",
        "requests": [
            {"at": at.isoformat(), "method": "GET", "path": "/x", "status": s, "durationMs": 10.0}
            for s in statuses
        ],
    }
    path = f"/api/{world.instance.project_number}/requests/?sentry_key={world.ingest_key}"
    assert world.stranger.post(path, json=batch).status_code == 200


def test_the_answer_has_exactly_the_named_fields(world: World) -> None:
    send(world, 200, 200, 500, 404)

    answer = world.bob.get(f"/api/instances/{world.instance.id}/metrics?hours=1&interval=60")

    found = answer.json()
    assert found["summary"] == {
        "instanceId": world.instance.id,
        "period": "1h",
        "totalRequests": 4,
        "avgLatencyMs": 10.0,
        "p95LatencyMs": 10.0,
        "p99LatencyMs": 10.0,
        "errorRate": 25.0,
        "requestsPerSecond": pytest.approx(4 / 3600, abs=1e-6),
    }
    assert found["endpoints"] == [{"path": "/x", "count": 4, "avgLatency": 10.0, "errorRate": 25.0}]
    assert set(found["timeSeries"][0]) == {"timestamp", "requests", "avgLatency", "errors"}
    assert found["timeSeries"][0]["timestamp"].endswith("Z")


def test_without_requests_the_summary_is_null(world: World) -> None:
    answer = world.bob.get(f"/api/instances/{world.instance.id}/metrics").json()
    assert answer["summary"] is None
    assert answer["endpoints"] == []


@pytest.mark.parametrize(
    "query", ["hours=0", "hours=x", "hours=99999", "interval=0", "interval=-1"]
)
def test_a_range_that_makes_no_sense_is_refused(world: World, query: str) -> None:
    answer = world.bob.get(f"/api/instances/{world.instance.id}/metrics?{query}")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


def test_others_do_not_see_it(world: World) -> None:
    path = f"/api/instances/{world.instance.id}/metrics"
    assert world.charlie.get(path).status_code == 403
    assert world.stranger.get(path).status_code == 401
    assert world.bob.get(f"/api/instances/{'0' * 36}/metrics").status_code == 404
