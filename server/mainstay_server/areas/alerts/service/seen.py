"""Alerts as other areas may see them."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import Alert, AlertStatus
from mainstay_server.contracts.alerts import AlertSeen

from .routing.ground import read_ground, why_held


def find_seen(session: Session, alert_id: str) -> AlertSeen | None:
    """One alert as it is now, or None."""
    alert = session.get(Alert, alert_id)
    return None if alert is None else _seen(alert)


def recent_seen(
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


def why_held_now(session: Session, alert_id: str, *, now: datetime) -> str:
    """Why nobody is to be told of an active alert at present, whatever their channel; or empty."""
    alert = session.get(Alert, alert_id)
    if alert is None or alert.status != AlertStatus.ACTIVE:
        return ""
    return why_held(session, read_ground(session, alert.project_id), alert, now=now)


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
