"""Messages written down: one row per alert, of which one leaves and carries the others."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

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
from mainstay_server.kernel.events import say

NOTHING: Mapping[str, str] = MappingProxyType({})
HEALTH = (AlertType.INSTANCE_DOWN, AlertType.INSTANCE_DEGRADED)


def put(  # noqa: PLR0913 - a message, all that it is made of
    session: Session,
    alerts: Sequence[Alert],
    channel_id: str,
    change: Change,
    *,
    turn: int = 0,
    thread: str,
    stands_in_for: Mapping[str, str] = NOTHING,
    now: datetime,
) -> None:
    """Write down one message to a channel, and say that it has to leave.

    Each change of an alert is told once per channel and turn: what the channel was told already,
    as it may have been in another's stead, is left out. `stands_in_for` are the messages of others
    that this one replaces, by alert.
    """
    told = _told_of(session, [alert.id for alert in alerts], channel_id, change, turn=turn)
    alerts = [alert for alert in alerts if alert.id not in told]
    if not alerts:
        return
    leader = new_id()
    rows = [
        {
            "id": leader if place == 0 else new_id(),
            "alert_id": alert.id,
            "channel_id": channel_id,
            "change": change,
            "state": NotificationState.WAITING,
            "attempts": 0,
            "delivery_id": "",
            "turn": turn,
            "carried_by": leader if place else "",
            "thread": thread,
            "stands_in_for": stands_in_for.get(alert.id, ""),
            "last_error": "",
            "created_at": now,
        }
        for place, alert in enumerate(alerts)
    ]
    session.execute(sa.insert(AlertNotification), rows)
    due = AlertNotificationDue(notification_id=leader, channel_id=channel_id, thread=thread)
    say(session, due, now=now)


def _told_of(
    session: Session, alert_ids: Sequence[str], channel_id: str, change: Change, *, turn: int
) -> set[str | None]:
    return set(
        session.scalars(
            sa.select(AlertNotification.alert_id).where(
                AlertNotification.alert_id.in_(alert_ids),
                AlertNotification.channel_id == channel_id,
                AlertNotification.change == change,
                AlertNotification.turn == turn,
            )
        )
    )


def thread_of(alert: Alert) -> str:
    """What a message about one alert may not overtake: all of its instance's health, or itself."""
    what = "health" if alert.type in HEALTH else alert.identity
    return f"{alert.instance_id}:{what}"


def openings_of(
    session: Session, alert_ids: Sequence[str], channel_id: str
) -> Mapping[str, AlertNotification]:
    """The messages by which a channel was first told of alerts, by the alerts' ids."""
    found = session.scalars(
        sa.select(AlertNotification).where(
            AlertNotification.alert_id.in_(alert_ids),
            AlertNotification.channel_id == channel_id,
            AlertNotification.change == Change.OPENED,
            AlertNotification.turn == 0,
        )
    )
    return {str(each.alert_id): each for each in found}


def carried_by(session: Session, notification_id: str) -> Sequence[AlertNotification]:
    """The rows that a message carries beside its own, in order."""
    return session.scalars(
        sa.select(AlertNotification)
        .where(AlertNotification.carried_by == notification_id)
        .order_by(AlertNotification.id)
    ).all()
