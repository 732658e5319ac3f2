"""Dependencies: what is behind something that is down is unreachable, and nobody is told of it.

A check that fails asks after its parent first. While that is being found out its trouble is held
back; then it is told, or it is said to have been unreachable from the start.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.kernel.watching import UP, State, restate, tell

from . import telling

DOWN = (State.UNHEALTHY, State.UNREACHABLE)
SOON = timedelta(seconds=1)
SLACK_SECONDS = 15
LONGEST_HOLD = timedelta(minutes=10)
MOST_CHILDREN = 1_000


def change(
    session: Session, check: HealthCheck, state: State, *, at: datetime, reason: str = ""
) -> None:
    """Change the state of a check as far as what it depends on allows.

    Behind a parent that is down, a failure is unreachable. A parent that was well when last asked,
    before this failure, is asked at once, and the trouble is told when it has answered (or does not
    answer in time for that).
    """
    parent = _parent_of(session, check) if state == State.UNHEALTHY else None
    before = State(check.state)
    if parent is None:
        telling.change(session, check, state, at=at, reason=reason)
    elif parent.state in DOWN:
        if before != State.UNREACHABLE:
            behind = f"{parent.name} is down"
            telling.change(session, check, State.UNREACHABLE, at=at, reason=behind)
    elif parent.state in UP and (parent.last_result_at is None or parent.last_result_at < at):
        parent.awaited_since = min(parent.awaited_since or at, at)
        parent.next_at = min(parent.next_at, at)
        hold = min(_longest_answer(parent), LONGEST_HOLD)
        telling.change(session, check, state, at=at, reason=reason, hold_until=at + hold)
    else:
        telling.change(session, check, state, at=at, reason=reason)
    if before in DOWN and check.state in UP:
        _ask_children(session, check, at=at)


def settle(session: Session, check: HealthCheck, *, at: datetime, failed: bool) -> None:
    """After a result of a check that others wait for: tell of them, or say that it is its fault.

    One that failed after the moment it was asked waits for its next answer, and so do all while it
    fails without being down yet.
    """
    if check.awaited_since is None:
        return
    waiting = [
        child
        for child in _children(session, check, State.UNHEALTHY)
        if child.tell_at is not None and child.state_since >= check.awaited_since
    ]
    check.awaited_since = None
    if check.state in UP and failed:
        late = waiting
    elif check.state in UP:
        late = [child for child in waiting if child.state_since > at]
        for child in waiting:
            if child not in late:
                told = tell(session, child, now=at)
                telling.say_told(session, child, told, now=at)
    else:
        late = []
        for child in waiting:
            restate(session, child, State.UNREACHABLE, reason=f"{check.name} is down")
            child.tell_at = None
    if late:
        check.awaited_since = min(child.state_since for child in late)
        check.next_at = min(check.next_at, at + SOON)
    session.flush()


def family_of(ids: Collection[str]) -> sa.ColumnElement[bool]:
    """Checks with their parents and children, to be locked together in one order."""
    parents = sa.select(HealthCheck.parent_id).where(
        HealthCheck.id.in_(ids), HealthCheck.parent_id.is_not(None)
    )
    return sa.or_(
        HealthCheck.id.in_(ids), HealthCheck.parent_id.in_(ids), HealthCheck.id.in_(parents)
    )


def _parent_of(session: Session, check: HealthCheck) -> HealthCheck | None:
    parent = None if check.parent_id is None else session.get(HealthCheck, check.parent_id)
    return parent if parent is not None and parent.is_watched else None


def _children(session: Session, check: HealthCheck, state: State) -> Sequence[HealthCheck]:
    return session.scalars(
        sa.select(HealthCheck)
        .where(HealthCheck.parent_id == check.id, HealthCheck.state == state)
        .order_by(HealthCheck.id)
        .limit(MOST_CHILDREN)
    ).all()


def _ask_children(session: Session, check: HealthCheck, *, at: datetime) -> None:
    """Have what was unreachable asked at once: it can be known again."""
    for child in _children(session, check, State.UNREACHABLE):
        child.next_at = min(child.next_at, at)


def _longest_answer(parent: HealthCheck) -> timedelta:
    """How long it may take until it is known how a parent is: all tries that it needs to fail."""
    each = 2 * parent.timeout_seconds + SLACK_SECONDS
    return timedelta(seconds=each * parent.fail_after)
