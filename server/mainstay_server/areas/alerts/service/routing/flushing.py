"""What waits, looked at again and again: groups that are due, and alerts that were held back."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import Alert, AlertStatus
from mainstay_server.areas.alerts.models.routing import AlertGroup, AlertTelling, TellingState
from mainstay_server.kernel.database import reading, rows_changed, transaction

from .ground import Ground, read_ground
from .telling import flush_group, recheck, would_change

MOST_GROUPS_AT_ONCE = 500
MOST_HELD = 10_000


def tell_due(*, now: datetime) -> int:
    """Tell what is due of every group, each in a transaction of its own; returns how many."""
    with reading() as session:
        due = session.scalars(
            sa.select(AlertGroup.id)
            .where(AlertGroup.due_at <= now)
            .order_by(AlertGroup.due_at)
            .limit(MOST_GROUPS_AT_ONCE)
        ).all()
    told = 0
    for group_id in due:
        with transaction() as session:
            told += flush_group(session, group_id, now=now)
    return told


def release_held(*, now: datetime) -> int:
    """Tell what nothing holds back any more, if it is still active; returns of how many alerts.

    Looking takes no lock; only what has changed is written.
    """
    changed = []
    with reading() as session:
        grounds: dict[str, Ground] = {}
        rows = session.execute(
            sa.select(AlertTelling, Alert, AlertGroup)
            .join(Alert, Alert.id == AlertTelling.alert_id)
            .join(AlertGroup, AlertGroup.id == AlertTelling.group_id)
            .where(AlertTelling.state == TellingState.HELD, Alert.status == AlertStatus.ACTIVE)
            .order_by(AlertTelling.id)
            .limit(MOST_HELD)
        ).all()
        for telling, alert, group in rows:
            if alert.project_id not in grounds:
                grounds[alert.project_id] = read_ground(session, alert.project_id)
            ground = grounds[alert.project_id]
            if would_change(session, ground, alert, telling, group, now=now):
                changed.append(alert.id)
    ids = list(dict.fromkeys(changed))
    for alert_id in ids:
        with transaction() as session:
            recheck_one(session, alert_id, now=now)
    return len(ids)


def recheck_one(session: Session, alert_id: str, *, now: datetime) -> None:
    """Look again at what is held back of one alert, unless it has ended meanwhile."""
    alert = session.get(Alert, alert_id, with_for_update=True, populate_existing=True)
    if alert is not None and alert.status == AlertStatus.ACTIVE:
        recheck(session, alert, now=now)


def forget_groups(session: Session, *, before: datetime) -> int:
    """Delete groups in which nothing happened since an instant, and of which nothing is left."""
    members = sa.select(AlertTelling.id).where(AlertTelling.group_id == AlertGroup.id)
    return rows_changed(
        session,
        sa.delete(AlertGroup).where(AlertGroup.touched_at < before, ~sa.exists(members)),
    )
