"""Reading what was reported: pages of reports, one body, durations of runs, spells, flips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session, undefer

from mainstay_server.areas.heartbeats.models import Heartbeat, HeartbeatPing, Signal
from mainstay_server.kernel.pagination import Page, decode_cursor, page_of
from mainstay_server.kernel.problems import NotFound
from mainstay_server.kernel.watching import (
    RecordedSpell,
    Spell,
    State,
    Uptime,
    read_spells,
    uptime_of,
)

SHOWN_RUNS = 100
MOST_FLIPS = 1_000
UP_DOWN = {State.HEALTHY: 1, State.DEGRADED: 1, State.UNHEALTHY: 0}


@dataclass(frozen=True)
class Flip:
    """A moment at which a job went up or down."""

    at: datetime
    up: int


def list_pings(
    session: Session, heartbeat: Heartbeat, *, limit: int, cursor: str = ""
) -> Page[HeartbeatPing]:
    """The latest reports, newest first, without their bodies."""
    conditions = [HeartbeatPing.heartbeat_id == heartbeat.id]
    before = decode_cursor(cursor, parts=1)
    if before is not None:
        conditions.append(HeartbeatPing.number < int(before[0]))
    rows = session.scalars(
        sa.select(HeartbeatPing)
        .where(*conditions)
        .order_by(HeartbeatPing.number.desc())
        .limit(limit + 1)
    ).all()
    return page_of(rows, limit=limit, key=lambda row: (row.number,))


def get_body(session: Session, heartbeat: Heartbeat, number: int) -> bytes:
    """The body that came with a report. Raises `NotFound` when none did, or it is not kept."""
    found = session.scalar(
        sa.select(HeartbeatPing)
        .where(HeartbeatPing.heartbeat_id == heartbeat.id, HeartbeatPing.number == number)
        .options(undefer(HeartbeatPing.body))
    )
    if found is None or found.body is None:
        raise NotFound("That report has no body, or is not kept any more; list the reports.")
    return found.body


def ended_runs(
    session: Session, heartbeat: Heartbeat, *, limit: int = SHOWN_RUNS
) -> Sequence[HeartbeatPing]:
    """The latest runs of which the duration is known, oldest first."""
    rows = session.scalars(
        sa.select(HeartbeatPing)
        .where(
            HeartbeatPing.heartbeat_id == heartbeat.id,
            HeartbeatPing.duration_ms.is_not(None),
            HeartbeatPing.signal.in_([Signal.SUCCESS, Signal.FAIL]),
        )
        .order_by(HeartbeatPing.number.desc())
        .limit(limit)
    ).all()
    return rows[::-1]


def spells_of(
    session: Session, heartbeat: Heartbeat, *, since: datetime, until: datetime, now: datetime
) -> Sequence[Spell]:
    """How a heartbeat was over a range, oldest first."""
    found = read_spells(session, [heartbeat], since=since, until=until, now=now)
    return found[heartbeat.id]


def uptimes_of(
    session: Session, heartbeats: Sequence[Heartbeat], *, hours: int, now: datetime
) -> Mapping[str, Uptime]:
    """The uptime of several over the last hours."""
    since = now - timedelta(hours=hours)
    found = read_spells(session, heartbeats, since=since, until=now, now=now)
    return {
        heartbeat_id: uptime_of(spells, since=since, until=now)
        for heartbeat_id, spells in found.items()
    }


def list_flips(
    session: Session, heartbeat: Heartbeat, *, since: datetime | None, until: datetime | None
) -> list[Flip]:
    """Every change between up and down within a range, newest first; at most 1,000.

    A spell of which nothing is known is no change: what follows it is compared with what was
    before it.
    """
    rows = session.execute(
        sa.select(RecordedSpell.state, RecordedSpell.started_at)
        .where(RecordedSpell.subject_id == heartbeat.id, RecordedSpell.state.in_(list(UP_DOWN)))
        .order_by(RecordedSpell.started_at.desc(), RecordedSpell.id.desc())
        .limit(MOST_FLIPS * 10)
    ).all()
    flips: list[Flip] = []
    last: int | None = None
    for state, at in reversed(rows):
        up = UP_DOWN[State(state)]
        if up != last:
            flips.append(Flip(at, up))
        last = up
    return [
        flip
        for flip in reversed(flips)
        if (since is None or flip.at >= since) and (until is None or flip.at < until)
    ][:MOST_FLIPS]
