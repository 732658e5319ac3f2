"""What rules are told of requests: of each instance, and of each of its endpoints."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import cast

import pytest
from mainstay_server.areas.requests import service
from mainstay_server.areas.requests.columns import REQUEST_METRICS
from mainstay_server.kernel.columns import Windows, sliding
from mainstay_server.kernel.measures import Past, PastQuestion
from sqlalchemy.orm import Session
from tests.areas.requests.test_service import HOUR, MINUTE, NOW, served, store_batch

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


def replayed(
    measure: str,
    *,
    by_part: bool = False,
    part: str = "",
    window: timedelta = 5 * MINUTE,
    since: datetime,
) -> Past:
    replay = service.REQUESTS.replay
    assert replay is not None
    windows = Windows(width=window, since=since, until=NOW)
    asked = PastQuestion(
        measure=measure, instance_id="i1", windows=windows, by_part=by_part, part=part
    )
    return replay(NO_SESSION, asked)


@pytest.mark.parametrize(("by_part", "part"), [(False, ""), (True, ""), (True, "/b")])
def test_the_past_is_replayed_as_each_minute_would_have_been_told_it(
    part: str, *, by_part: bool
) -> None:
    chance = random.Random(7)
    begin = NOW - 40 * MINUTE
    for minute in (0, 1, 2, 5, 9, 10, 30):
        for path in ("/a", "/b"):
            at = begin + minute * MINUTE + timedelta(seconds=chance.choice((0, 0, 1, 59.9)))
            took = [chance.lognormvariate(5, 1) for _ in range(chance.randrange(1, 30))]
            store_batch(served(*took, at=at, path=path, status=chance.choice((200, 500))))
    store_batch(served(1, at=begin), "i2")
    moments = [begin + minute * MINUTE for minute in range(1, 41)]

    for window in (MINUTE, 5 * MINUTE):
        told = {
            moment: [
                reading
                for reading in service.REQUESTS.read(
                    NO_SESSION, since=moment - window, until=moment, by_part=by_part
                )
                if reading.instance_id == "i1" and part in ("", reading.part)
            ]
            for moment in moments
        }
        for measure in (each.name for each in service.REQUESTS.measures):
            past = replayed(measure, by_part=by_part, part=part, window=window, since=begin)
            assert (past.since, past.has_more_parts) == (begin, False)
            for moment in moments:
                found = past.at(moment)
                expected = sorted(told[moment], key=lambda each: each.part)
                assert [(each.part, each.count) for each in found] == [
                    (each.part, each.count) for each in expected
                ], (measure, window, moment)
                assert [each.values[measure] for each in found] == pytest.approx(
                    [each.values[measure] for each in expected]
                ), (measure, window, moment)


def test_of_a_past_that_is_too_much_to_look_at_only_the_end_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin = NOW - 10 * HOUR
    for hour in range(10):
        store_batch(served(*[100.0] * 10, at=begin + hour * HOUR + MINUTE))

    def since(most_values: int, measure: str) -> datetime:
        monkeypatch.setattr(sliding, "MOST_VALUES", most_values)
        past = replayed(measure, since=begin)
        assert past.at(NOW - HOUR + 2 * MINUTE)
        return past.since

    # A percentile holds its values in each of five windows, a sum is one number in all of them.
    assert since(500, "requests.p95_ms") == begin
    assert since(150, "requests.p95_ms") == NOW - 3 * HOUR
    assert since(150, "requests.count") == begin
    assert since(1, "requests.p95_ms") == NOW - HOUR


def test_of_many_endpoints_the_busiest_are_replayed() -> None:
    for number in range(21):
        store_batch(served(*[100.0] * (number + 1), path=f"/{number:02}"))
    past = replayed("requests.count", by_part=True, since=NOW - HOUR)
    assert past.has_more_parts
    assert [each.part for each in past.at(NOW)] == [f"/{number:02}" for number in range(1, 21)]
