"""Changing a check's state: close its spell, open the next, and tell others once."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks.models import HealthCheck, HealthInterval, HealthState
from mainstay_server.contracts.health_checks import (
    HealthChanged,
    HealthCheckDegraded,
    HealthCheckRecovered,
    HealthCheckStopped,
    HealthCheckWentDown,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import say

from .states import SEVERITY, TROUBLE


def open_first_spell(session: Session, check: HealthCheck, *, now: datetime) -> None:
    """Begin the history of a new check in its present state."""
    _open_spell(session, check, at=now)


def change_state(
    session: Session, check: HealthCheck, state: HealthState, *, at: datetime, reason: str = ""
) -> None:
    """End the present spell at `at`, begin one of another state, and tell others if it matters.

    Spells never overlap and never run backwards: a change dated before the present spell counts
    from its start.
    """
    at = max(at, check.state_since)
    session.execute(
        sa.update(HealthInterval)
        .where(HealthInterval.health_check_id == check.id, HealthInterval.ended_at.is_(None))
        .values(ended_at=at)
    )
    check.state, check.state_since, check.state_reason = state, at, reason
    check.worse_in_row = check.better_in_row = 0
    _open_spell(session, check, at=at)
    if state == HealthState.PAUSED:
        tell_stopped(session, check, at=at, reason=reason)
    elif state in SEVERITY:
        _tell_change(session, check, state, at=at, reason=reason)


def tell_stopped(session: Session, check: HealthCheck, *, at: datetime, reason: str) -> None:
    """Say that nobody watches a check that was in trouble; silent about one that was well."""
    if check.told_state in TROUBLE:
        _say(session, HealthCheckStopped, check, at=at, reason=reason)
    check.told_state, check.troubled_since = "", None


def _tell_change(
    session: Session, check: HealthCheck, state: HealthState, *, at: datetime, reason: str
) -> None:
    """Say what differs from what others were told: time we did not watch is no change."""
    told, check.told_state = check.told_state, state
    if told == state:
        return
    if state in TROUBLE:
        check.troubled_since = check.troubled_since or at
        kind = HealthCheckWentDown if state == HealthState.UNHEALTHY else HealthCheckDegraded
        _say(session, kind, check, at=at, reason=reason)
        return
    troubled_since, check.troubled_since = check.troubled_since, None
    if told in TROUBLE:
        _say(
            session,
            HealthCheckRecovered,
            check,
            at=at,
            reason=reason or "answers again as it should",
            troubled_since=troubled_since or at,
        )


def _say(
    session: Session,
    kind: type[HealthChanged],
    check: HealthCheck,
    *,
    at: datetime,
    reason: str,
    **more: datetime,
) -> None:
    say(
        session,
        kind(
            organization_id=check.organization_id,
            project_id=check.project_id,
            instance_id=check.instance_id,
            health_check_id=check.id,
            url=check.target,
            since=at,
            reason=reason,
            **more,
        ),
        now=at,
    )


def _open_spell(session: Session, check: HealthCheck, *, at: datetime) -> None:
    session.add(
        HealthInterval(
            id=new_id(),
            health_check_id=check.id,
            state=check.state,
            started_at=at,
            reason=check.state_reason,
        )
    )
    session.flush()
