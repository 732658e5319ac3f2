"""Checks: made and changed with their instance, or by hand."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks.models import HealthCheck, HealthState
from mainstay_server.areas.health_checks.schemas import HealthCheckChanges, NewHealthCheck
from mainstay_server.areas.health_checks.settings import HealthCheckSettings
from mainstay_server.contracts.health_checks import (
    HealthCheckChanged,
    HealthCheckCreated,
    HealthCheckEvent,
    HealthCheckRemoved,
)
from mainstay_server.contracts.tenancy import InstanceChanged
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import Changes, changes_between, facts_of, say
from mainstay_server.kernel.problems import Conflict, NotFound
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.subjects import InstanceRef

from .recording import mark_silence
from .spells import change_state, open_first_spell, tell_stopped

MOST_PER_INSTANCE = 50
DEFAULT_NAME = "health"
FOLLOWED = ("url", "interval_seconds", "timeout_seconds", "degraded_after_ms")
SETTABLE = (*FOLLOWED, "name", "fail_after", "recover_after", "paused")
NO_URL = "the instance has no URL"


def follow_instance(session: Session, event: InstanceChanged, *, now: datetime) -> None:
    """Let the instance's own check ask what the instance is now, at once.

    It is made with the first URL. Without a URL it rests and keeps its history. Hearing the same
    twice changes nothing.
    """
    check = session.scalar(
        sa.select(HealthCheck).where(HealthCheck.default_of == event.instance_id).with_for_update()
    )
    wanted = {
        "url": event.health_url,
        "interval_seconds": event.interval_seconds,
        "timeout_seconds": event.timeout_seconds,
        "degraded_after_ms": event.degraded_after_ms,
    }
    if check is not None:
        _change(session, check, wanted, now=now)
    elif event.health_url:
        _add(
            session,
            HealthCheck(
                organization_id=event.organization_id,
                project_id=event.project_id,
                instance_id=event.instance_id,
                default_of=event.instance_id,
                name=DEFAULT_NAME,
                kind="http",
                **wanted,
            ),
            now=now,
        )


def add_check(
    session: Session, instance: InstanceRef, wanted: NewHealthCheck, *, now: datetime
) -> HealthCheck:
    """Make a further check of an instance; it is asked at once. Raises `Conflict` beyond 50."""
    count = session.scalar(sa.select(sa.func.count()).where(HealthCheck.instance_id == instance.id))
    if (count or 0) >= MOST_PER_INSTANCE:
        raise Conflict(f"An instance has at most {MOST_PER_INSTANCE} health checks; remove one.")
    check = HealthCheck(
        organization_id=instance.organization_id,
        project_id=instance.project_id,
        instance_id=instance.id,
        **wanted.model_dump(),
    )
    _add(session, check, now=now)
    made = changes_between({}, facts_of(check, SETTABLE))
    _say(session, HealthCheckCreated, check, made, now=now)
    return check


def change_check(
    session: Session, check: HealthCheck, changes: HealthCheckChanges, *, now: datetime
) -> None:
    """Change what was given. Raises `Conflict` for what follows from the instance."""
    given = {name: value for name, value in changes.model_dump().items() if value is not None}
    if check.default_of and any(name in given for name in FOLLOWED):
        raise Conflict(
            "This health check follows its instance; change url, healthPath, intervalSeconds,"
            " timeoutSeconds or degradedAfterMs with PATCH /api/instances/{id}."
        )
    _change_by_hand(session, check, given, now=now)


def pause_check(session: Session, check: HealthCheck, *, now: datetime) -> None:
    """Stop asking; the time until it is resumed does not count. Pausing twice is pausing once."""
    if not check.paused:
        _change_by_hand(session, check, {"paused": True}, now=now)


def resume_check(session: Session, check: HealthCheck, *, now: datetime) -> None:
    """Ask again, at once."""
    if check.paused:
        _change_by_hand(session, check, {"paused": False}, now=now)


def remove_check(session: Session, check: HealthCheck, *, now: datetime) -> None:
    """Remove a check with its history of states. Raises `Conflict` for the instance's own."""
    if check.default_of:
        raise Conflict(
            "This health check follows its instance; pause it, or empty the instance's URL."
        )
    tell_stopped(session, check, at=now, reason="the health check was removed")
    gone = changes_between(facts_of(check, SETTABLE), {})
    _say(session, HealthCheckRemoved, check, gone, now=now)
    session.delete(check)
    session.flush()


