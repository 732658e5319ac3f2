"""Telling a channel of an alert because a step's time has come, and that the alert is over."""

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
from mainstay_server.areas.alerts.service.channels import is_told
from mainstay_server.areas.alerts.service.routing.putting import Message, put, thread_of
from mainstay_server.areas.alerts.service.routing.telling import hears_end, is_told_instead

from .gathering import forget_gathered, gather


def tell_channel(session: Session, alert_id: str, channel_id: str, *, now: datetime) -> bool:
    """Tell a channel of an active alert once more; False when it is off, or not of these people."""
    alert = session.get(Alert, alert_id, with_for_update=True, populate_existing=True)
    channel = session.get(AlertChannel, channel_id)
    if alert is None or alert.status != AlertStatus.ACTIVE:
        return False
    if channel is None or channel.organization_id != alert.organization_id or not is_told(channel):
        return False
    gather(session, alert, channel, now=now)
    return True


def tell_end(session: Session, alert: Alert, *, superseded_by: str, now: datetime) -> None:
    """Tell the end to channels that heard of the beginning by a step alone."""
    forget_gathered(session, alert)
    told_by_step = sa.select(AlertNotification.channel_id).where(
        AlertNotification.alert_id == alert.id,
        AlertNotification.by_step,
        AlertNotification.state != NotificationState.FAILED,
    )
    channels = session.scalars(
        sa.select(AlertChannel).where(AlertChannel.id.in_(told_by_step)).order_by(AlertChannel.id)
    ).all()
    owed = [
        Message(
            alerts=[alert],
            channel_id=channel.id,
            change=Change.RESOLVED,
            thread=thread_of(alert),
        )
        for channel in channels
        if is_told(channel)
        and not is_told_instead(session, superseded_by, channel.id)
        and not hears_end(session, alert, channel.id)
    ]
    put(session, owed, now=now)
