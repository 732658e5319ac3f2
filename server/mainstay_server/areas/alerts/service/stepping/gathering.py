"""What steps of escalations tell a channel: the first at once, what follows soon after together.

What is gathered lies in the database as notifications that the channel's group of steps carries,
until one of them leaves and carries the others.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import (
    Alert,
    AlertChannel,
    AlertNotification,
    AlertStatus,
    Change,
    NotificationState,
)
from mainstay_server.areas.alerts.models.routing import AlertGroup
from mainstay_server.areas.alerts.providers import ONE_BY_ONE
from mainstay_server.areas.alerts.schemas import AlertNotificationDue
from mainstay_server.areas.alerts.service.routing.advancing import MOST_TOGETHER
from mainstay_server.areas.alerts.service.routing.ground import default_pace
from mainstay_server.areas.alerts.service.routing.holding import Joined, hold_groups
from mainstay_server.areas.alerts.service.routing.pacing import NEVER, Pace, opening_due
from mainstay_server.areas.alerts.service.routing.putting import thread_of
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import say

OF_STEPS = "steps:"


def gather(session: Session, alert: Alert, channel: AlertChannel, *, now: datetime) -> None:
    """Let a channel be told of an alert that is held by this transaction, alone or with others.

    Such messages have turns below zero, which no repetition has.
    """
    gathers = channel.type not in ONE_BY_ONE
    key = OF_STEPS + (alert.project_id if gathers else alert.id)
    joined = Joined(project_id=alert.project_id, channel_id=channel.id, key=key)
    group = hold_groups(session, [joined], now=now)[channel.id]
    waits = sa.select(AlertNotification.id).where(
        AlertNotification.alert_id == alert.id, AlertNotification.carried_by == group.id
    )
    if session.scalar(waits) is None:
        last = session.scalar(
            sa.select(sa.func.min(AlertNotification.turn)).where(
                AlertNotification.alert_id == alert.id, AlertNotification.channel_id == channel.id
            )
        )
        session.add(
            AlertNotification(
                id=new_id(),
                alert_id=alert.id,
                channel_id=channel.id,
                change=Change.OPENED,
                turn=min(last or 0, 0) - 1,
                carried_by=group.id,
                created_at=now,
            )
        )
    pace = default_pace() if gathers else Pace(wait=NEVER, interval=NEVER)
    group.opens_due_at = group.due_at = opening_due(
        told_at=group.told_at, waiting_until=group.opens_due_at, pace=pace, now=now
    )
    session.flush()
    if group.due_at <= now:
        tell_gathered(session, group, now=now)


def is_of_steps(group: AlertGroup) -> bool:
    """Whether a group gathers what steps tell, and not what routes do."""
    return group.key.startswith(OF_STEPS)


def tell_gathered(session: Session, group: AlertGroup, *, now: datetime) -> None:
    """Let what a group that is held has gathered leave as one message.

    Nobody is told of what is over by now, or was taken in hand.
    """
    rows = session.execute(
        sa.select(AlertNotification, Alert)
        .join(Alert, Alert.id == AlertNotification.alert_id)
        .where(AlertNotification.carried_by == group.id)
        .order_by(AlertNotification.id)
        .limit(MOST_TOGETHER)
    ).all()
    group.opens_due_at = group.due_at = now if len(rows) == MOST_TOGETHER else None
    ready = []
    for row, alert in rows:
        if alert.status == AlertStatus.ACTIVE and alert.acknowledged_at is None:
            ready.append((row, alert))
        else:
            session.delete(row)
    if ready:
        group.told_at = now
        leader, first = ready[0]
        thread = thread_of(first) if len(ready) == 1 else f"group:{group.id}"
        for row, _ in ready:
            row.carried_by = "" if row is leader else leader.id
            row.thread = thread
        due = AlertNotificationDue(
            notification_id=leader.id, channel_id=leader.channel_id, thread=thread
        )
        say(session, due, now=now)
    session.flush()


def forget_gathered(session: Session, alert: Alert) -> None:
    """An alert is over: what is gathered of it is told to nobody."""
    gathered = sa.select(AlertNotification.carried_by).where(
        AlertNotification.alert_id == alert.id,
        AlertNotification.by_step,
        AlertNotification.state == NotificationState.WAITING,
        AlertNotification.carried_by != "",
    )
    groups = session.scalars(
        sa.select(AlertGroup)
        .where(AlertGroup.id.in_(gathered))
        .order_by(AlertGroup.channel_id)
        .with_for_update()
    )
    session.execute(
        sa.delete(AlertNotification).where(
            AlertNotification.alert_id == alert.id,
            AlertNotification.carried_by.in_([group.id for group in groups]),
        )
    )
