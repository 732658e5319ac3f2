"""Alerts that remind of what is due: each ends after a day, so that the next one is told again."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import Alert, AlertStatus, AlertType
from mainstay_server.areas.alerts.service.firing import resolve_each

REMINDERS_STAY = timedelta(days=1)
MOST_AT_ONCE = 1000
REMINDERS = (
    AlertType.API_KEY_ROTATION,
    AlertType.ABUSE_DETECTED,
    AlertType.QUOTA_REACHED,
    AlertType.STORAGE_LIMIT,
    AlertType.VULNERABILITY_FOUND,
)


def settle_reminders(session: Session, *, now: datetime) -> int:
    """End quietly the reminders that stood for a day, so that the next one is told of again."""
    old = sa.select(Alert.id).where(
        Alert.type.in_(REMINDERS),
        Alert.status == AlertStatus.ACTIVE,
        Alert.identity.not_like("%:by-hand:%"),
        Alert.opened_at <= now - REMINDERS_STAY,
    )
    ids = list(session.scalars(old.limit(MOST_AT_ONCE)))
    text = "A day has passed; the scorecard and the security page go on telling."
    return resolve_each(session, ids, resolution=text, quiet=True, now=now)
