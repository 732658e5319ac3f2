"""What other areas ask about alerts and channels: each answers the port of its name."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import (
    Alert,
    AlertChannel,
    AlertNotification,
    AlertStatus,
    Severity,
)
from mainstay_server.areas.alerts.providers import KINDS
from mainstay_server.contracts.alerts import (
    AlertChannelSeen,
    AlertSeen,
    AlertsOver,
    AlertSummary,
)
from mainstay_server.kernel.settings import secret_key
from mainstay_server.tenancy.models import Instance, Project
from mainstay_server.tenancy.subjects import find_instance

from .channels import MOST_OF_ORGANIZATION, list_channels
from .routing.advancing import MOST_TOGETHER
from .routing.ground import read_ground, why_held


def find_alert(session: Session, alert_id: str) -> AlertSeen | None:
    """One alert as it is now, or None."""
    alert = session.get(Alert, alert_id)
    return None if alert is None else _seen(alert)


def recent_alerts(
    session: Session, project_id: str, *, since: datetime, limit: int
) -> Sequence[AlertSeen]:
    """A project's alerts that are active or were opened since, the newest first."""
    found = session.scalars(
        sa.select(Alert)
        .where(
            Alert.project_id == project_id,
            sa.or_(Alert.status == AlertStatus.ACTIVE, Alert.opened_at >= since),
        )
        .order_by(Alert.id.desc())
        .limit(limit)
    )
    return [_seen(alert) for alert in found]


def alerts_told(session: Session, message_id: str) -> Sequence[str]:
    """The alerts that a message tells of: that of its own row, and of those that it carries."""
    rows = sa.select(AlertNotification.alert_id).where(
        sa.or_(AlertNotification.id == message_id, AlertNotification.carried_by == message_id),
        AlertNotification.alert_id.is_not(None),
    )
    found = session.scalars(rows.order_by(AlertNotification.id).limit(MOST_TOGETHER))
    return [str(alert_id) for alert_id in found]


def why_alert_is_held(session: Session, alert_id: str, *, now: datetime) -> str:
    """Why nobody is to be told of an active alert at present, whatever their channel; or empty."""
    alert = session.get(Alert, alert_id)
    if alert is None or alert.status != AlertStatus.ACTIVE:
        return ""
    return why_held(session, read_ground(session, alert.project_id), alert, now=now)


def alerts_over(
    session: Session, organization_id: str, *, since: datetime, until: datetime, limit: int
) -> AlertsOver:
    """What became of an organization's alerts over a span of time, the gravest of them first."""
    ours = Alert.organization_id == organization_id
    began = sa.and_(Alert.opened_at >= since, Alert.opened_at < until)
    ended = sa.and_(Alert.resolved_at >= since, Alert.resolved_at < until)
    still = sa.and_(
        Alert.opened_at < until,
        sa.or_(Alert.resolved_at.is_(None), Alert.resolved_at >= until),
    )
    opened, resolved, active = session.execute(
        sa.select(
            sa.func.count().filter(began),
            sa.func.count().filter(ended),
            sa.func.count().filter(still),
        ).where(ours)
    ).one()
    rank = sa.case({severity: severity.rank for severity in Severity}, value=Alert.severity)
    rows = session.execute(
        sa.select(Alert, Project.name, Instance.environment)
        .join(Project, Project.id == Alert.project_id)
        .join(Instance, Instance.id == Alert.instance_id)
        .where(ours, began)
        .order_by(rank.desc(), Alert.opened_at.desc(), Alert.id)
        .limit(limit)
    )
    gravest = [
        AlertSummary(
            project_name=project,
            environment=environment,
            severity=Severity(alert.severity).value,
            title=alert.title,
            opened_at=alert.opened_at,
            resolved_at=alert.resolved_at
            if alert.resolved_at and alert.resolved_at < until
            else None,
        )
        for alert, project, environment in rows
    ]
    return AlertsOver(opened=opened, resolved=resolved, active=active, gravest=gravest)


def alert_channels(session: Session, instance_id: str) -> Sequence[AlertChannelSeen]:
    """The channels that hear of an instance, as other areas may see them."""
    instance = find_instance(session, instance_id)
    if instance is None:
        return ()
    found = list_channels(session, instance.project_id, instance_id)
    return [
        AlertChannelSeen(
            id=channel.id, kind=channel.type, name=KINDS[channel.type].shown(channel.config)
        )
        for channel in found
        if channel.enabled
    ]


def channels_of_organization(session: Session, organization_id: str) -> Sequence[AlertChannelSeen]:
    """The channels of an organization's projects, each by its project, its name and its target."""
    found = session.execute(
        sa.select(AlertChannel, Project.name)
        .join(Project, Project.id == AlertChannel.project_id)
        .where(AlertChannel.organization_id == organization_id, AlertChannel.enabled)
        .order_by(Project.name, AlertChannel.name, AlertChannel.id)
        .limit(MOST_OF_ORGANIZATION)
    )
    return [
        AlertChannelSeen(
            id=channel.id,
            kind=channel.type,
            name=f"{project}: {channel.name} ({KINDS[channel.type].shown(channel.config)})",
            place=_place_of(channel),
        )
        for channel, project in found
    ]


def _place_of(channel: AlertChannel) -> str:
    config = msgspec.json.encode(channel.config, order="sorted")
    code = hmac.new(secret_key(), b"alert-channel-place:" + config, hashlib.sha256)
    return code.hexdigest()[:16]


def _seen(alert: Alert) -> AlertSeen:
    return AlertSeen(
        id=alert.id,
        project_id=alert.project_id,
        instance_id=alert.instance_id,
        type=alert.type,
        severity=alert.severity,
        title=alert.title,
        labels=alert.labels,
        opened_at=alert.opened_at,
        acknowledged_at=alert.acknowledged_at,
        ended_at=alert.resolved_at,
    )
