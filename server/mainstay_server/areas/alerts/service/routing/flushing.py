"""What waits, looked at again and again: groups that are due, and alerts that were held back."""

import logging
from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import Alert, AlertStatus
from mainstay_server.areas.alerts.models.routing import AlertGroup, AlertTelling, TellingState
from mainstay_server.kernel.database import reading, rows_changed, transaction

from .ground import read_ground
from .telling import flush_group, recheck, would_change

log = logging.getLogger(__name__)

MOST_GROUPS_AT_ONCE = 500
HELD_AT_ONCE = 10_000

Held = tuple[AlertTelling, Alert, AlertGroup]


def tell_due(*, now: datetime) -> int:
    """Tell what is due of every group, each in a transaction of its own; returns how many."""
    with reading() as session:
        due = session.scalars(
            sa.select(AlertGroup.id)
            .where(AlertGroup.due_at <= now)
            .order_by(AlertGroup.due_at)
            .limit(MOST_GROUPS_AT_ONCE)
        ).all()
    return sum(_alone(flush_group, group_id, now=now) for group_id in due)


def release_held(*, now: datetime) -> int:
    """Tell what nothing holds back any more, if it is still active; returns of how many alerts.

    Looking takes no lock; only what has changed is written. All that is held is looked at, page by
    page, so that nobody's many keep others' from being told.
    """
    released, after = 0, ""
    while True:
        with reading() as session:
            page = _held_after(session, after)
            changed = _changed(session, page, now=now)
        released += sum(_alone(recheck_one, alert_id, now=now) for alert_id in changed)
        if len(page) < HELD_AT_ONCE:
            return released
        after = page[-1][0].id


def _alone(step: Callable[..., bool], about: str, *, now: datetime) -> bool:
    """Take one step in a transaction of its own; one that fails keeps no other from its turn."""
    try:
        with transaction() as session:
            return step(session, about, now=now)
    except Exception:  # whatever is wrong with this one, it is the others' turn
        log.exception("what waits of %s could not be told; trying again", about)
        return False


def _held_after(session: Session, after: str) -> list[Held]:
    rows = session.execute(
        sa.select(AlertTelling, Alert, AlertGroup)
        .join(Alert, Alert.id == AlertTelling.alert_id)
        .join(AlertGroup, AlertGroup.id == AlertTelling.group_id)
        .where(
            AlertTelling.state == TellingState.HELD,
            AlertTelling.id > after,
            Alert.status == AlertStatus.ACTIVE,
        )
        .order_by(AlertTelling.id)
        .limit(HELD_AT_ONCE)
    )
    return [(telling, alert, group) for telling, alert, group in rows]


def _changed(session: Session, held: list[Held], *, now: datetime) -> list[str]:
    """The alerts of which something is held for another reason than is written, or for none."""
    by_project: dict[str, list[Held]] = {}
    for each in held:
        by_project.setdefault(each[1].project_id, []).append(each)
    changed = [
        alert_id
        for project_id, theirs in by_project.items()
        for alert_id in _changed_of(session, project_id, theirs, now=now)
    ]
    return list(dict.fromkeys(changed))


def _changed_of(session: Session, project_id: str, held: list[Held], *, now: datetime) -> list[str]:
    """Those of one project; none when they cannot be looked at, so that others have their turn."""
    try:
        ground = read_ground(session, project_id)
        return [
            alert.id
            for telling, alert, group in held
            if would_change(session, ground, alert, telling, group, now=now)
        ]
    except Exception:  # whatever is wrong with this project, it is the others' turn
        log.exception("what is held of project %s could not be looked at", project_id)
        return []


def recheck_one(session: Session, alert_id: str, *, now: datetime) -> bool:
    """Look again at what is held back of one alert; False when it has ended meanwhile."""
    alert = session.get(Alert, alert_id, with_for_update=True, populate_existing=True)
    if alert is None or alert.status != AlertStatus.ACTIVE:
        return False
    recheck(session, alert, now=now)
    return True


def forget_groups(session: Session, *, before: datetime) -> int:
    """Delete groups in which nothing happened since an instant, and of which nothing is left."""
    members = sa.select(AlertTelling.id).where(AlertTelling.group_id == AlertGroup.id)
    return rows_changed(
        session,
        sa.delete(AlertGroup).where(AlertGroup.touched_at < before, ~sa.exists(members)),
    )
