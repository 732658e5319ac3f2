"""The sums answer what the requests themselves would: every count exactly, whatever the span."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import pytest
from mainstay_server.areas.requests import columns, service
from mainstay_server.areas.requests.columns import REQUEST_METRICS
from mainstay_server.areas.requests.schemas import ReceivedRequest, RequestBatch
from mainstay_server.kernel.columns import append_blocking, query_value, store, sum_up
from tests.world import NOON_YESTERDAY

NOW = NOON_YESTERDAY + timedelta(minutes=34, seconds=56.789)
THE_DAY_BEFORE = NOW - timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def opened(column_store: Callable[..., None]) -> None:
    column_store(REQUEST_METRICS)


def some_requests(count: int, *, seed: int, over: timedelta, paths: int = 3) -> RequestBatch:
    chance = random.Random(seed)
    return RequestBatch(
        requests=[
            ReceivedRequest(
                at=NOW - timedelta(milliseconds=chance.randrange(1, int(over / HOUR * 3_600_000))),
                method=chance.choice(["GET", "POST"]),
                path=f"/{chance.randrange(paths)}",
                status=chance.choice([200, 404, 500]),
                duration_ms=chance.lognormvariate(3, 1),
            )
            for _ in range(count)
        ]
    )


def store_batch(batch: RequestBatch, instance_id: str = "i1") -> None:
    rows = service.rows_of(batch, instance_id=instance_id, received_at=NOW)
    append_blocking(REQUEST_METRICS, rows, rows=len(batch.requests))


def within(batch: RequestBatch, since: datetime, until: datetime) -> list[ReceivedRequest]:
    return [request for request in batch.requests if since <= request.at < until]


SPANS = [
    (timedelta(milliseconds=1), timedelta(0)),
    (timedelta(seconds=20), timedelta(0)),
    (timedelta(minutes=1), timedelta(seconds=30)),
    (timedelta(minutes=3), timedelta(0)),
    (HOUR, timedelta(0)),
    (timedelta(hours=7, seconds=1), timedelta(minutes=7, milliseconds=5)),
    # From and to a full hour, of which one, both or none is one of three.
    (timedelta(hours=6, minutes=34, seconds=56.789), timedelta(minutes=34, seconds=56.789)),
    (timedelta(hours=9, minutes=34, seconds=56.789), timedelta(hours=2, minutes=34)),
    (timedelta(hours=17, minutes=34, seconds=56.789), timedelta(seconds=3)),
    (timedelta(hours=20), timedelta(0)),
]


@pytest.mark.parametrize("summed_up", ["never", "once", "before some came late"])
def test_counts_are_exact_for_any_span(summed_up: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MOST_EXACT", 0)
    batch = some_requests(3_000, seed=1, over=20 * HOUR)
    late = some_requests(50, seed=2, over=20 * HOUR)
    store_batch(batch)
    store_batch(some_requests(100, seed=3, over=20 * HOUR), instance_id="i2")
    if summed_up != "never":
        sum_up(REQUEST_METRICS, until=NOW)
    store_batch(late)
    if summed_up == "once":
        sum_up(REQUEST_METRICS, until=NOW)

    for since_ago, until_ago in SPANS:
        since, until = NOW - since_ago, NOW - until_ago
        expected = [*within(batch, since, until), *within(late, since, until)]
        failed = sum(request.status == 500 for request in expected)

        rows = columns.figures("i1", since=since, until=until, endpoints=20)
        counted = columns.counts_by_instance(["i1"], since=since, until=until)
        by_minute = columns.buckets("i1", since=since, until=until, seconds=60)

        assert [(row["total"], row["errors"]) for row in rows[:1]] == [
            (row["total"], row["errors"]) for row in counted
        ]
        assert sum(row["total"] for row in counted) == len(expected)
        assert sum(row["errors"] for row in counted) == failed
        assert Counter({row["path"]: row["total"] for row in rows[1:]}) == Counter(
            request.path for request in expected
        )
        assert Counter({row["begins"]: row["total"] for row in by_minute}) == Counter(
            int(request.at.timestamp()) // 60 * 60 for request in expected
        )
        assert columns.newest("i1", since=since, until=until)["total"] == len(expected)


def test_what_is_summed_up_is_read_from_the_sums_and_only_the_rest_from_the_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(columns, "MOST_EXACT", 0)
    batch = some_requests(1_000, seed=4, over=20 * HOUR)
    store_batch(batch)
    sum_up(REQUEST_METRICS, until=NOW)
    store._opened().engine.command(
        f"ALTER TABLE request_metrics DROP PARTITION {THE_DAY_BEFORE:%Y%m%d}"
    )
    store_batch(some_requests(10, seed=5, over=HOUR))

    (found, *_) = columns.figures("i1", since=NOW - 20 * HOUR, until=NOW, endpoints=0)

    # Of the first three hours, whose requests are gone, only a part was asked for.
    first_whole = THE_DAY_BEFORE.replace(hour=18, minute=0, second=0, microsecond=0)
    assert found["total"] == len(within(batch, first_whole, NOW)) + 10


def test_the_newest_request_is_found_in_the_sums() -> None:
    batch = some_requests(50, seed=3, over=6 * HOUR)
    store_batch(batch)

    found = columns.newest("i1", since=NOW - 6 * HOUR, until=NOW - HOUR)

    expected = max(request.at for request in within(batch, NOW - 6 * HOUR, NOW - HOUR))
    assert found["newest_at"] == expected


def test_percentiles_from_sketches_are_those_of_numpy_within_a_percent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(columns, "MOST_EXACT", 0)
    batches = [some_requests(1_000, seed=seed, over=20 * HOUR, paths=2) for seed in range(20)]
    for batch in batches:
        store_batch(batch)
    sum_up(REQUEST_METRICS, until=NOW)
    requests = [request for batch in batches for request in batch.requests]

    everything, *endpoints = columns.figures("i1", since=NOW - 20 * HOUR, until=NOW, endpoints=20)

    assert len(endpoints) == 2
    for row in (everything, *endpoints):
        durations = [r.duration_ms for r in requests if row["path"] in ("", r.path)]
        assert row["percentiles"] == pytest.approx(np.percentile(durations, [50, 95, 99]), rel=0.01)
        assert row["average"] == pytest.approx(np.mean(durations), rel=0.0001)
        assert sorted(row["methods"]) == ["GET", "POST"]


def test_the_summary_the_endpoints_and_the_series_agree() -> None:
    for seed in range(3):
        store_batch(some_requests(500, seed=seed, over=20 * HOUR, paths=20))

    metrics = service.get_metrics("i1", hours=24, interval_minutes=30, now=NOW)

    assert metrics.summary is not None
    assert metrics.summary.total_requests == 1_500
    assert sum(endpoint.count for endpoint in metrics.endpoints) == 1_500
    assert sum(bucket.requests for bucket in metrics.time_series) == 1_500


@pytest.mark.parametrize("most_exact", [0, 250_000])
def test_an_app_with_one_endpoint_has_the_same_percentiles_in_both_places(
    most_exact: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "MOST_EXACT", most_exact)
    store_batch(some_requests(400, seed=1, over=6 * HOUR, paths=1))

    everything, endpoint = columns.figures("i1", since=NOW - 6 * HOUR, until=NOW, endpoints=20)

    assert everything["percentiles"] == endpoint["percentiles"]
    assert everything["average"] == pytest.approx(endpoint["average"], rel=1e-9)


def test_an_app_that_reports_raw_paths_has_so_many_endpoints_and_loses_no_request() -> None:
    batch = some_requests(1_000, seed=6, over=timedelta(minutes=30), paths=1_000_000)
    store_batch(batch, "raw paths")
    store_batch(some_requests(10, seed=6, over=timedelta(minutes=30), paths=3), "templates")

    busiest = columns.figures("raw paths", since=NOW - HOUR, until=NOW, endpoints=500)[1:]

    assert len(busiest) == service.MOST_ENDPOINTS + 1
    assert busiest[0]["path"] == service.OTHER_ENDPOINTS
    assert sum(row["total"] for row in busiest) == 1_000
    assert (
        query_value("SELECT uniqExact(path) FROM request_metrics WHERE instance_id = 'raw paths'")
        > 900
    )
    assert len(columns.figures("templates", since=NOW - HOUR, until=NOW, endpoints=500)) == 4


def test_in_the_next_hour_other_paths_may_be_endpoints() -> None:
    first = some_requests(1_000, seed=7, over=timedelta(minutes=5), paths=1_000_000)
    store_batch(first, "deployed")
    rows = service.rows_of(
        RequestBatch(
            requests=[
                ReceivedRequest(at=NOW + HOUR, method="GET", path="/new", status=200, duration_ms=1)
            ]
        ),
        instance_id="deployed",
        received_at=NOW + HOUR,
    )

    assert b"(other)" not in rows
