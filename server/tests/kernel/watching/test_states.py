"""The state machine, as a table of what it promises."""

import pytest
from mainstay_server.kernel.watching import Standing, State, next_state

H, D, U = State.HEALTHY, State.DEGRADED, State.UNHEALTHY
UNKNOWN, PAUSED = State.UNKNOWN, State.PAUSED


@pytest.mark.parametrize("before", list(State))
@pytest.mark.parametrize("outcome", [H, D, U])
def test_with_thresholds_of_one_every_result_is_believed(before: State, outcome: State) -> None:
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
    start: State, results: list[State], states: list[State]
) -> None:
    standing = Standing(state=start)
    seen = []
    for outcome in results:
        standing = next_state(standing, outcome, fail_after=3, recover_after=2)
        seen.append(standing.state)

    assert seen == states
