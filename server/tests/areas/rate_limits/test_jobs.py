from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from mainstay_server.areas.rate_limits import jobs
from mainstay_server.contracts.rate_limits import RateLimitExceeded
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import said_events
from mainstay_server.kernel.subjects import InstanceRef
from tests.areas.rate_limits.conftest import MINUTE, NOON, Passed
from tests.world import a_project


@pytest.fixture
def place(database: None) -> InstanceRef:
    with transaction() as session:
        return a_project(session, now=NOON)


def a_turn(at: datetime) -> int:
    told = jobs.tell_of_limited.function(now=at)
    assert isinstance(told, int)
    return told


def said() -> list[RateLimitExceeded]:
    with reading() as session:
        return [e for _, e in said_events(session) if isinstance(e, RateLimitExceeded)]


def test_an_address_that_limits_hold_back_is_spoken_of_once_in_ten_minutes(
    place: InstanceRef, passed: Passed
) -> None:
    passed.refused(place, 120)

    told = [a_turn(NOON + minute * MINUTE) for minute in range(11)]

    assert told == [1] + [0] * 9 + [1]
    first, second = said()
    assert first == second
    assert first == RateLimitExceeded(
        organization_id=place.organization_id,
        project_id=place.project_id,
        instance_id=place.id,
        address="203.0.113.9",
        refused=120,
        key_ids=["key-1"],
        since=NOON,
    )
    assert passed.asked[0] == (timedelta(minutes=10), 10)


def test_a_few_refusals_are_nothing_to_speak_of(place: InstanceRef, passed: Passed) -> None:
    passed.refused(place, 9)
    assert a_turn(NOON) == 0
    assert said() == []


def test_each_address_is_spoken_of_by_itself(place: InstanceRef, passed: Passed) -> None:
    for number in range(3):
        passed.refused(place, 50, address=f"192.0.2.{number}")
    assert a_turn(NOON) == 3
    assert a_turn(NOON + MINUTE) == 0


def test_an_instance_that_is_gone_is_not_spoken_of(place: InstanceRef, passed: Passed) -> None:
    passed.refused(place, 50)
    passed.conducts = [replace(each, instance_id="gone") for each in passed.conducts]
    assert a_turn(NOON) == 0


def test_without_anybody_who_keeps_what_passed_there_is_nothing_to_do(place: InstanceRef) -> None:
    assert a_turn(NOON) == 0
