"""Telling one channel of an alert because its time has come, beside all that routes say."""

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
from mainstay_server.contracts.on_call import acknowledge_link

from .channels import is_told
from .routing.putting import Message, put, thread_of
from .routing.telling import hears_end, is_told_instead


def tell_channel(session: Session, alert_id: str, channel_id: str, *, now: datetime) -> bool:
    """Tell a channel of an active alert once more; False when it is off, or not of these people.

    Such messages have turns below zero, which no repetition has.
    """
    alert = session.get(Alert, alert_id, with_for_update=True, populate_existing=True)
    channel = session.get(AlertChannel, channel_id)
    if alert is None or alert.status != AlertStatus.ACTIVE:
        return False
    if channel is None or channel.organization_id != alert.organization_id or not is_told(channel):
        return False
    last = session.scalar(
        sa.select(sa.func.min(AlertNotification.turn)).where(
            AlertNotification.alert_id == alert_id, AlertNotification.channel_id == channel_id
        )
    )
    turn = min(last or 0, 0) - 1
    told = Message(
        alerts=[alert],
        channel_id=channel_id,
        change=Change.OPENED,
        turn=turn,
        thread=thread_of(alert),
    )
    put(session, [told], now=now)
    return True


def tell_end(session: Session, alert: Alert, *, superseded_by: str, now: datetime) -> None:
    """Tell the end to channels that heard of the beginning by a step alone."""
    told_by_step = sa.select(AlertNotification.channel_id).where(
        AlertNotification.alert_id == alert.id,
        AlertNotification.change == Change.OPENED,
        AlertNotification.turn < 0,
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


def link_of(session: Session, told: AlertNotification) -> str:
    """Where its reader takes the alert in hand; "" of all that is not a step of an escalation."""
    if told.turn >= 0 or told.change != Change.OPENED or not acknowledge_link.is_answered:
        return ""
    return acknowledge_link(session, str(told.alert_id), told.channel_id, at=told.created_at)
