"""The sender that carries mails to a mail server."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import Delivery, Refused, RetryLater, sends
from mainstay_server.kernel.mailing import RecipientRefused, hand_over

from .schemas.events import EmailDue
from .service import delivering


def give_up(session: Session, event: EmailDue, *, reason: str, now: datetime) -> None:
    """A mail became a dead letter."""
    delivering.record_given_up(session, event.email_id, reason=reason, now=now)


@sends(EmailDue, given_up=give_up)
def send_email(event: EmailDue, *, delivery: Delivery) -> None:
    """Hand one mail over, at least once, always as the same message."""
    with reading() as session:
        parcel = delivering.find_parcel(session, event.email_id)
    if parcel is None:
        with transaction() as session:
            delivering.record_held_back(session, event.email_id, now=utc_now())
        return
    try:
        provider_id = hand_over(parcel.message)
    except (RetryLater, Refused) as failure:
        with transaction() as session:
            delivering.record_failure(
                session,
                event.email_id,
                delivery=delivery,
                reason=str(failure),
                at_address=isinstance(failure, RecipientRefused),
                now=utc_now(),
            )
        raise
    with transaction() as session:
        delivering.record_sent(
            session, event.email_id, delivery=delivery, provider_id=provider_id, now=utc_now()
        )
