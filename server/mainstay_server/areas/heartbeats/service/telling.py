"""Changing the state of a heartbeat, and saying what of that is worth telling."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.areas.heartbeats.models import Heartbeat
from mainstay_server.contracts.heartbeats import (
    HeartbeatDegraded,
    HeartbeatFlapping,
    HeartbeatMoved,
    HeartbeatRecovered,
    HeartbeatStopped,
    HeartbeatWentDown,
)
from mainstay_server.kernel.events import say
from mainstay_server.kernel.watching import State, Tidings, Told, change_state

KINDS: dict[Tidings, type[HeartbeatMoved]] = {
    Tidings.WENT_DOWN: HeartbeatWentDown,
    Tidings.DEGRADED: HeartbeatDegraded,
    Tidings.STOPPED: HeartbeatStopped,
    Tidings.FLAPPING: HeartbeatFlapping,
}
SETTLED_IN: dict[State, type[HeartbeatMoved]] = {
    State.UNHEALTHY: HeartbeatWentDown,
    State.DEGRADED: HeartbeatDegraded,
}
REPORTS_AGAIN = "it reports again as it should"
LONGEST_REASON = 300


def move(
    session: Session, heartbeat: Heartbeat, state: State, *, at: datetime, reason: str = ""
) -> None:
    """Begin a spell of another state at a moment, and say what others have not heard."""
    told = change_state(session, heartbeat, state, at=at, reason=reason[:LONGEST_REASON])
    say_told(session, heartbeat, told, now=at)


def say_told(session: Session, heartbeat: Heartbeat, told: Told | None, *, now: datetime) -> None:
    """Say what is to be told of a heartbeat, if anything."""
    if told is None:
        return
    kind = KINDS.get(told.tidings) or SETTLED_IN.get(told.state)
    names = {
        "organization_id": heartbeat.organization_id,
        "project_id": heartbeat.project_id,
        "instance_id": heartbeat.instance_id,
        "heartbeat_id": heartbeat.id,
        "name": heartbeat.name,
    }
    if kind is None:
        recovered = HeartbeatRecovered(
            **names,
            since=told.since,
            reason=told.reason or REPORTS_AGAIN,
            troubled_since=told.troubled_since or told.since,
        )
        say(session, recovered, now=now)
        return
    say(session, kind(**names, since=told.since, reason=told.reason), now=now)
