"""Who is told what: one notification per change and channel, and what became of each."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypedDict
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import (
    Alert,
    AlertChannel,
    AlertNotification,
    Change,
    NotificationState,
    Severity,
)
from mainstay_server.areas.alerts.providers import KINDS
from mainstay_server.areas.alerts.schemas import AlertNotificationDue, Notice, Parcel
from mainstay_server.contracts.alerts import (
    AlertChannelDisabled,
    AlertChannelTested,
    AlertNotificationResent,
)
from mainstay_server.contracts.email import MailBrand, mail_brand
from mainstay_server.kernel import events
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.problems import Conflict, NotFound
from mainstay_server.kernel.settings import ServerSettings, of
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import find_default_instance, find_instance

from . import fallbacks
from .channels import about_channel, secrets_of, settings_of
from .digests import gathered_into
from .rate_limit import limit_of
from .routing import telling
from .routing.putting import carried_by
from .runbooks import address_of
from .stepping.links import with_links
from .stepping.telling import tell_end

LONGEST_ERROR = 500
LONGEST_RECEIPT = 100
MOST_WAITING_TESTS = 5
CHANNEL_IS_OFF = "The channel is switched off; switch it on, then resend this."


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


def find_parcel(session: Session, notification_id: str, *, now: datetime) -> Parcel | None:
    """What a sender has to say and through which channel; None when nothing is left to send.

    Nothing is left when the channel or the alert was deleted, or a try that looked failed was not.

    Raises:
        Refused: the channel was switched off in the meantime.
    """
    row = session.execute(
        sa.select(AlertNotification, AlertChannel, Alert)
        .join(AlertChannel, AlertChannel.id == AlertNotification.channel_id)
        .outerjoin(Alert, Alert.id == AlertNotification.alert_id)
        .where(AlertNotification.id == notification_id)
    ).one_or_none()
    if row is None or row[0].state == NotificationState.DELIVERED:
        return None
    notification, channel, alert = row
    if not channel.enabled:
        raise events.Refused(channel.disabled_reason or CHANNEL_IS_OFF)
    notice = (
        _test_notice(session, notification, channel)
        if notification.alert_id is None
        else _notice(session, notification, alert)
    )
    if notice is None:
        return None
    notice = replace(
        notice,
        reply_to=_message_of_beginning(session, notification),
        instead_of=fallbacks.instead_of(session, notification),
        brand=_brand_of(session, channel),
    )
    return Parcel(
        notice=with_links(session, notification, notice),
        kind=channel.type,
        config=channel.config,
        secrets=secrets_of(channel, now=now),
        limited=limit_of(channel) > 0,
    )


def _brand_of(session: Session, channel: AlertChannel) -> MailBrand | None:
    if channel.type != "email" or not mail_brand.is_answered:
        return None
    return mail_brand(session, channel.organization_id)


def _message_of_beginning(session: Session, notification: AlertNotification) -> str:
    """What the receiver called the first message about an alert; empty of the first itself."""
    if notification.change == Change.OPENED and notification.turn == 0:
        return ""
    receipts = (
        sa.select(AlertNotification.receipt)
        .where(
            AlertNotification.alert_id == notification.alert_id,
            AlertNotification.channel_id == notification.channel_id,
            AlertNotification.receipt != "",
        )
        .order_by(AlertNotification.id)
        .limit(1)
    )
    return session.scalar(receipts) or ""


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


def dashboard_url(path: str) -> str:
    """A page of ours as people reach it from a mail."""
    return f"{of(ServerSettings).public_url}/dashboard/{path}"


def _record_try(notification: AlertNotification, delivery: events.Delivery, *, error: str) -> None:
    notification.delivery_id, notification.attempts = delivery.id, delivery.attempt
    notification.last_error = error[:LONGEST_ERROR]


def _locked(session: Session, alert_id: str) -> Alert | None:
    return session.get(Alert, alert_id, with_for_update=True, populate_existing=True)


def _notice(session: Session, notification: AlertNotification, alert: Alert) -> Notice | None:
    instance = find_instance(session, alert.instance_id)
    if instance is None:
        return None
    resolved = notification.change == Change.RESOLVED
    told = Notice(
        change=Change(notification.change),
        at=(alert.resolved_at if resolved else None) or alert.opened_at,
        alert_id=alert.id,
        type=alert.type,
        severity=alert.severity,
        title=alert.title,
        message=alert.message,
        resolution=alert.resolution if resolved else "",
        opened_at=alert.opened_at,
        resolved_at=alert.resolved_at if resolved else None,
        supersedes=alert.supersedes,
        repeat=max(0, notification.turn),
        runbook_url="" if resolved else _runbook_url(session, alert, instance),
        labels=alert.labels,
        annotations=alert.annotations,
        **_place(instance, f"errors/{alert.issue_id}" if alert.issue_id else f"alerts/{alert.id}"),
    )
    others = [row.alert_id for row in carried_by(session, notification.id) if row.alert_id]
    if not others:
        return told
    return gathered_into(session, told, others, numbered=notification.by_step)


def _runbook_url(session: Session, alert: Alert, instance: InstanceRef) -> str:
    """Where it says what to do: elsewhere, or on the alert's page; "" when nobody wrote it."""
    path = f"projects/{instance.project_slug}/alerts/{alert.id}"
    page = f"{dashboard_url(path)}?instance={quote(instance.environment)}#runbook"
    return address_of(session, alert, instance, page=page)


def _test_notice(
    session: Session, notification: AlertNotification, channel: AlertChannel
) -> Notice | None:
    if channel.instance_id is None:
        instance = find_default_instance(session, channel.project_id)
    else:
        instance = find_instance(session, channel.instance_id)
    if instance is None:
        return None
    return Notice(
        change=Change.TEST,
        at=notification.created_at,
        alert_id=notification.id,
        type="test",
        severity=Severity.INFO,
        title=f"{instance.project_slug}: alerts arrive here",
        message="This is a test that somebody sent from Mainstay. Nothing is wrong.",
        resolution="",
        opened_at=notification.created_at,
        resolved_at=None,
        supersedes="",
        **_place(instance),
    )


class Place(TypedDict):
    """Where something happens, as a notice tells it."""

    instance_id: str
    environment: str
    instance_url: str
    project_slug: str
    project_name: str
    url: str


def _place(instance: InstanceRef, page: str = "alerts") -> Place:
    path = f"projects/{instance.project_slug}/{page}?instance={quote(instance.environment)}"
    return {
        "instance_id": instance.id,
        "environment": instance.environment,
        "instance_url": instance.url,
        "project_slug": instance.project_slug,
        "project_name": instance.project_name,
        "url": dashboard_url(path),
    }