def get_check(session: Session, instance_id: str, check_id: str) -> HealthCheck:
    """The check of that instance; raises `NotFound`."""
    check = session.scalar(
        sa.select(HealthCheck).where(
            HealthCheck.id == check_id, HealthCheck.instance_id == instance_id
        )
    )
    if check is None:
        raise NotFound("There is no such health check; list those of the instance.")
    return check


def find_main_check(session: Session, instance_id: str) -> HealthCheck | None:
    """The check that stands for the instance: the one that follows its URL, or the oldest."""
    return next(iter(main_checks(session, [instance_id]).values()), None)


def main_checks(session: Session, instance_ids: Sequence[str]) -> dict[str, HealthCheck]:
    """The check that stands for each instance, where there is one."""
    found: dict[str, HealthCheck] = {}
    for check in session.scalars(_in_order(HealthCheck.instance_id.in_(instance_ids))):
        found.setdefault(check.instance_id, check)
    return found


def list_checks(session: Session, instance_id: str) -> Sequence[HealthCheck]:
    """The checks of an instance, at most 50: the one that follows its URL, then by age."""
    return session.scalars(_in_order(HealthCheck.instance_id == instance_id)).all()


def sort_key(check: HealthCheck) -> tuple[str, ...]:
    """The place of a check in the list of its instance."""
    return ("1" if check.default_of is None else "0", check.created_at.isoformat(), check.id)


def _in_order(condition: sa.ColumnElement[bool]) -> sa.Select[HealthCheck]:
    return (
        sa.select(HealthCheck)
        .where(condition)
        .order_by(HealthCheck.default_of.is_(None), HealthCheck.created_at, HealthCheck.id)
    )


def _add(session: Session, check: HealthCheck, *, now: datetime) -> None:
    check.id = new_id()
    check.created_at = check.next_at = check.state_since = check.watched_until = now
    check.state, check.state_reason = HealthState.UNKNOWN, "not asked yet"
    check.fence = 0
    session.add(check)
    session.flush()
    open_first_spell(session, check, now=now)


def _change(
    session: Session, check: HealthCheck, values: dict[str, object], *, now: datetime
) -> None:
    """Set values; what decides how the app is asked makes its next turn now.

    An answer that is under way asked the old question: its claim is fenced off.
    """
    watched_before = check.is_watched
    changed = {name: value for name, value in values.items() if getattr(check, name) != value}
    for name, value in changed.items():
        setattr(check, name, value)
    if changed.keys() & {*FOLLOWED, "paused"}:
        check.fence += 1
        check.owner, check.claimed_until, check.next_at = "", None, now
    if watched_before and not check.is_watched:
        grace_seconds = of(HealthCheckSettings).health_checks_grace_seconds
        mark_silence(session, check, now=now, grace_seconds=grace_seconds)
        reason = NO_URL if not check.url else "paused by hand"
        change_state(session, check, HealthState.PAUSED, at=now, reason=reason)
    elif check.is_watched and not watched_before:
        change_state(session, check, HealthState.UNKNOWN, at=now, reason="not asked yet")
        check.watched_until = now
    session.flush()


def _change_by_hand(
    session: Session, check: HealthCheck, values: dict[str, object], *, now: datetime
) -> None:
    before = facts_of(check, SETTABLE)
    _change(session, check, values, now=now)
    changes = changes_between(before, facts_of(check, SETTABLE))
    _say(session, HealthCheckChanged, check, changes, now=now)


def _say(
    session: Session,
    kind: type[HealthCheckEvent],
    check: HealthCheck,
    changes: Changes,
    *,
    now: datetime,
) -> None:
    event = kind(
        organization_id=check.organization_id,
        project_id=check.project_id,
        instance_id=check.instance_id,
        health_check_id=check.id,
        name=check.name,
        changes=changes,
    )
    say(session, event, now=now)
