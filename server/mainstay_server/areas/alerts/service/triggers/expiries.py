"""Certificates and domains that end soon, as alerts: one at a time for each, a new one nearer."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import Alert, AlertStatus, AlertType, Severity
from mainstay_server.areas.alerts.service.firing import Firing, fire, identity_of, resolve
from mainstay_server.contracts.health_checks import ExpiryMoved
from mainstay_server.tenancy.subjects import find_instance

KINDS = {"certificate": AlertType.CERTIFICATE_EXPIRING, "domain": AlertType.DOMAIN_EXPIRING}
WORDS = {"certificate": "certificate", "domain": "domain registration"}
CRITICAL_DAYS = 1


def record_expiry(session: Session, event: ExpiryMoved, *, now: datetime) -> None:
    """Open the alert of a threshold in place of the one before, or end it when all is settled.

    One reaction hears both, so that they come in order.
    """
    kind = KINDS[event.what]
    before = session.scalars(
        sa.select(Alert.identity).where(
            Alert.instance_id == event.instance_id,
            Alert.identity.like(f"{identity_of(kind, event.health_check_id)}:%"),
            Alert.status == AlertStatus.ACTIVE,
        )
    ).all()
    alert_id = None if event.days is None else _fire(session, event, kind, now=now)
    for identity in before:
        if event.days is not None and identity == identity_of(kind, _about(event)):
            continue
        resolve(
            session,
            event.instance_id,
            identity,
            resolution=event.reason.capitalize() or "It is nearer now.",
            superseded_by=alert_id or "",
            now=now,
        )


def _fire(session: Session, event: ExpiryMoved, kind: AlertType, *, now: datetime) -> str | None:
    instance = find_instance(session, event.instance_id)
    if instance is None:
        return None
    assert event.days is not None, "what is settled opens nothing"
    within = "a day" if event.days == 1 else f"{event.days} days"
    firing = Firing(
        type=kind,
        about=_about(event),
        title=f"{instance.project_slug} {instance.environment}: the {WORDS[event.what]} of"
        f" {event.target or event.name} ends within {within}",
        message=f"It ends at {event.ends_at:%Y-%m-%d %H:%M} UTC. Renew it; the health check"
        f" {event.name} tells when it has seen the new one.",
        severity=Severity.CRITICAL if event.days <= CRITICAL_DAYS else None,
    )
    return fire(session, instance, firing, now=now)


def _about(event: ExpiryMoved) -> str:
    return f"{event.health_check_id}:{event.days}"
