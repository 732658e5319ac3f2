"""Who is told what: one notification per change and channel, and what became of each."""

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
from mainstay_server.areas.alerts.providers import KINDS
from mainstay_server.areas.alerts.schemas import AlertNotificationDue
from mainstay_server.contracts.alerts import (
    AlertChannelDisabled,
    AlertChannelTested,
    AlertNotificationResent,
)
from mainstay_server.kernel import events
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.problems import Conflict, NotFound

from . import fallbacks
from .channels import about_channel, settings_of
from .routing import telling
from .routing.putting import carried_by
from .stepping.telling import tell_end

LONGEST_ERROR = 500
LONGEST_RECEIPT = 100
MOST_WAITING_TESTS = 5


def announce_opened(session: Session, alert_id: str, *, now: datetime) -> None:
    """Write down whom the opening of an alert is told to, and when: routes and channels as of now.

    Done once per alert, whatever reaction comes first or comes again.
    """
    alert = _locked(session, alert_id)
    if alert is not None and alert.announced_at is None:
        alert.announced_at = now
        telling.announce(session, alert, now=now)


def announce_resolved(
    session: Session,
    alert_id: str,
    *,
    superseded_by: str = "",
    quiet: bool = False,
    now: datetime,
) -> None:
    """Write down whom the end of an alert is told to: those that were told of its beginning.

    Whoever is told of the alert that took its place is not told of the end as well: one message
    per change. The beginnings are written first, in case their own reaction is late.
    """
    announce_opened(session, alert_id, now=now)
    if superseded_by:
        announce_opened(session, superseded_by, now=now)
    alert = _locked(session, alert_id)
    if alert is not None:
        telling.conclude(session, alert, superseded_by=superseded_by, quiet=quiet, now=now)
        if not quiet:
            fallbacks.tell_end_instead(session, alert, superseded_by=superseded_by, now=now)
            tell_end(session, alert, superseded_by=superseded_by, now=now)


def send_test(session: Session, channel: AlertChannel, *, now: datetime) -> AlertNotification:
    """Send a test message the way that alerts go, so that its result says how alerts would fare.

    Raises:
        Conflict: the channel is off, or five tests wait already.
    """
    if not channel.enabled:
        raise Conflict("The channel is switched off; switch it on before testing it.")
    waiting = session.scalar(
        sa.select(sa.func.count()).where(
            AlertNotification.channel_id == channel.id,
            AlertNotification.change == Change.TEST,
            AlertNotification.state == NotificationState.WAITING,
        )
    )
    if (waiting or 0) >= MOST_WAITING_TESTS:
        raise Conflict(f"{waiting} tests of this channel wait already; see what they wait for.")
    test = AlertNotification(id=new_id(), channel_id=channel.id, change=Change.TEST, created_at=now)
    session.add(test)
    session.flush()
    say(
        session,
        AlertNotificationDue(notification_id=test.id, channel_id=channel.id, thread=test.id),
        now=now,
    )
    say(session, AlertChannelTested(**about_channel(channel)), now=now)
    return test


def record_delivered(session: Session, tries: Sequence[events.Delivered], *, now: datetime) -> None:
    """Receivers took notifications, and maybe called them something: their channels work."""
    by_id = {
        one.event.notification_id: one
        for one in tries
        if isinstance(one.event, AlertNotificationDue) and one.answer is not None
    }
    led = sa.or_(AlertNotification.id.in_(by_id), AlertNotification.carried_by.in_(by_id))
    rows = session.execute(
        sa.select(AlertNotification, AlertChannel)
        .join(AlertChannel, AlertChannel.id == AlertNotification.channel_id)
        .where(led)
        .order_by(AlertNotification.id)
    ).all()
    for row, channel in rows:
        taken = by_id[row.carried_by or row.id]
        _record_try(row, taken.delivery, error="")
        row.state, row.finished_at = NotificationState.DELIVERED, now
        row.receipt = str(taken.answer)[:LONGEST_RECEIPT]
        channel.last_delivered_at, channel.last_error, channel.failing_since = now, "", None
    session.flush()
    for row, channel in rows:
        if not row.carried_by:
            fallbacks.tell_end_too(session, row, channel, now=by_id[row.id].delivery.at)


def record_failure(
    session: Session,
    notification_id: str,
    *,
    delivery: events.Delivery,
    reason: str,
    receiver_gone: bool,
    now: datetime,
) -> None:
    """A try failed; the channel shows why, and is switched off when its receiver is gone."""
    notification = session.get(AlertNotification, notification_id)
    if notification is None:
        return
    for row in (notification, *carried_by(session, notification_id)):
        _record_try(row, delivery, error=reason)
    notification.slot_at = None
    channel = session.get_one(AlertChannel, notification.channel_id)
    channel.last_error = reason[:LONGEST_ERROR]
    if receiver_gone and channel.enabled:
        before = settings_of(channel)
        channel.enabled, channel.disabled_reason = False, reason[:LONGEST_ERROR]
        disabled = AlertChannelDisabled(
            **about_channel(channel),
            reason=channel.disabled_reason,
            changes=changes_between(before, settings_of(channel)),
        )
        say(session, disabled, now=now)
        session.flush()
        events.hasten(session, fallbacks.waiting_for(session, channel), now=delivery.at)


def record_given_up(session: Session, notification_id: str, *, reason: str, now: datetime) -> None:
    """No try is left: the notification is a dead letter, and its channel visibly fails."""
    notification = session.get(AlertNotification, notification_id)
    if notification is None:
        return
    for row in (notification, *carried_by(session, notification_id)):
        row.state, row.finished_at = NotificationState.FAILED, now
        row.last_error = reason[:LONGEST_ERROR]
    channel = session.get_one(AlertChannel, notification.channel_id)
    fallbacks.fall_back(session, notification, channel, now=now)
    if channel.enabled:
        channel.failing_since = channel.failing_since or now
        channel.last_error = reason[:LONGEST_ERROR]


def resend(session: Session, notification_id: str, *, project_id: str, now: datetime) -> None:
    """Give a failed notification its tries back, under its old idempotency key.

    Raises:
        NotFound: the project has no such notification.
        Conflict: it did not fail, or its channel is off.
    """
    row = session.execute(
        sa.select(AlertNotification, AlertChannel)
        .join(AlertChannel)
        .where(AlertNotification.id == notification_id, AlertChannel.project_id == project_id)
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such notification; the alerts page lists those that failed.")
    notification, channel = row
    if not channel.enabled:
        raise Conflict("The channel is switched off; switch it on, then resend.")
    if not events.resend(session, notification.delivery_id, now=now):
        raise Conflict("This notification did not fail, so there is nothing to resend.")
    for each in (notification, *carried_by(session, notification_id)):
        each.state, each.finished_at, each.attempts = NotificationState.WAITING, None, 0
    resent = AlertNotificationResent(
        organization_id=channel.organization_id,
        project_id=channel.project_id,
        instance_id=channel.instance_id or "",
        notification_id=notification.id,
        channel=f"{channel.type} {KINDS[channel.type].shown(channel.config)}",
    )
    say(session, resent, now=now)


def _record_try(notification: AlertNotification, delivery: events.Delivery, *, error: str) -> None:
    notification.delivery_id, notification.attempts = delivery.id, delivery.attempt
    notification.last_error = error[:LONGEST_ERROR]


def _locked(session: Session, alert_id: str) -> Alert | None:
    return session.get(Alert, alert_id, with_for_update=True, populate_existing=True)
