"""Parcels: what a sender has to say and through which channel, read for several at once."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache, partial
from typing import TypedDict
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import (
    Alert,
    AlertChannel,
    AlertNotification,
    AlertType,
    Change,
    NotificationState,
    Severity,
)
from mainstay_server.areas.alerts.schemas import AlertNotificationDue, Notice, Parcel
from mainstay_server.contracts.email import MailBrand, mail_brand
from mainstay_server.kernel.events import Refused
from mainstay_server.kernel.settings import ServerSettings, of
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import find_default_instance, find_instance

from . import fallbacks
from .channels import secrets_of
from .digests import gathered_into
from .rate_limit import limit_of
from .rules import rules_for
from .runbooks import address_of
from .stepping.links import with_links

CHANNEL_IS_OFF = "The channel is switched off; switch it on, then resend this."


def find_parcels(
    session: Session, due: Sequence[AlertNotificationDue], *, now: datetime
) -> list[Parcel | Refused | None]:
    """What to send for each notification, in a handful of statements for however many are alike.

    None when nothing is left to send: the channel or the alert was deleted, or a try that looked
    failed was not. `Refused` when the channel was switched off in the meantime.
    """
    rows = session.execute(
        sa.select(AlertNotification, AlertChannel, Alert)
        .join(AlertChannel, AlertChannel.id == AlertNotification.channel_id)
        .outerjoin(Alert, Alert.id == AlertNotification.alert_id)
        .where(AlertNotification.id.in_([event.notification_id for event in due]))
    )
    found = {row[0].id: row for row in rows}
    packer = _Packer(session, list(found), now=now)
    return [
        packer.pack(*found[event.notification_id]) if event.notification_id in found else None
        for event in due
    ]


class _Packer:
    """Packs several parcels; what they have in common is read once."""

    def __init__(self, session: Session, notification_ids: Sequence[str], *, now: datetime) -> None:
        self._session = session
        self._now = now
        self._instance: Callable[[str], InstanceRef | None] = cache(partial(find_instance, session))
        self._rules = cache(partial(rules_for, session))
        self._brand = cache(partial(_brand_of, session))
        self._carried: dict[str, list[str]] = {}
        rows = session.execute(
            sa.select(AlertNotification.carried_by, AlertNotification.alert_id)
            .where(
                AlertNotification.carried_by.in_(notification_ids),
                AlertNotification.alert_id.is_not(None),
            )
            .order_by(AlertNotification.id)
        )
        for leader, alert_id in rows:
            self._carried.setdefault(leader, []).append(str(alert_id))

    def pack(
        self, told: AlertNotification, channel: AlertChannel, alert: Alert | None
    ) -> Parcel | Refused | None:
        """One parcel, if anything is to be sent."""
        if told.state == NotificationState.DELIVERED:
            return None
        if not channel.enabled:
            return Refused(channel.disabled_reason or CHANNEL_IS_OFF)
        if told.alert_id is None:
            notice = _test_notice(self._session, told, channel)
        else:
            notice = None if alert is None else self._notice(told, alert)
        if notice is None:
            return None
        notice = replace(
            notice,
            reply_to=_message_of_beginning(self._session, told),
            instead_of=fallbacks.instead_of(self._session, told),
            brand=self._brand(channel.organization_id) if channel.type == "email" else None,
        )
        return Parcel(
            notice=with_links(self._session, told, notice),
            kind=channel.type,
            config=channel.config,
            secrets=secrets_of(channel, now=self._now),
            limited=limit_of(channel) > 0,
        )

    def _notice(self, told: AlertNotification, alert: Alert) -> Notice | None:
        instance = self._instance(alert.instance_id)
        if instance is None:
            return None
        resolved = told.change == Change.RESOLVED
        notice = Notice(
            change=Change(told.change),
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
            repeat=max(0, told.turn),
            runbook_url="" if resolved else self._runbook_url(alert, instance),
            labels=alert.labels,
            annotations=alert.annotations,
            **_place(
                instance, f"errors/{alert.issue_id}" if alert.issue_id else f"alerts/{alert.id}"
            ),
        )
        others = self._carried.get(told.id)
        if not others:
            return notice
        return gathered_into(self._session, notice, others, numbered=told.by_step)

    def _runbook_url(self, alert: Alert, instance: InstanceRef) -> str:
        """Where it says what to do: elsewhere, or on the alert's page; "" when nobody wrote it."""
        path = f"projects/{instance.project_slug}/alerts/{alert.id}"
        page = f"{dashboard_url(path)}?instance={quote(instance.environment)}#runbook"
        rule = self._rules(instance.project_id, instance.id)[AlertType(alert.type)]
        return address_of(self._session, alert, instance, rule, page=page)


def dashboard_url(path: str) -> str:
    """A page of ours as people reach it from a mail."""
    return f"{of(ServerSettings).public_url}/dashboard/{path}"


def _brand_of(session: Session, organization_id: str) -> MailBrand | None:
    return mail_brand(session, organization_id) if mail_brand.is_answered else None


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
