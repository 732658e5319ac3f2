"""Pruning: the outbox forgets what everybody heard long ago."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.kernel.database import rows_changed
from mainstay_server.kernel.jobs import job

from .models import DeliveryStatus, OutboxDelivery, OutboxEvent

KEPT = timedelta(days=30)
MOST_AT_ONCE = 5000


@job(every=timedelta(hours=1), task="cleanup")
def prune_outbox(session: Session, *, now: datetime) -> int:
    """Delete events older than 30 days that nobody waits for; dead letters stay to be seen.

    At most 5,000 an hour, so that the writers behind it never wait long. Returns how many.
    """
    wanted = sa.exists().where(
        OutboxDelivery.position == OutboxEvent.position,
        OutboxDelivery.status != DeliveryStatus.DONE,
    )
    old = (
        sa.select(OutboxEvent.position)
        .where(OutboxEvent.said_at < now - KEPT, ~wanted)
        .order_by(OutboxEvent.position)
        .limit(MOST_AT_ONCE)
    )
    return rows_changed(session, sa.delete(OutboxEvent).where(OutboxEvent.position.in_(old)))
