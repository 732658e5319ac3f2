"""What rules are told of requests: of each instance, and of each of its endpoints."""

from collections.abc import Callable
from typing import cast

import pytest
from mainstay_server.areas.requests import service
from mainstay_server.areas.requests.columns import REQUEST_METRICS
from sqlalchemy.orm import Session
from tests.areas.requests.test_service import MINUTE, NOW, served, store_batch

NO_SESSION = cast("Session", None)


@pytest.fixture(autouse=True)
def store(column_store: Callable[..., None]) -> None:
    column_store(REQUEST_METRICS)


def test_requests_are_told_by_instance_and_by_endpoint() -> None:
    store_batch(served(*[100.0] * 90, path="/a"))
    store_batch(served(*[900.0] * 10, path="/b", status=500))
    store_batch(served(1), "i2")
    store_batch(served(1, at=NOW - 10 * MINUTE), "i3")
    family = service.REQUESTS
    assert {measure.name for measure in family.measures} == {
        "requests.error_rate",
        "requests.p95_ms",
        "requests.p99_ms",
        "requests.average_ms",
        "requests.count",
    }

    whole = family.read(NO_SESSION, since=NOW - 5 * MINUTE, until=NOW, by_part=False)
    parts = family.read(NO_SESSION, since=NOW - 5 * MINUTE, until=NOW, by_part=True)

    assert [(each.instance_id, each.part, each.count) for each in whole] == [
        ("i1", "", 100),
        ("i2", "", 1),
    ]
    values = whole[0].values
    assert (values["requests.count"], values["requests.error_rate"]) == (100, 10)
    assert values["requests.average_ms"] == pytest.approx(180)
    assert values["requests.p95_ms"] == pytest.approx(900)
    assert [(each.part, each.values["requests.error_rate"]) for each in parts] == [
        ("/a", 0),
        ("/b", 100),
        ("/", 0),
    ]
