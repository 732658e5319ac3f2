"""What rules are told of health checks: how fast, how often well, and how many fail now."""

from collections.abc import Callable

import pytest
from mainstay_server.areas.health_checks.columns import HEALTH_RESULTS
from mainstay_server.areas.health_checks.models import HealthState
from mainstay_server.areas.health_checks.schemas.bodies import NewHealthCheck
from mainstay_server.areas.health_checks.service import checks, recording
from mainstay_server.areas.health_checks.service.measures import RESULTS, STATES
from mainstay_server.kernel import columns
from mainstay_server.kernel.columns import Windows
from mainstay_server.kernel.measures import PastQuestion
from mainstay_server.tenancy.subjects import find_instance
from sqlalchemy.orm import Session
from tests.areas.health_checks.worlds import MINUTE, a_check, finished
from tests.world import NOON_YESTERDAY as NOON

H, D = HealthState.HEALTHY, HealthState.UNHEALTHY


@pytest.fixture(autouse=True)
def store(column_store: Callable[..., None]) -> None:
    column_store(HEALTH_RESULTS)


def test_results_are_told_by_instance_and_by_check(session: Session) -> None:
    one = a_check(session, now=NOON)
    other = a_check(session, number=2, now=NOON)
    found = [
        finished(one, H, at=NOON, took_ms=100),
        finished(one, H, at=NOON + MINUTE, took_ms=300),
        finished(one, D, at=NOON + 2 * MINUTE, took_ms=9000),
        finished(other, D, at=NOON),
    ]
    columns.append_blocking(HEALTH_RESULTS, recording.rows_of(found), rows=len(found))

    def read(*, by_part: bool) -> dict[str, tuple[str, dict[str, float]]]:
        readings = RESULTS.read(session, since=NOON, until=NOON + 5 * MINUTE, by_part=by_part)
        return {each.instance_id: (each.part, dict(each.values)) for each in readings}

    whole = read(by_part=False)
    assert whole[one.instance_id] == (
        "",
        {
            "health_checks.response_ms": 200,
            "health_checks.uptime": pytest.approx(200 / 3),
        },
    )
    assert whole[other.instance_id] == ("", {"health_checks.uptime": 0})
    assert read(by_part=True)[one.instance_id][0] == one.name


def test_failing_checks_are_counted_as_they_are_now(session: Session) -> None:
    check = a_check(session, now=NOON)

    def failing() -> list[tuple[str, float]]:
        readings = STATES.read(session, since=NOON, until=NOON, by_part=False)
        return [(each.instance_id, each.values["health_checks.failing"]) for each in readings]

    assert failing() == [(check.instance_id, 0)]
    check.state = D
    session.flush()
    assert failing() == [(check.instance_id, 1)]
    check.paused = True
    session.flush()
    assert failing() == []


@pytest.mark.parametrize("by_part", [False, True])
def test_the_past_is_replayed_as_each_minute_would_have_been_told_it(
    session: Session, *, by_part: bool
) -> None:
    check = a_check(session, now=NOON)
    instance = find_instance(session, check.instance_id)
    assert instance is not None
    more = NewHealthCheck(url="https://shop.example/other", name="other")
    other = checks.add_check(session, instance, more, now=NOON)
    found = [
        finished(check, H, at=NOON, took_ms=100),
        finished(check, D, at=NOON + MINUTE, took_ms=9000),
        finished(check, H, at=NOON + 8 * MINUTE, took_ms=300),
        finished(other, D, at=NOON + MINUTE),
        finished(other, H, at=NOON + 2 * MINUTE, took_ms=200),
    ]
    columns.append_blocking(HEALTH_RESULTS, recording.rows_of(found), rows=len(found))
    replay = RESULTS.replay
    assert replay is not None
    for window in (MINUTE, 5 * MINUTE):
        windows = Windows(width=window, since=NOON - 2 * MINUTE, until=NOON + 15 * MINUTE)
        asked = PastQuestion(
            measure="health_checks.response_ms",
            instance_id=check.instance_id,
            windows=windows,
            by_part=by_part,
        )
        past = replay(session, asked)
        for minute in range(-1, 16):
            moment = NOON + minute * MINUTE
            told = RESULTS.read(session, since=moment - window, until=moment, by_part=by_part)
            by_name = sorted(told, key=lambda each: each.part)
            assert sorted(past.at(moment), key=lambda each: each.part) == by_name, moment
