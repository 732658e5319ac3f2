"""Telling others how a check is: what watching found worth telling, as the area's own events."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.contracts.health_checks import (
    HealthChanged,
    HealthCheckDegraded,
    HealthCheckFlapping,
    HealthCheckRecovered,
    HealthCheckSettled,
    HealthCheckStopped,
    HealthCheckWentDown,
)
from mainstay_server.kernel.events import say
from mainstay_server.kernel.watching import (
    State,
    Tidings,
    Told,
    change_state,
    due_to_tell,
    tell,
)

from .turns import is_watched

PLAIN: dict[Tidings, type[HealthChanged]] = {
    Tidings.WENT_DOWN: HealthCheckWentDown,
    Tidings.DEGRADED: HealthCheckDegraded,
    Tidings.STOPPED: HealthCheckStopped,
}
DEFAULT_NAME = "health"  # of the check that stands for its instance
MOST_NAMED, MOST_BEHIND, MOST_DEEP = 10, 1_000, 10
WELL_AGAIN = "answers again as it should"


def change(
    session: Session,
    check: HealthCheck,
    state: State,
    *,
    at: datetime,
    reason: str = "",
    hold_until: datetime | None = None,
) -> None:
    """Change the state of a check that the caller has locked, and tell others if it matters."""
    check.worse_in_row = check.better_in_row = 0
    told = change_state(session, check, state, at=at, reason=reason, hold_until=hold_until)
    say_told(session, check, told, now=at)


def tell_held_back(session: Session, *, now: datetime) -> int:
    """Tell what was held back and still holds: trouble that lasted, or outlasted maintenance.

    Returns how many checks were told of.
    """
    told_of = 0
    for check in due_to_tell(session, HealthCheck, now=now):
        told = tell(session, check, now=now)
        say_told(session, check, told, now=now)
        told_of += told is not None
    return told_of


def say_told(session: Session, check: HealthCheck, told: Told | None, *, now: datetime) -> None:
    """Say what watching found worth telling; nothing when that was nothing."""
    if told is not None:
        say(session, _event_of(session, check, told), now=now)


def _event_of(session: Session, check: HealthCheck, told: Told) -> HealthChanged:
    facts: dict[str, Any] = {
        "organization_id": check.organization_id,
        "project_id": check.project_id,
        "instance_id": check.instance_id,
        "health_check_id": check.id,
        "name": "" if check.default_of and check.name == DEFAULT_NAME else check.name,
        "url": check.target,
        "since": told.since,
    }
    if told.tidings == Tidings.SETTLED:
        return HealthCheckSettled(
            **facts, reason=told.reason, state=told.state, troubled_since=told.troubled_since
        )
    if told.tidings == Tidings.FLAPPING:
        return HealthCheckFlapping(**facts, reason=told.reason, state=told.state)
    if told.tidings == Tidings.RECOVERED:
        return HealthCheckRecovered(
            **facts,
            reason=told.reason or WELL_AGAIN,
            troubled_since=told.troubled_since or told.since,
        )
    if told.tidings == Tidings.WENT_DOWN:
        names = names_behind(session, check)
        facts |= {"unreachable": len(names), "unreachable_names": list(names[:MOST_NAMED])}
    return PLAIN[told.tidings](**facts, reason=told.reason)


def names_behind(session: Session, check: HealthCheck) -> Sequence[str]:
    """The names of the watched checks that depend on one, also through others; at most 1,000."""
    child = sa.select(HealthCheck.id).where(HealthCheck.parent_id == check.id).limit(1)
    if session.scalar(child) is None:
        return ()
    below = (
        sa.select(HealthCheck.id, sa.literal(1).label("depth"))
        .where(HealthCheck.parent_id == check.id)
        .cte("below", recursive=True)
    )
    below = below.union(
        sa.select(HealthCheck.id, below.c.depth + 1)
        .join(below, HealthCheck.parent_id == below.c.id)
        .where(below.c.depth < MOST_DEEP)
    )
    return session.scalars(
        sa.select(HealthCheck.name)
        .where(HealthCheck.id.in_(sa.select(below.c.id)), is_watched())
        .order_by(HealthCheck.name, HealthCheck.id)
        .limit(MOST_BEHIND)
    ).all()
