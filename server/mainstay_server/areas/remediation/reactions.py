"""What remediation does about alerts, and the sender that carries a webhook's try out."""

import time
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.contracts.alerts import AlertOpened, AlertResolved
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import Delivery, on, sends

from .providers import webhook
from .schemas import RemediationTryDue
from .service import runs, sending, starting


@on(AlertOpened)
def begin_what_fits(session: Session, event: AlertOpened, *, now: datetime) -> None:
    """Begin the actions that a project allows by itself for such an alert."""
    starting.begin_automatic(session, event, now=now)


@on(AlertResolved)
def end_what_is_healed(session: Session, event: AlertResolved, *, now: datetime) -> None:
    """An alert is over: what was tried for it needs no other try."""
    runs.record_over(session, event.alert_id, superseded_by=event.superseded_by, now=now)


@sends(RemediationTryDue)
def send_try(event: RemediationTryDue, *, delivery: Delivery) -> None:
    """Send one try of a webhook, under one key; what it answers decides, not the outbox, on tries.

    Killed between the answer and its being written down, it is sent again under the same key.
    """
    began = time.monotonic()
    with reading() as session:
        parcel = sending.find_parcel(session, event, now=delivery.at)
    if parcel is None:
        return
    went_through, said = webhook.send(
        parcel.url, parcel.document, secret=parcel.secret, key=delivery.id, now=delivery.at
    )
    ended = delivery.at + timedelta(seconds=time.monotonic() - began)
    with transaction() as session:
        runs.record_try(
            session, event.run_id, event.number, went_through=went_through, said=said, now=ended
        )
