"""Messages written down: one row per alert, of which one leaves and carries the others."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import (
    Alert,
    AlertNotification,
    AlertType,
    Change,
    NotificationState,
)
from mainstay_server.areas.alerts.schemas import AlertNotificationDue
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import say_all

Told = tuple[str, str, str, int]
Opening = tuple[str, str]
HEALTH = (AlertType.INSTANCE_DOWN, AlertType.INSTANCE_DEGRADED)


@dataclass(frozen=True, kw_only=True)
class Message:
    """What one channel is told at once: one change of one alert, or of several together.

    `stands_in_for` are the messages of other channels that this one replaces, by alert.
    """

    alerts: Sequence[Alert]
    channel_id: str
    change: Change
    turn: int = 0
    thread: str
    stands_in_for: Mapping[str, str] = field(default_factory=dict)


def put(session: Session, messages: Sequence[Message], *, now: datetime) -> None:
    """Write messages down, and say that they have to leave, in this order.

    Each change of an alert is told once per channel and turn: what a channel was told already, as
    it may have been in another's stead, is left out. No two messages here may be of the same.
    """
    told = _told_of(session, messages) if messages else set()
    rows: list[dict[str, object]] = []
    due = []
    for message in messages:
        new = [alert for alert in message.alerts if _key(alert.id, message) not in told]
        if new:
            leader = new_id()
            rows += _rows(message, new, leader, now=now)
            due.append(
                AlertNotificationDue(
                    notification_id=leader, channel_id=message.channel_id, thread=message.thread
                )
            )
    if due:
        session.execute(sa.insert(AlertNotification), rows)
        say_all(session, due, now=now)


def _rows(
    message: Message, alerts: Sequence[Alert], leader: str, *, now: datetime
) -> list[dict[str, object]]:
    return [
        {
            "id": leader if place == 0 else new_id(),
            "alert_id": alert.id,
            "channel_id": message.channel_id,
            "change": message.change,
            "state": NotificationState.WAITING,
            "attempts": 0,
            "delivery_id": "",
            "turn": message.turn,
            "carried_by": leader if place else "",
            "thread": message.thread,
            "stands_in_for": message.stands_in_for.get(alert.id, ""),
            "last_error": "",
            "created_at": now,
        }
        for place, alert in enumerate(alerts)
    ]


def _told_of(session: Session, messages: Sequence[Message]) -> set[Told]:
    found = session.execute(
        sa.select(
            AlertNotification.alert_id,
            AlertNotification.channel_id,
            AlertNotification.change,
            AlertNotification.turn,
        ).where(
            AlertNotification.alert_id.in_({one.id for each in messages for one in each.alerts}),
            AlertNotification.channel_id.in_({each.channel_id for each in messages}),
        )
    )
    return {(str(row.alert_id), row.channel_id, row.change, row.turn) for row in found}


def _key(alert_id: str, message: Message) -> Told:
    return alert_id, message.channel_id, message.change, message.turn


def thread_of(alert: Alert) -> str:
    """What a message about one alert may not overtake: all of its instance's health, or itself."""
    what = "health" if alert.type in HEALTH else alert.identity
    return f"{alert.instance_id}:{what}"


def openings_of(
    session: Session, alert_ids: Collection[str], channel_ids: Collection[str]
) -> Mapping[Opening, AlertNotification]:
    """The messages by which channels were first told of alerts, by alert and channel."""
    if not alert_ids:
        return {}
    found = session.scalars(
        sa.select(AlertNotification).where(
            AlertNotification.alert_id.in_(alert_ids),
            AlertNotification.channel_id.in_(channel_ids),
            AlertNotification.change == Change.OPENED,
            AlertNotification.turn == 0,
        )
    )
    return {(str(each.alert_id), each.channel_id): each for each in found}


def carried_by(session: Session, notification_id: str) -> Sequence[AlertNotification]:
    """The rows that a message carries beside its own, in order."""
    return session.scalars(
        sa.select(AlertNotification)
        .where(AlertNotification.carried_by == notification_id)
        .order_by(AlertNotification.id)
    ).all()
