"""What status pages do after something was said on them: spread it, and carry it out."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import Delivery, on, sends

from .providers import PROVIDERS
from .schemas.events import StatusConfirmationDue, StatusNoticeDue, StatusUpdateSaid
from .service import telling


@on(StatusUpdateSaid)
def spread_update(session: Session, event: StatusUpdateSaid, *, now: datetime) -> None:
    """Write down which subscribers are told of an update."""
    telling.spread(session, event, now=now)


def give_up_notice(session: Session, event: StatusNoticeDue, *, reason: str, now: datetime) -> None:
    """A notice became a dead letter."""
    _ = now
    telling.record_not_told(session, event.notice_id, reason=reason)


@sends(StatusNoticeDue, given_up=give_up_notice)
def send_notice(event: StatusNoticeDue, *, delivery: Delivery) -> None:
    """Carry one update to one subscriber, at least once, always under `delivery.id`."""
    with reading() as session:
        parcel = telling.find_notice_parcel(session, event.notice_id)
    if parcel is None:
        return
    PROVIDERS[parcel.kind].send(parcel, delivery_id=delivery.id, now=utc_now())
    with transaction() as session:
        telling.record_told(session, event.notice_id, now=utc_now())


def give_up_confirmation(
    session: Session, event: StatusConfirmationDue, *, reason: str, now: datetime
) -> None:
    """A message to confirm could not be carried out."""
    _ = now
    telling.record_unproven(session, event.subscriber_id, reason=reason)


@sends(StatusConfirmationDue, given_up=give_up_confirmation)
def send_confirmation(event: StatusConfirmationDue, *, delivery: Delivery) -> None:
    """Ask a new subscriber to confirm: a link for a mailbox, a challenge for a webhook."""
    with reading() as session:
        parcel = telling.find_confirmation_parcel(session, event.subscriber_id)
    if parcel is None:
        return
    PROVIDERS[parcel.kind].send(parcel, delivery_id=delivery.id, now=utc_now())
    if parcel.challenge:
        with transaction() as session:
            telling.record_proven(session, event.subscriber_id, now=utc_now())
