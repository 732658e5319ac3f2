"""Dead letters: what could not be delivered and waits for somebody to have it sent again."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from mainstay_server.areas.alerts.models import AlertChannel, AlertNotification, NotificationState
from mainstay_server.kernel.problems import Conflict

from .notifications import resend

MOST_RESENT_AT_ONCE = 200


@dataclass(frozen=True, kw_only=True)
class Resent:
    """How many dead letters have their tries back, and how many are left for another time."""

    resent: int
    left: int


def resend_all(session: Session, *, project_id: str, channel_id: str = "", now: datetime) -> Resent:
    """Give dead letters their tries back, the oldest first, at most 200 at once.

    Left out are those of channels that are off, and those that another channel stood in for: they
    were told. Each goes under its old idempotency key.
    """
    stand_in = aliased(AlertNotification)
    dead = (
        sa.select(AlertNotification.id)
        .join(AlertChannel, AlertChannel.id == AlertNotification.channel_id)
        .where(
            AlertChannel.project_id == project_id,
            AlertChannel.enabled,
            AlertNotification.state == NotificationState.FAILED,
            ~sa.exists().where(stand_in.stands_in_for == AlertNotification.id),
        )
        .order_by(AlertNotification.id)
    )
    if channel_id:
        dead = dead.where(AlertNotification.channel_id == channel_id)
    resent = 0
    for notification_id in session.scalars(dead.limit(MOST_RESENT_AT_ONCE)).all():
        try:
            resend(session, notification_id, project_id=project_id, now=now)
        except Conflict:  # somebody resent it in the meantime
            continue
        resent += 1
    session.flush()
    left = session.scalar(sa.select(sa.func.count()).select_from(dead.subquery()))
    return Resent(resent=resent, left=left or 0)
