"""What a channel could not deliver goes to its fallback: once, in order, and marked as such."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import (
    Alert,
    AlertChannel,
    AlertNotification,
    Change,
    NotificationState,
)
from mainstay_server.areas.alerts.providers import KINDS, ONE_BY_ONE
from mainstay_server.kernel.problems import Invalid

from .channels import change_channel, find_fallback, is_told, list_channels
from .routing.putting import Message, carried_by, put
from .routing.telling import hears_end, is_told_instead

MOST_HASTENED = 1_000


def set_fallback(session: Session, channel: AlertChannel, name: str, *, now: datetime) -> None:
    """Give a channel the fallback of a name: of its own reach, or else of the whole project.

    Raises:
        Invalid: no such channel hears of the same instances.
    """
    present = list_channels(session, channel.project_id, channel.instance_id)
    named = sorted((c for c in present if c.name == name), key=lambda c: c.instance_id is None)
    if name and not named:
        raise Invalid.of_field(
            "fallback", f"there is no channel {name!r} that hears of the same instances"
        )
    fallback_id = named[0].id if name else ""
    if channel.fallback_id != fallback_id:
        change_channel(session, channel, fallback_id=fallback_id, now=now)


def fall_back(
    session: Session, notification: AlertNotification, channel: AlertChannel, *, now: datetime
) -> None:
    """Put what a channel gave up on its fallback, unless that was told of it already.

    A channel that a person switched off has none: nobody is to be told. Neither has a test, which
    is about the channel alone. A fallback that gives up as well has its own, until somebody in the
    row was told already; so a circle of them ends.
    """
    if notification.alert_id is None or not (channel.enabled or channel.disabled_reason):
        return
    fallback = find_fallback(session, channel)
    if fallback is not None:
        lost = [notification, *carried_by(session, notification.id)]
        _stand_in(session, lost, fallback, notification.thread, now=now)


def tell_end_too(
    session: Session, notification: AlertNotification, channel: AlertChannel, *, now: datetime
) -> None:
    """Tell an end to the fallback as well that heard of the beginning in a channel's stead.

    The channel itself took the end, so nothing falls back; but who was told that something broke
    is told that it is over.
    """
    fallback = find_fallback(session, channel) if notification.change == Change.RESOLVED else None
    if fallback is None:
        return
    ended = [notification, *carried_by(session, notification.id)]
    began_there = set(
        session.scalars(
            sa.select(AlertNotification.alert_id).where(
                AlertNotification.alert_id.in_([row.alert_id for row in ended]),
                AlertNotification.channel_id == fallback.id,
                AlertNotification.change == Change.OPENED,
                AlertNotification.stands_in_for != "",
            )
        )
    )
    owed = [row for row in ended if row.alert_id in began_there]
    if owed:
        _stand_in(session, owed, fallback, notification.thread, now=now)


def tell_end_instead(session: Session, alert: Alert, *, superseded_by: str, now: datetime) -> None:
    """Tell the end to whoever heard of the beginning in a channel's stead, whatever became of it.

    Where that channel passes on what it gets, or is told of the alert that took its place, so is
    its fallback, in the same way as before.
    """
    rows = session.scalars(
        sa.select(AlertNotification)
        .where(
            AlertNotification.alert_id == alert.id,
            AlertNotification.change == Change.OPENED,
            AlertNotification.turn == 0,
            AlertNotification.stands_in_for != "",
            AlertNotification.state != NotificationState.FAILED,
        )
        .order_by(AlertNotification.id)
    ).all()
    for row in rows:
        if not _will_hear(session, alert, row, superseded_by):
            end = Message(
                alerts=[alert],
                channel_id=row.channel_id,
                change=Change.RESOLVED,
                thread=row.thread,
                stands_in_for={alert.id: row.stands_in_for},
            )
            put(session, [end], now=now)


def _will_hear(session: Session, alert: Alert, told: AlertNotification, superseded_by: str) -> bool:
    """Whether who was told instead hears of the end anyway, or is to hear of nothing."""
    if not is_told(session.get_one(AlertChannel, told.channel_id)):
        return True
    if is_told_instead(session, superseded_by, told.channel_id):
        return True
    lost = session.get(AlertNotification, told.stands_in_for)
    first = session.get(AlertChannel, lost.channel_id) if lost else None
    fallback = find_fallback(session, first) if first else None
    if first is None or fallback is None or fallback.id != told.channel_id:
        return False
    passed_on = not first.enabled and is_told_instead(session, superseded_by, first.id)
    return passed_on or hears_end(session, alert, first.id)


def instead_of(session: Session, notification: AlertNotification) -> str:
    """The channel in whose stead a notification is sent, as people know it; usually empty."""
    if not notification.stands_in_for:
        return ""
    lost = session.get(AlertNotification, notification.stands_in_for)
    channel = session.get(AlertChannel, lost.channel_id) if lost else None
    if channel is None:
        return "a channel that is gone"
    return f"{channel.name} ({KINDS[channel.type].shown(channel.config)})"


def waiting_for(session: Session, channel: AlertChannel) -> Sequence[str]:
    """The deliveries of a channel that wait for another try; at most 1,000."""
    return session.scalars(
        sa.select(AlertNotification.delivery_id)
        .where(
            AlertNotification.channel_id == channel.id,
            AlertNotification.state == NotificationState.WAITING,
            AlertNotification.delivery_id != "",
        )
        .order_by(AlertNotification.id)
        .limit(MOST_HASTENED)
    ).all()


def _stand_in(
    session: Session,
    lost: Sequence[AlertNotification],
    fallback: AlertChannel,
    thread: str,
    *,
    now: datetime,
) -> None:
    """Write down one message of all that was lost, or one of each where they cannot be one.

    What a step told for the first time and for another leaves apart: each turn is told once.
    """
    rows = sa.select(Alert).where(Alert.id.in_([row.alert_id for row in lost])).order_by(Alert.id)
    alerts = session.scalars(rows).all()
    one_by_one = fallback.type in ONE_BY_ONE
    messages = []
    for turn in sorted({row.turn for row in lost}, reverse=True):
        owed = {row.alert_id: row.id for row in lost if row.alert_id and row.turn == turn}
        told = [alert for alert in alerts if alert.id in owed]
        messages += [
            Message(
                alerts=members,
                channel_id=fallback.id,
                change=Change(lost[0].change),
                turn=turn,
                thread=thread,
                stands_in_for=owed,
            )
            for members in ([[alert] for alert in told] if one_by_one else [told])
        ]
    put(session, messages, now=now)
