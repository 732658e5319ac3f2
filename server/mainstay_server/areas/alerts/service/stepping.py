"""Telling one channel of an alert because its time has come, beside all that routes say."""

from dataclasses import replace
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
from mainstay_server.areas.alerts.schemas import Notice
from mainstay_server.contracts.on_call import acknowledge_all_link, acknowledge_link

from .channels import is_told
from .digests import MOST_LINES
from .routing.putting import Message, put, thread_of
from .routing.steps import forget_gathered, gather
from .routing.telling import hears_end, is_told_instead


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


def is_step(told: AlertNotification) -> bool:
    """Whether a notification was sent by a step of an escalation."""
    return told.turn < 0 and told.change == Change.OPENED


def with_links(session: Session, told: AlertNotification, notice: Notice) -> Notice:
    """What a step says, with where its reader takes each alert in hand, and all; or as it was."""
    if not is_step(told) or not acknowledge_link.is_answered:
        return notice

    def link(alert_id: str) -> str:
        return acknowledge_link(session, alert_id, told.channel_id, at=told.created_at)

    if not notice.gathered:
        return replace(notice, acknowledge_url=link(notice.alert_id))
    of_all = ""
    if acknowledge_all_link.is_answered:
        of_all = acknowledge_all_link(session, told.id, told.channel_id, at=told.created_at)
    shown, more = notice.gathered[:MOST_LINES], notice.gathered[MOST_LINES:]
    linked = (replace(one, acknowledge_url=link(one.alert_id)) for one in shown)
    return replace(notice, acknowledge_url=of_all, gathered=(*linked, *more))
