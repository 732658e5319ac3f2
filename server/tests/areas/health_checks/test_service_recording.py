"""Recording results: what is said, once, and what a late or foreign result may not change."""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from mainstay_server.areas.health_checks.models import HealthCheck, HealthState
from mainstay_server.areas.health_checks.service import checks, recording
from mainstay_server.areas.health_checks.service.turns import claim_due
from mainstay_server.contracts.health_checks import (
    HealthChanged,
    HealthCheckDegraded,
    HealthCheckRecovered,
    HealthCheckStopped,
    HealthCheckWentDown,
)
from mainstay_server.kernel.watching import RecordedSpell
from sqlalchemy.orm import Session
from tests.areas.health_checks.worlds import GRACE, MINUTE, NOON, SECOND, a_check, finished
from tests.conftest import Said

H, D, U = HealthState.HEALTHY, HealthState.DEGRADED, HealthState.UNHEALTHY


def record(
    session: Session, check: HealthCheck, *states: HealthState, since_minute: int = 1
) -> None:
    """Results a minute apart."""
    for minute, state in enumerate(states, since_minute):
        one = finished(check, state, at=NOON + minute * MINUTE)
        recording.record_results(session, [one], grace_seconds=GRACE)


def spells(session: Session) -> list[tuple[str, int, int | None]]:
    """State, start and end of every spell, in seconds after noon."""
    rows = session.scalars(
        sa.select(RecordedSpell).order_by(RecordedSpell.started_at, RecordedSpell.id)
    )
    return [
        (
            str(row.state),
            int((row.started_at - NOON).total_seconds()),
            None if row.ended_at is None else int((row.ended_at - NOON).total_seconds()),
        )
        for row in rows
    ]


def kinds(said: Said) -> list[type]:
    return [type(event) for event in said() if isinstance(event, HealthChanged)]


def test_an_outage_is_said_once_and_its_end_once(session: Session, said: Said) -> None:
    check = a_check(session)

    record(session, check, H, U, U, U, H, H)

    common: dict[str, Any] = {
        "organization_id": check.organization_id,
        "project_id": check.project_id,
        "instance_id": check.instance_id,
        "health_check_id": check.id,
        "name": "",
        "url": "https://shop.example/health",
    }
    assert said() == [
        HealthCheckWentDown(**common, since=NOON + 2 * MINUTE, reason="answered 503"),
        HealthCheckRecovered(
            **common,
            since=NOON + 5 * MINUTE,
            reason="answers again as it should",
            troubled_since=NOON + 2 * MINUTE,
        ),
    ]
    assert spells(session) == [
        ("unknown", 0, 60),
        ("healthy", 60, 120),
        ("unhealthy", 120, 300),
        ("healthy", 300, None),
    ]


def test_from_slow_to_down_to_well_is_three_sentences(session: Session, said: Said) -> None:
    record(session, a_check(session), H, D, U, D, H)

    assert kinds(said) == [
        HealthCheckDegraded,
        HealthCheckWentDown,
        HealthCheckDegraded,
        HealthCheckRecovered,
    ]


def test_an_app_that_is_well_from_the_start_is_not_talked_about(
    session: Session, said: Said
) -> None:
    record(session, a_check(session), H, H)

    assert kinds(said) == []


def test_thresholds_of_a_check_are_kept_between_results(session: Session, said: Said) -> None:
    check = a_check(session)
    check.fail_after, check.recover_after = 3, 2

    record(session, check, H, U, U, H, U, U, U, H, U, H, H)

    assert kinds(said) == [HealthCheckWentDown, HealthCheckRecovered]
    assert check.state == H


def test_our_own_outage_is_unknown_and_nobody_is_told(session: Session, said: Said) -> None:
    check = a_check(session)

    record(session, check, H, H)
    record(session, check, H, since_minute=60)

    assert kinds(said) == []
    assert spells(session)[1:] == [
        ("healthy", 60, 180),
        ("unknown", 180, 3600),
        ("healthy", 3600, None),
    ]


