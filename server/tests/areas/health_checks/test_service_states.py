"""The state machine, as a table of what it promises."""

from datetime import timedelta

import pytest
from mainstay_server.areas.health_checks.models import HealthState
from mainstay_server.areas.health_checks.service.states import (
    Standing,
    next_state,
    was_not_watched,
)
from tests.areas.health_checks.worlds import NOON

H, D, U = HealthState.HEALTHY, HealthState.DEGRADED, HealthState.UNHEALTHY
UNKNOWN, PAUSED = HealthState.UNKNOWN, HealthState.PAUSED


@pytest.mark.parametrize("before", list(HealthState))
@pytest.mark.parametrize("outcome", [H, D, U])
def test_with_thresholds_of_one_every_result_is_believed(
    before: HealthState, outcome: HealthState
) -> None:
    assert next_state(Standing(state=before), outcome) == Standing(state=outcome)


@pytest.mark.parametrize(
    ("start", "results", "states"),
    [
        (H, [U, U, U], [H, H, U]),  # three in a row
        (H, [U, U, H, U, U], [H, H, H, H, H]),  # a good one begins the count anew
        (H, [D, U, D], [H, H, D]),  # all worse than healthy; it becomes what the last one was
        (D, [U, D, U, U, U], [D, D, D, D, U]),
        (U, [H, H], [U, H]),  # better after two
        (U, [H, U, H, D], [U, U, U, D]),
        (U, [D, H], [U, H]),
        (D, [H, H], [D, H]),
        (UNKNOWN, [U], [U]),  # nothing was known: the first is believed
        (PAUSED, [D, D], [D, D]),
    ],
)
def test_thresholds_of_three_down_and_two_up(
    start: HealthState, results: list[HealthState], states: list[HealthState]
) -> None:
    standing = Standing(state=start)
    seen = []
    for outcome in results:
        standing = next_state(standing, outcome, fail_after=3, recover_after=2)
        seen.append(standing.state)

    assert seen == states


@pytest.mark.parametrize(
    ("late_seconds", "away"), [(-30, False), (0, False), (25, False), (26, True)]
)
def test_a_result_later_than_its_time_out_and_grace_says_that_we_were_away(
    late_seconds: int,
    away: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    now = NOON + timedelta(seconds=late_seconds)

    assert was_not_watched(watched_until=NOON, now=now, allowed_seconds=25) is away
