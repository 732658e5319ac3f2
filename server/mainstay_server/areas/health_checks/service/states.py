"""The state machine: what a result makes of what was known, without a clock or a database."""

from dataclasses import dataclass
from datetime import datetime

from mainstay_server.areas.health_checks.models import HealthState

SEVERITY = {HealthState.HEALTHY: 0, HealthState.DEGRADED: 1, HealthState.UNHEALTHY: 2}
TROUBLE = (HealthState.DEGRADED, HealthState.UNHEALTHY)
UP = (HealthState.HEALTHY, HealthState.DEGRADED)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A state, and how many results in a row disagree with it in one direction."""

    state: HealthState
    worse_in_row: int = 0
    better_in_row: int = 0


def next_state(
    standing: Standing, outcome: HealthState, *, fail_after: int = 1, recover_after: int = 1
) -> Standing:
    """The standing after one more result.

    A state gets worse after `fail_after` results in a row that are worse than it, better after
    `recover_after` that are better, and becomes what the last of them was. While nothing is known
    (unknown, paused), the first result is believed at once.
    """
    if standing.state not in SEVERITY:
        return Standing(state=outcome)
    distance = SEVERITY[outcome] - SEVERITY[standing.state]
    worse = standing.worse_in_row + 1 if distance > 0 else 0
    better = standing.better_in_row + 1 if distance < 0 else 0
    if worse >= fail_after or better >= recover_after:
        return Standing(state=outcome)
    return Standing(state=standing.state, worse_in_row=worse, better_in_row=better)


def was_not_watched(*, watched_until: datetime, now: datetime, allowed_seconds: float) -> bool:
    """Whether a result is so overdue that we, not the app, were away.

    A result speaks for one interval. What follows is unknown once the next result is later than
    its time-out and the grace explain; then it is unknown from the end of that interval on.
    """
    return (now - watched_until).total_seconds() > allowed_seconds
