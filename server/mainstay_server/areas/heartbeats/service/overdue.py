"""Silence: who should have reported and did not, and what our own outages have to do with it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.heartbeats.models import Heartbeat, HeartbeatDoors
from mainstay_server.kernel.database import insert
from mainstay_server.kernel.watching import UP, State, due_to_tell, tell

from .recording import count_failure
from .states import deadline_of, forget_run, set_deadlines
from .telling import move, say_told

MOST_AT_ONCE = 500
THE_ROW = 1
# A report may wait this long to be stored; silence is believed only after it.
ON_THE_WAY = timedelta(seconds=5)
# Doors say every two seconds that they are open. A longer gap was an outage of ours.
LONGEST_GAP = timedelta(seconds=20)
OUR_OUTAGE = "Mainstay was not running when it should have reported"


def mark_overdue(session: Session, *, now: datetime) -> int:
    """Mark every heartbeat whose time is over, and say so once per outage.

    Only what became due while our doors were known to be open counts: the rest is decided when
    they are open again. Several workers may do this at once; each locks what it marks. Returns how
    many heartbeats were looked at, at most 500.
    """
    until = min(now, _open_until(session, now)) - ON_THE_WAY
    overdue = _lock(session, [Heartbeat.alert_at <= until])
    for heartbeat in overdue:
        _mark(session, heartbeat)
    session.flush()
    return len(overdue)


def tell_what_was_held(session: Session, *, now: datetime) -> int:
    """Say of troubles that were held back (maintenance, patience, flapping) what is due now."""
    waiting = due_to_tell(session, Heartbeat, now=now)
    for heartbeat in waiting:
        say_told(session, heartbeat, tell(session, heartbeat, now=now), now=now)
    return len(waiting)


def note_doors_open(session: Session, *, now: datetime) -> int:
    """Note that reports can arrive; after a gap, forgive what nobody could have brought.

    A heartbeat that was expected in the gap is unknown from the moment it would have been an
    outage, until its grace has passed once more from now. Returns how many that were.
    """
    since = _open_until(session, now)
    forgiven = 0
    if now - since > LONGEST_GAP:
        forgiven = _forgive(session, since=since, now=now)
    new = insert(HeartbeatDoors).values(id=THE_ROW, open_until=now)
    session.execute(
        new.on_conflict_do_update(
            index_elements=[HeartbeatDoors.id],
            set_={"open_until": now},
            where=HeartbeatDoors.open_until < now,
        )
    )
    return forgiven


def _forgive(session: Session, *, since: datetime, now: datetime) -> int:
    """Give everybody who was expected in the gap their grace again."""
    expected = _lock(
        session,
        [
            Heartbeat.alert_at > since - ON_THE_WAY,
            sa.or_(Heartbeat.due_at <= now, Heartbeat.alert_at <= now),
        ],
        most=None,
    )
    for heartbeat in expected:
        overdue_at = heartbeat.alert_at
        assert overdue_at is not None, "it was chosen by it"
        if overdue_at <= now:
            move(session, heartbeat, State.UNKNOWN, at=overdue_at, reason=OUR_OUTAGE)
        heartbeat.forgiven_until = now + heartbeat.grace
        set_deadlines(heartbeat)
    session.flush()
    return len(expected)


def _mark(session: Session, heartbeat: Heartbeat) -> None:
    at = heartbeat.alert_at
    assert at is not None, "it was chosen by it"
    deadline = deadline_of(heartbeat)
    if deadline is not None and deadline.run_id is not None:
        forget_run(heartbeat, deadline.run_id)
    due = heartbeat.due_at
    count_failure(session, heartbeat, at=at, reason=deadline.reason if deadline else "")
    if heartbeat.state in UP and due is not None and due <= at:
        heartbeat.counted_from = due  # this turn was missed and forgiven; the next one counts
    set_deadlines(heartbeat)


def _open_until(session: Session, now: datetime) -> datetime:
    """Until when our doors were known to be open; the first start begins with now."""
    found = session.scalar(sa.select(HeartbeatDoors.open_until).where(HeartbeatDoors.id == THE_ROW))
    return found or now


def _lock(
    session: Session,
    conditions: Sequence[sa.ColumnElement[bool]],
    *,
    most: int | None = MOST_AT_ONCE,
) -> Sequence[Heartbeat]:
    return session.scalars(
        sa.select(Heartbeat)
        .where(*conditions)
        .order_by(Heartbeat.id)
        .limit(most)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
