"""What on call does when an alert opens, is acknowledged or ends, and how its mails leave."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.contracts.alerts import (
    AlertAcknowledged,
    AlertOpened,
    AlertResolved,
)
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import Delivery, on, sends
from mainstay_server.kernel.mailing import hand_over

from .schemas.escalations import EscalationNoticeDue
from .service import escalating, mails, telling


@on(AlertOpened)
def begin_escalation(session: Session, event: AlertOpened, *, now: datetime) -> None:
    """Copy the policy that holds for the alert, and take its first step."""
    escalating.begin(session, event, now=now)


@on(AlertAcknowledged)
def stop_escalation(session: Session, event: AlertAcknowledged, *, now: datetime) -> None:
    """Somebody has taken the alert in hand elsewhere: wake nobody else."""
    escalating.follow_acknowledgement(session, event, now=now)


@on(AlertResolved)
def end_escalation(session: Session, event: AlertResolved, *, now: datetime) -> None:
    """The alert is over: tell those who were told of it."""
    escalating.end(session, event, now=now)


def give_up_notice(
    session: Session, event: EscalationNoticeDue, *, reason: str, now: datetime
) -> None:
    """A mail became a dead letter: the log says so."""
    telling.record_not_sent(session, event.notice_id, reason=reason, now=now)


@sends(EscalationNoticeDue, given_up=give_up_notice)
def send_notice(event: EscalationNoticeDue, *, delivery: Delivery) -> None:
    """Carry one mail to one person, at least once, always under one Message-ID."""
    with reading() as session:
        parcel = mails.find_parcel(session, event.notice_id)
    if parcel is None:
        with transaction() as session:
            telling.gather_again(session, event.notice_id)
        return
    hand_over(mails.mail_of(parcel, delivery_id=delivery.id))
    with transaction() as session:
        telling.record_sent(session, event.notice_id, now=utc_now())
