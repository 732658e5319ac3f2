"""What people, and not rules, do with alerts: open one, take it in hand, mute it, end it."""

import hashlib
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import Alert, AlertStatus, Severity
from mainstay_server.contracts.alerts import (
    AlertAcknowledged,
    AlertMuted,
    AlertOpenedByHand,
    AlertResolvedByHand,
)
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.subjects import InstanceRef

from . import firing
from .firing import Firing, facts_of_alert, one_line


def open_alert(
    session: Session, instance: InstanceRef, found: Firing, severity: Severity, *, now: datetime
) -> tuple[Alert, bool]:
    """Open an alert that no rule found; of one type and title, one at most is active."""
    about = "by-hand:" + hashlib.sha256(one_line(found.title).encode()).hexdigest()[:16]
    named = Firing(type=found.type, title=found.title, message=found.message, about=about)
    alert_id, is_new = firing.open_alert(session, instance, named, severity, now=now)
    alert = session.get_one(Alert, alert_id, populate_existing=True)
    if is_new:
        changes = changes_between({}, {"status": alert.status, "severity": alert.severity})
        say(session, AlertOpenedByHand(**facts_of_alert(alert), changes=changes), now=now)
    return alert, is_new


def acknowledge_alert(
    session: Session, alert_id: str, *, by: str, name: str, now: datetime
) -> bool:
    """Somebody has taken an active alert in hand: said once, whoever does so at the same moment.

    `by` is a person's id. Returns whether it was theirs to take: neither over nor taken before.
    """
    taken = session.scalars(
        sa.update(Alert)
        .where(
            Alert.id == alert_id,
            Alert.status == AlertStatus.ACTIVE,
            Alert.acknowledged_at.is_(None),
        )
        .values(acknowledged_at=now, acknowledged_by=by)
        .returning(Alert)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if taken is None:
        return False
    changes = changes_between({"acknowledgedBy": ""}, {"acknowledgedBy": by})
    said = AlertAcknowledged(**facts_of_alert(taken), by=by, name=name, changes=changes)
    say(session, said, now=now)
    return True


def mute_alert(session: Session, alert: Alert, until: datetime | None, *, now: datetime) -> Alert:
    """Tell nobody of an alert until then; None, or a time that has passed, ends that."""
    before = {"mutedUntil": _moment(alert.muted_until)}
    alert.muted_until = until if until is not None and until > now else None
    session.flush()
    changes = changes_between(before, {"mutedUntil": _moment(alert.muted_until)})
    if changes:
        say(session, AlertMuted(**facts_of_alert(alert), changes=changes), now=now)
    return alert


def resolve_alert(
    session: Session, instance_id: str, alert_id: str, *, person_id: str, name: str, now: datetime
) -> Alert:
    """End an alert because a person says so; one that has ended already stays as it is.

    Raises:
        NotFound: the instance has no such alert.
    """
    ended = firing.end_alerts(
        session,
        Alert.instance_id == instance_id,
        Alert.id == alert_id,
        resolution=f"Resolved by {name}.",
        resolved_by=person_id,
        now=now,
    )
    for alert in ended:
        changes = changes_between({"status": AlertStatus.ACTIVE}, {"status": alert.status})
        say(session, AlertResolvedByHand(**facts_of_alert(alert), changes=changes), now=now)
    return firing.get_alert(session, instance_id, alert_id)


def _moment(at: datetime | None) -> str:
    return at.isoformat() if at else ""