def test_an_outage_that_outlasts_ours_is_not_said_twice(session: Session, said: Said) -> None:
    check = a_check(session)

    record(session, check, H, U)
    record(session, check, U, since_minute=60)
    record(session, check, H, since_minute=61)

    down, up = [event for event in said() if isinstance(event, HealthChanged)]
    assert isinstance(down, HealthCheckWentDown)
    assert isinstance(up, HealthCheckRecovered)
    assert up.troubled_since == NOON + 2 * MINUTE


def test_time_without_a_result_is_marked_by_the_job_once(session: Session, said: Said) -> None:
    check = a_check(session)
    record(session, check, H)

    soon = recording.mark_unwatched(session, now=NOON + 2 * MINUTE + 35 * SECOND)
    late = recording.mark_unwatched(session, now=NOON + 10 * MINUTE)
    again = recording.mark_unwatched(session, now=NOON + 20 * MINUTE)

    assert (soon, late, again) == (0, 1, 0)
    assert spells(session)[-1] == ("unknown", 120, None)
    assert kinds(said) == []


def test_a_result_older_than_what_is_known_changes_nothing(session: Session) -> None:
    check = a_check(session)
    record(session, check, H, H)

    record(session, check, U, since_minute=1)

    assert check.state == H


def test_a_result_that_comes_twice_counts_once(session: Session) -> None:
    check = a_check(session)
    (order,) = claim_due(session, until=NOON, now=NOON, owner="here", limit=10)
    one = finished(check, H, at=order.at, fence=order.fence)

    first = recording.record_results(session, [one], grace_seconds=GRACE)
    claim_due(session, until=NOON + 2 * MINUTE, now=NOON + MINUTE, owner="here", limit=10)
    second = recording.record_results(session, [one], grace_seconds=GRACE)

    assert (first, second) == ([one], [])


def test_a_result_of_a_turn_that_was_taken_over_is_dropped(session: Session, said: Said) -> None:
    check = a_check(session)
    (stopped,) = claim_due(session, until=NOON, now=NOON, owner="stopped", limit=10)
    (taken,) = claim_due(session, until=NOON, now=NOON + MINUTE, owner="other", limit=10)

    late = finished(check, U, at=NOON, fence=stopped.fence)
    counted = recording.record_results(session, [late], grace_seconds=GRACE)

    assert counted == []
    assert kinds(said) == []
    assert (check.owner, check.fence) == ("other", taken.fence)


def test_an_answer_of_the_old_url_is_dropped(session: Session) -> None:
    check = a_check(session)
    (order,) = claim_due(session, until=NOON, now=NOON, owner="here", limit=10)
    under_way = finished(check, U, at=NOON, fence=order.fence)
    checks._change(session, check, {"url": "https://shop.example/new"}, now=NOON + SECOND)

    recording.record_results(session, [under_way], grace_seconds=GRACE)

    assert check.state == HealthState.UNKNOWN
    assert check.next_at == NOON + SECOND


def test_a_fault_of_our_own_says_nothing_about_the_app(session: Session, said: Said) -> None:
    check = a_check(session)
    record(session, check, H)
    ours = replace(finished(check, U, at=NOON + 2 * MINUTE), result=None)

    counted = recording.record_results(session, [ours], grace_seconds=GRACE)

    assert (counted, check.state, kinds(said)) == ([], H, [])


def test_pausing_what_is_down_says_that_nobody_looks_any_more(session: Session, said: Said) -> None:
    check = a_check(session)
    record(session, check, H, U)

    checks.pause_check(session, check, now=NOON + 3 * MINUTE)
    checks.resume_check(session, check, now=NOON + 10 * MINUTE)
    record(session, check, U, since_minute=11)

    assert kinds(said) == [HealthCheckWentDown, HealthCheckStopped, HealthCheckWentDown]
    assert spells(session)[2:] == [
        ("unhealthy", 120, 180),
        ("paused", 180, 600),
        ("unknown", 600, 660),
        ("unhealthy", 660, None),
    ]
