"""Heartbeats as people and keys administer them: found, listed, paused, resumed, removed."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.heartbeats.models import Heartbeat
from mainstay_server.contracts.heartbeats import HeartbeatChanged, HeartbeatRemoved
from mainstay_server.kernel.events import changes_between, facts_of
from mainstay_server.kernel.pagination import Page, decode_cursor, page_of
from mainstay_server.kernel.problems import Conflict, NotFound
from mainstay_server.kernel.watching import UP, State, forget

from .making import SETTABLE, say_changed
from .states import set_deadlines
from .telling import move, say_told

BY_HAND = "paused by hand"
RESUMED = "resumed: it has not reported since"
REMOVED = "the heartbeat was removed"
STATES = {
    "down": Heartbeat.state == State.UNHEALTHY,
    "degraded": Heartbeat.state == State.DEGRADED,
    "healthy": Heartbeat.state == State.HEALTHY,
    "unknown": Heartbeat.state == State.UNKNOWN,
    "paused": Heartbeat.state == State.PAUSED,
}


def get_heartbeat(session: Session, instance_id: str, heartbeat_id: str) -> Heartbeat:
    """The heartbeat of that instance; raises `NotFound`."""
    return _got(session, Heartbeat.id == heartbeat_id, Heartbeat.instance_id == instance_id)


def get_to_change(session: Session, instance_id: str, heartbeat_id: str) -> Heartbeat:
    """The same, locked: reports are folded into it at any moment."""
    return _got(
        session,
        Heartbeat.id == heartbeat_id,
        Heartbeat.instance_id == instance_id,
        locked=True,
    )


def list_page(  # noqa: PLR0913 - what a list is searched by
    session: Session,
    instance_id: str,
    *,
    search: str = "",
    state: str = "",
    tag: str = "",
    limit: int,
    cursor: str = "",
) -> Page[Heartbeat]:
    """A page of an instance's heartbeats by name: those of a state, a tag, a text in their name."""
    conditions = [Heartbeat.instance_id == instance_id]
    if search:
        text = f"%{_escaped(search.lower())}%"
        conditions.append(
            sa.or_(
                sa.func.lower(Heartbeat.name).like(text, escape="\\"),
                Heartbeat.slug.like(text, escape="\\"),
                sa.func.lower(sa.cast(Heartbeat.tags, sa.Text)).like(text, escape="\\"),
            )
        )
    if tag:
        found = f'%"{_escaped(tag)}"%'
        conditions.append(sa.cast(Heartbeat.tags, sa.Text).like(found, escape="\\"))
    if state in STATES:
        conditions.append(STATES[state])
    after = decode_cursor(cursor, parts=2)
    if after is not None:
        conditions.append(sa.tuple_(Heartbeat.name, Heartbeat.id) > tuple(map(str, after)))
    rows = session.scalars(
        sa.select(Heartbeat)
        .where(*conditions)
        .order_by(Heartbeat.name, Heartbeat.id)
        .limit(limit + 1)
    ).all()
    return page_of(rows, limit=limit, key=lambda row: (row.name, row.id))


def count_by_state(session: Session, instance_id: str) -> dict[str, int]:
    """How many heartbeats of an instance are in each state."""
    rows = session.execute(
        sa.select(Heartbeat.state, sa.func.count())
        .where(Heartbeat.instance_id == instance_id)
        .group_by(Heartbeat.state)
    )
    return {str(state): count for state, count in rows}


def is_late(heartbeat: Heartbeat, now: datetime) -> bool:
    """Whether a report is due and its grace has not passed."""
    due = heartbeat.due_at
    return due is not None and due <= now and heartbeat.state in (*UP, State.UNKNOWN)


def pause_heartbeat(session: Session, heartbeat: Heartbeat, *, now: datetime) -> None:
    """Expect nothing until it is resumed or reports; that time does not count."""
    if heartbeat.state == State.PAUSED:
        return
    before = {"paused": False}
    _rest(session, heartbeat, State.PAUSED, reason=BY_HAND, now=now)
    changes = changes_between(before, {"paused": True})
    say_changed(session, HeartbeatChanged, heartbeat, changes, now=now)


def resume_heartbeat(session: Session, heartbeat: Heartbeat, *, now: datetime) -> None:
    """Wait for reports again; nothing is expected until the next. Raises `Conflict`."""
    if heartbeat.state != State.PAUSED:
        raise Conflict("The heartbeat is not paused.")
    _rest(session, heartbeat, State.UNKNOWN, reason=RESUMED, now=now)
    changes = changes_between({"paused": True}, {"paused": False})
    say_changed(session, HeartbeatChanged, heartbeat, changes, now=now)


def remove_heartbeat(session: Session, heartbeat: Heartbeat, *, now: datetime) -> None:
    """Remove a heartbeat with its reports and its history."""
    gone = changes_between(facts_of(heartbeat, SETTABLE), {})
    say_changed(session, HeartbeatRemoved, heartbeat, gone, now=now)
    told = forget(session, heartbeat, at=now, reason=REMOVED)
    say_told(session, heartbeat, told, now=now)


def _rest(
    session: Session, heartbeat: Heartbeat, state: State, *, reason: str, now: datetime
) -> None:
    """Begin to wait for nothing: what ran and what was counted belongs to the time before."""
    heartbeat.open_runs, heartbeat.recent = {}, []
    heartbeat.counted_from = heartbeat.forgiven_until = heartbeat.last_ping_at = None
    heartbeat.failures_in_row = heartbeat.successes_in_row = 0
    move(session, heartbeat, state, at=now, reason=reason)
    set_deadlines(heartbeat)
    session.flush()


def _got(session: Session, *conditions: sa.ColumnElement[bool], locked: bool = False) -> Heartbeat:
    wanted = sa.select(Heartbeat).where(*conditions)
    if locked:
        wanted = wanted.with_for_update()
    found = session.scalar(wanted)
    if found is None:
        raise NotFound("There is no such heartbeat; list those of the instance.")
    return found


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
