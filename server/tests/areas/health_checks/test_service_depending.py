"""Dependencies: what is behind something down is unreachable, and one notice tells of it all."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.schemas.bodies import NewHealthCheck
from mainstay_server.areas.health_checks.service import checks, recording, telling
from mainstay_server.areas.health_checks.service.turns import claim_due
from mainstay_server.contracts.health_checks import (
    HealthChanged,
    HealthCheckRecovered,
    HealthCheckWentDown,
)
from mainstay_server.kernel.watching import RecordedSpell, State
from mainstay_server.tenancy.subjects import find_instance
from sqlalchemy.orm import Session
from tests.areas.health_checks.worlds import GRACE, MINUTE, NOON, SECOND, a_check, finished
from tests.conftest import Said
from tests.databases import on_both_stores

H, U, UNREACHABLE = State.HEALTHY, State.UNHEALTHY, State.UNREACHABLE
pytestmark = on_both_stores


def behind(session: Session, parent: HealthCheck, name: str) -> HealthCheck:
    instance = find_instance(session, parent.instance_id)
    assert instance is not None
    wanted = NewHealthCheck(
        url=f"https://{name}.example/", name=name, interval_seconds=60, parent_id=parent.id
    )
    return checks.add_check(session, instance, wanted, now=NOON)


def record(session: Session, check: HealthCheck, state: State, *, at: datetime) -> None:
    one = finished(check, state, at=at, took_ms=0)
    recording.record_results(session, [one], grace_seconds=GRACE)


def well(session: Session, *family: HealthCheck) -> None:
    for second, check in enumerate(family):
        record(session, check, H, at=NOON + second * SECOND)
        check.next_at = NOON + MINUTE


def heard(said: Said) -> list[tuple[type, str, int]]:
    return [
        (type(event), event.name, event.unreachable)
        for event in said()
        if isinstance(event, HealthChanged)
    ]


def spells(session: Session, check: HealthCheck) -> list[tuple[str, float]]:
    """State and start of every spell after noon, in seconds."""
    rows = session.scalars(
        sa.select(RecordedSpell)
        .where(RecordedSpell.subject_id == check.id, RecordedSpell.state != State.UNKNOWN)
        .order_by(RecordedSpell.started_at, RecordedSpell.id)
    )
    return [(str(row.state), (row.started_at - NOON) / SECOND) for row in rows]


@pytest.fixture
def parent(session: Session) -> HealthCheck:
    return a_check(session, "https://router.example/")


def test_behind_a_parent_that_is_down_a_failure_is_unreachable_and_not_told(
    session: Session, said: Said, parent: HealthCheck
) -> None:
    child = behind(session, parent, "shop")
    well(session, parent, child)
    record(session, parent, U, at=NOON + MINUTE)

    record(session, child, U, at=NOON + MINUTE + SECOND)

    assert heard(said) == [(HealthCheckWentDown, "", 1)]
    assert (child.state, child.state_reason) == (UNREACHABLE, "health is down")


def test_a_child_that_fails_first_waits_until_its_parent_was_asked(
    session: Session, said: Said, parent: HealthCheck
) -> None:
    child = behind(session, parent, "shop")
    well(session, parent, child)

    record(session, child, U, at=NOON + 30 * SECOND)

    assert heard(said) == []
    assert parent.next_at == NOON + 30 * SECOND
    record(session, parent, U, at=NOON + 31 * SECOND)
    assert heard(said) == [(HealthCheckWentDown, "", 1)]
    assert spells(session, child) == [("healthy", 1), ("unreachable", 30)]


def test_a_child_whose_parent_is_well_is_told_of_as_of_its_own_failure(
    session: Session, said: Said, parent: HealthCheck
) -> None:
    child = behind(session, parent, "shop")
    well(session, parent, child)
    record(session, child, U, at=NOON + 30 * SECOND)

    record(session, parent, H, at=NOON + 31 * SECOND)

    (event,) = [event for event in said() if isinstance(event, HealthChanged)]
    assert isinstance(event, HealthCheckWentDown)
    assert (event.name, event.since) == ("shop", NOON + 30 * SECOND)
    assert parent.awaited_since is None


def test_the_answer_of_a_claimed_turn_is_not_taken_for_one_that_changes_nothing(
    session: Session, said: Said, parent: HealthCheck
) -> None:
    child = behind(session, parent, "shop")
    well(session, parent, child)
    record(session, child, U, at=NOON + 30 * SECOND)

    now = NOON + 30 * SECOND
    (order,) = (
        order
        for order in claim_due(session, until=now, now=now, owner="here", limit=10)
        if order.check_id == parent.id
    )
    one = finished(parent, H, at=now + SECOND, fence=order.fence)
    recording.record_results(session, [one], grace_seconds=GRACE)

    assert heard(said) == [(HealthCheckWentDown, "shop", 0)]


def test_an_answer_from_before_the_failure_decides_nothing(
    session: Session, said: Said, parent: HealthCheck
) -> None:
    child = behind(session, parent, "shop")
    well(session, parent, child)
    record(session, child, U, at=NOON + 30 * SECOND)

    record(session, parent, H, at=NOON + 29 * SECOND)

    assert heard(said) == []
    assert parent.awaited_since == NOON + 30 * SECOND
    assert parent.next_at == NOON + 30 * SECOND


def test_a_parent_that_never_answers_keeps_nobody_in_the_dark(
    session: Session, said: Said, parent: HealthCheck
) -> None:
    child = behind(session, parent, "shop")
    well(session, parent, child)
    record(session, child, U, at=NOON + 30 * SECOND)

    telling.tell_held_back(session, now=NOON + MINUTE)
    assert heard(said) == []
    telling.tell_held_back(session, now=NOON + 2 * MINUTE)

    assert heard(said) == [(HealthCheckWentDown, "shop", 0)]


def test_a_parent_that_has_to_fail_more_often_is_asked_again_at_once(
    session: Session, said: Said, parent: HealthCheck
) -> None:
    child = behind(session, parent, "shop")
    parent.fail_after = 3
    well(session, parent, child)
    record(session, child, U, at=NOON + 30 * SECOND)

    for second in (31, 32, 33):
        record(session, parent, U, at=NOON + second * SECOND)
        assert second == 33 or parent.next_at <= NOON + (second + 1) * SECOND

    assert heard(said) == [(HealthCheckWentDown, "", 1)]
    assert child.state == UNREACHABLE


def test_when_a_parent_recovers_its_children_are_asked_at_once_and_nobody_is_told_of_them(
    session: Session, said: Said, parent: HealthCheck
) -> None:
    child = behind(session, parent, "shop")
    well(session, parent, child)
    record(session, parent, U, at=NOON + MINUTE)
    record(session, child, U, at=NOON + MINUTE + SECOND)
    said()

    record(session, parent, H, at=NOON + 5 * MINUTE)
    asked_at = child.next_at
    record(session, child, H, at=NOON + 5 * MINUTE + SECOND)

    assert asked_at <= NOON + 5 * MINUTE
    assert heard(said) == [(HealthCheckRecovered, "", 0)]
    assert spells(session, child)[-1] == ("healthy", 301)


def test_a_child_that_is_down_when_its_parent_is_back_is_told_of(
    session: Session, said: Said, parent: HealthCheck
) -> None:
    child = behind(session, parent, "shop")
    well(session, parent, child)
    record(session, parent, U, at=NOON + MINUTE)
    record(session, child, U, at=NOON + MINUTE + SECOND)
    record(session, parent, H, at=NOON + 5 * MINUTE)
    said()

    record(session, child, U, at=NOON + 5 * MINUTE + SECOND)
    record(session, parent, H, at=NOON + 5 * MINUTE + 2 * SECOND)

    assert heard(said) == [(HealthCheckWentDown, "shop", 0)]


def test_what_was_down_before_its_parent_stays_down(
    session: Session, said: Said, parent: HealthCheck
) -> None:
    child = behind(session, parent, "shop")
    well(session, parent, child)
    record(session, child, U, at=NOON + 30 * SECOND)
    record(session, parent, H, at=NOON + 31 * SECOND)
    record(session, parent, U, at=NOON + 2 * MINUTE)

    record(session, child, U, at=NOON + 2 * MINUTE + SECOND)

    assert child.state == U
    assert [name for _, name, _ in heard(said)] == ["shop", ""]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_whoever_of_three_generations_fails_first_only_the_eldest_is_told_of(
    session: Session, said: Said, parent: HealthCheck, order: Sequence[int]
) -> None:
    child = behind(session, parent, "shop")
    family = (parent, child, behind(session, child, "basket"))
    well(session, *family)

    for second, place in enumerate(order):
        record(session, family[place], U, at=NOON + (30 + second) * SECOND)
    for second, check in enumerate(family):  # whoever was asked for is asked again
        record(session, check, U, at=NOON + (40 + second) * SECOND)
    telling.tell_held_back(session, now=NOON + 10 * MINUTE)

    assert heard(said) == [(HealthCheckWentDown, "", 2)]
    assert [check.state for check in family] == [U, UNREACHABLE, UNREACHABLE]


def test_a_notice_names_ten_of_those_behind_and_counts_all(
    session: Session, said: Said, parent: HealthCheck
) -> None:
    for number in range(12):
        behind(session, parent, f"shop-{number:02}")
    paused = behind(session, parent, "resting")
    checks.pause_check(session, paused, now=NOON)
    well(session, parent)
    said()

    record(session, parent, U, at=NOON + MINUTE)

    (event,) = [event for event in said() if isinstance(event, HealthChanged)]
    assert event.unreachable == 12
    assert event.unreachable_names == [f"shop-{number:02}" for number in range(10)]


def test_a_parent_that_nobody_watches_mutes_nobody(
    session: Session, said: Said, parent: HealthCheck
) -> None:
    child = behind(session, parent, "shop")
    well(session, parent, child)
    record(session, parent, U, at=NOON + MINUTE)
    checks.pause_check(session, parent, now=NOON + MINUTE + SECOND)
    said()

    record(session, child, U, at=NOON + MINUTE + 2 * SECOND)

    assert heard(said) == [(HealthCheckWentDown, "shop", 0)]
    assert timedelta() < child.state_since - NOON < 2 * MINUTE
