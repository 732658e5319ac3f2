"""The rate limit of a channel: so many messages a minute; what is over that waits for its slot."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import AlertChannel, AlertNotification
from mainstay_server.areas.alerts.providers import KINDS


def limit_of(channel: AlertChannel) -> int:
    """How many messages a minute a channel takes: its own limit or its kind's; 0 is any number."""
    return channel.per_minute or KINDS[channel.type].PER_MINUTE


def take_slot(session: Session, notification_id: str, *, now: datetime) -> float:
    """Seconds until a notification may leave; 0 when it may now.

    A channel with a limit has evenly spaced slots. Each try takes the next free one, once: asked
    again before it, the slot is the same. Several workers may ask at once: the channel is locked.
    """
    notification = session.get(AlertNotification, notification_id)
    if notification is None:
        return 0
    if notification.slot_at is None:
        channel = session.get_one(
            AlertChannel, notification.channel_id, with_for_update=True, populate_existing=True
        )
        limit = limit_of(channel)
        if not limit:
            return 0
        notification.slot_at = max(now, channel.next_slot_at or now)
        channel.next_slot_at = notification.slot_at + timedelta(seconds=60 / limit)
    return max(0.0, (notification.slot_at - now).total_seconds())
