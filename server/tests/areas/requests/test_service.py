"""Requests: true percentiles, honest buckets, and times that can be believed."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from mainstay_server.areas.requests import service
from mainstay_server.areas.requests.columns import REQUEST_METRICS
from mainstay_server.areas.requests.schemas import ReceivedRequest, RequestBatch
from mainstay_server.contracts.requests import RequestCount
from mainstay_server.kernel import columns
from mainstay_server.kernel.problems import Invalid
from tests.world import NOON_YESTERDAY

NOW = NOON_YESTERDAY
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
WIRE = Path(__file__).parents[4] / "wire" / "requests"


@pytest.fixture(autouse=True)
def store(column_store: Callable[..., None]) -> None:
    column_store(REQUEST_METRICS)


def served(
    *durations_ms: float, at: datetime = NOW - MINUTE, status: int = 200, path: str = "/"
) -> RequestBatch:
    return RequestBatch(
        requests=[
            ReceivedRequest(at=at, method="GET", path=path, status=status, duration_ms=duration)
            for duration in durations_ms
        ]
    )


def store_batch(batch: RequestBatch, instance_id: str = "i1") -> None:
    rows = service.rows_of(batch, instance_id=instance_id, received_at=NOW)
    columns.append_blocking(REQUEST_METRICS, rows, rows=len(batch.requests))


@pytest.mark.parametrize("count", [1, 2, 7, 1000])
def test_percentiles_are_those_of_numpy(count: int) -> None:
    durations = np.random.default_rng(count).lognormal(3, 1, count)
    store_batch(served(*(float(value) for value in durations)))

    found = service.summarize("i1", hours=24, now=NOW)

    assert found is not None
    assert found.p95_latency_ms == pytest.approx(np.percentile(durations, 95), rel=0.001)
    assert found.p99_latency_ms == pytest.approx(np.percentile(durations, 99), rel=0.001)
    assert found.avg_latency_ms == pytest.approx(durations.mean(), rel=0.001)


def test_the_summary_counts_failures_in_percent_and_requests_per_second() -> None:
    store_batch(served(10, 10, 10))
    store_batch(served(10, status=500))
    store_batch(served(10, status=404))

    found = service.summarize("i1", hours=1, now=NOW)

    assert found is not None
    assert (found.period, found.total_requests, found.error_rate) == ("1h", 5, 20.0)
    assert found.requests_per_second == pytest.approx(5 / 3600, abs=1e-6)


def test_an_instance_without_requests_has_no_summary_and_full_empty_buckets() -> None:
    metrics = service.get_metrics("nobody", hours=24, interval_minutes=60, now=NOW)
    assert metrics.summary is None
    assert metrics.endpoints == []
    assert [bucket.requests for bucket in metrics.time_series] == [0] * 25


def test_every_request_is_in_the_bucket_of_its_interval() -> None:
    for minutes, count in ((1, 3), (61, 2), (62, 1)):
        store_batch(served(*([5.0] * count), at=NOW - minutes * MINUTE))

    series = service.get_metrics("i1", hours=3, interval_minutes=60, now=NOW).time_series

    assert [(b.timestamp.hour, b.requests) for b in series] == [(9, 0), (10, 3), (11, 3), (12, 0)]


def test_the_busiest_endpoints_come_first_and_at_most_twenty() -> None:
    for n in range(25):
        store_batch(served(*([1.0] * (n + 1)), path=f"/{n}"))
    endpoints = service.get_metrics("i1", hours=1, interval_minutes=60, now=NOW).endpoints
    assert [endpoint.path for endpoint in endpoints] == [f"/{n}" for n in range(24, 4, -1)]


def test_one_instance_never_shows_in_another() -> None:
    store_batch(served(1.0, 2.0), instance_id="i1")
    store_batch(served(3.0, status=503), instance_id="i2")

    assert service.count_requests(since=NOW - HOUR, until=NOW) == {
        "i1": RequestCount(total=2, errors=0),
        "i2": RequestCount(total=1, errors=1),
    }
    found = service.summarize("i1", hours=1, now=NOW)
    assert found is not None
    assert found.total_requests == 2


def test_an_app_whose_clock_is_an_hour_slow_is_put_right() -> None:
    slow = NOW - HOUR
    batch = served(1.0, at=slow - MINUTE)
    store_batch(msgspec.structs.replace(batch, sent_at=slow))
    series = service.time_series("i1", since=NOW - 5 * MINUTE, until=NOW, seconds=60)
    assert [bucket.requests for bucket in series] == [0, 0, 0, 0, 1, 0]


@pytest.mark.parametrize("years", [-30, 30])
def test_a_time_that_nobody_can_believe_is_now(years: int) -> None:
    store_batch(served(1.0, at=NOW + years * 365 * timedelta(days=1)))
    assert service.summarize("i1", hours=1, now=NOW + MINUTE) is not None


def test_too_many_buckets_are_refused_with_the_interval_that_would_do() -> None:
    with pytest.raises(Invalid, match="at least 4 for 168 hours"):
        service.get_metrics("i1", hours=168, interval_minutes=1, now=NOW)


@pytest.mark.parametrize("name", ["minimal", "full"])
def test_the_golden_batches_are_read(name: str) -> None:
    batch = service.read_batch((WIRE / f"{name}.json").read_bytes())
    store_batch(batch)
    assert len(batch.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff\xfe",
        b'{"requests": [{}]}',
        b'{"requests": [{"at": "yesterday"}]}',
        (
            b'{"requests": [{"at": "2026-11-21T12:00:00Z", "method": "GET", "path": "/",'
            b' "status": 99, "durationMs": 1}]}'
        ),
        (
            b'{"requests": [{"at": "2026-11-21T12:00:00Z", "method": "GET", "path": "/",'
            b' "status": 200, "durationMs": -1}]}'
        ),
    ],
)
def test_a_batch_that_makes_no_sense_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid, match="not readable"):
        service.read_batch(body)
