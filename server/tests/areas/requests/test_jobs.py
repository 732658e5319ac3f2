"""The job sums up what is over, again what came late, and leaves the rest to the requests."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from mainstay_server.areas.requests import jobs, service
from mainstay_server.areas.requests.columns import REQUEST_METRICS
from mainstay_server.areas.requests.schemas import ReceivedRequest, RequestBatch
from mainstay_server.kernel import columns
from tests.world import NOON_YESTERDAY

NOON = NOON_YESTERDAY
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def store(column_store: Callable[..., None]) -> None:
    column_store(REQUEST_METRICS)


def served(at: datetime) -> None:
    request = ReceivedRequest(at=at, method="GET", path="/", status=200, duration_ms=5)
    rows = service.rows_of(
        RequestBatch(requests=[request]), instance_id="i1", received_at=NOON + 60 * MINUTE
    )
    columns.append_blocking(REQUEST_METRICS, rows, rows=1)


def summed_up() -> dict[int, int]:
    rows = columns.query(
        "SELECT toHour(bucket) AS hour, sum(total) AS total FROM request_endpoints GROUP BY hour"
    )
    return {row["hour"]: row["total"] for row in rows}


def run(now: datetime) -> None:
    jobs.sum_up_requests.function(now=now)


def test_three_hours_are_summed_up_when_they_are_over_and_a_little_later() -> None:
    served(NOON - 5 * MINUTE)
    served(NOON + 5 * MINUTE)

    run(NOON + MINUTE)
    assert summed_up() == {}

    run(NOON + 3 * MINUTE)
    assert summed_up() == {9: 1}


def test_requests_that_came_late_are_summed_up_by_the_next_run() -> None:
    served(NOON - 5 * MINUTE)
    run(NOON + 3 * MINUTE)
    served(NOON - 4 * MINUTE)
    served(NOON - 24 * 60 * MINUTE)

    run(NOON + 13 * MINUTE)
    run(NOON + 23 * MINUTE)

    assert summed_up() == {9: 2, 12: 1}
