"""The states of what is watched, and what one more result makes of them; no clock, no database."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What is known of a watched subject: the first three were seen, the others say why not.

    Unknown is our own fault (we did not look, or our uplink was away); unreachable means that
    what it depends on is down, so that it cannot be told how it is; paused is somebody's wish.
    """

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"
    UNREACHABLE = "unreachable"
    PAUSED = "paused"


SEVERITY = {State.HEALTHY: 0, State.DEGRADED: 1, State.UNHEALTHY: 2}
KNOWN = tuple(SEVERITY)
UP = (State.HEALTHY, State.DEGRADED)
TROUBLE = (State.DEGRADED, State.UNHEALTHY)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A state, and how many results in a row disagree with it in one direction."""

    state: State
    worse_in_row: int = 0
    better_in_row: int = 0


def next_state(
    standing: Standing, outcome: State, *, fail_after: int = 1, recover_after: int = 1
) -> Standing:
    """The standing after one more result.

    A state gets worse after `fail_after` results in a row that are worse than it, better after
    `recover_after` that are better, and becomes what the last of them was. While nothing is known
    (unknown, unreachable, paused), the first result is believed at once.
    """
    if standing.state not in SEVERITY:
        return Standing(state=outcome)
    distance = SEVERITY[outcome] - SEVERITY[standing.state]
    worse = standing.worse_in_row + 1 if distance > 0 else 0
    better = standing.better_in_row + 1 if distance < 0 else 0
    if worse >= fail_after or better >= recover_after:
        return Standing(state=outcome)
    return Standing(state=standing.state, worse_in_row=worse, better_in_row=better)
