"""A mail's way out: the message, what a mail server said to it, and what came back later."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, formataddr, parseaddr

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.email.models import Email, EmailKind, EmailState, Reason
from mainstay_server.areas.email.settings import EmailSettings
from mainstay_server.contracts.email import EmailUndelivered
from mainstay_server.kernel.database import rows_changed
from mainstay_server.kernel.events import Delivery, say
from mainstay_server.kernel.mailing import SmtpSettings
from mainstay_server.kernel.settings import of

from . import suppressing, unsubscribing
from .secrecy import forget_secret

LONGEST_REASON = 500
MOST_FORGOTTEN_AT_ONCE = 10_000


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """One mail as it is handed over."""

    email_id: str
    message: EmailMessage


def find_parcel(session: Session, email_id: str) -> Parcel | None:
    """What to hand over; None when it is decided already, or its address is kept from mail."""
    email = session.get(Email, email_id)
    if email is None or email.state != EmailState.QUEUED:
        return None
    if _kept(session, email):
        return None
    return Parcel(email_id=email.id, message=message_of(email))


def message_of(email: Email) -> EmailMessage:
    """The message: its id is the mail's own, so that each try of it is one and the same."""
    smtp = of(SmtpSettings)
    message = EmailMessage()
    message["Subject"] = email.subject
    message["From"] = formataddr((email.sender_name, parseaddr(smtp.sender)[1]))
    message["To"] = Address(addr_spec=email.recipient)
    if email.reply_to:
        message["Reply-To"] = Address(addr_spec=email.reply_to)
    message["Date"] = format_datetime(email.created_at)
    message["Message-ID"] = f"<{email.id}@{smtp.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    if email.kind == EmailKind.SUBSCRIPTION:
        way_out = unsubscribing.address_of(unsubscribing.subscription_of(email))
        message["List-Unsubscribe"] = f"<{way_out}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(email.text)
    if email.html:
        message.add_alternative(email.html, subtype="html")
    return message


def record_sent(
    session: Session, email_id: str, *, delivery: Delivery, provider_id: str = "", now: datetime
) -> None:
    """A mail server took it and is responsible for it now."""
    email = session.get(Email, email_id, with_for_update=True)
    if email is None or email.state != EmailState.QUEUED:
        return
    email.state, email.reason = EmailState.SENT, ""
    email.sent_at = email.changed_at = now
    email.attempts, email.delivery_id = delivery.attempt, delivery.id
    email.provider_id = provider_id[:200]
    forget_secret(email)


def record_held_back(session: Session, email_id: str, *, now: datetime) -> None:
    """Its address was kept from mail since it was taken in."""
    email = session.get(Email, email_id, with_for_update=True)
    if email is None or email.state != EmailState.QUEUED:
        return
    why = _kept(session, email)
    if why:
        email.state, email.changed_at = EmailState.SUPPRESSED, now
        email.reason = suppressing.told(why)
        forget_secret(email)


def record_failure(
    session: Session,
    email_id: str,
    *,
    delivery: Delivery,
    reason: str,
    at_address: bool,
    now: datetime,
) -> None:
    """A try failed. A server that refuses the address for good is told no second time.

    `at_address` is such a refusal: the mail bounced, and the address is kept from mail from now on.
    """
    email = session.get(Email, email_id, with_for_update=True)
    if email is None or email.state != EmailState.QUEUED:
        return
    email.attempts, email.delivery_id = delivery.attempt, delivery.id
    email.reason, email.changed_at = reason[:LONGEST_REASON], now
    if at_address:
        record_bounce(session, email, reason=reason, now=now)


def record_given_up(session: Session, email_id: str, *, reason: str, now: datetime) -> None:
    """No try is left."""
    email = session.get(Email, email_id, with_for_update=True)
    if email is not None and email.state == EmailState.QUEUED:
        _end(session, email, EmailState.FAILED, reason, now=now)


def record_bounce(session: Session, email: Email, *, reason: str, now: datetime) -> None:
    """There is no such mailbox, or it never takes mail: nothing more is sent there."""
    if email.state in (EmailState.QUEUED, EmailState.SENT):
        _end(session, email, EmailState.BOUNCED, reason, now=now)
    suppressing.suppress(
        session, email.organization_id, email.recipient, Reason.HARD_BOUNCE, note=reason, now=now
    )


def record_complaint(session: Session, email: Email, *, reason: str, now: datetime) -> None:
    """The reader called it spam: nothing more is sent there."""
    if email.state != EmailState.COMPLAINED:
        _end(session, email, EmailState.COMPLAINED, reason, now=now)
    suppressing.suppress(
        session, email.organization_id, email.recipient, Reason.COMPLAINT, note=reason, now=now
    )


def forget_old(session: Session, *, now: datetime) -> int:
    """Forget what old mails said, and older mails altogether. Returns how many are gone."""
    settings = of(EmailSettings)
    bodies = now - timedelta(days=settings.email_bodies_keep_days)
    session.execute(
        sa.update(Email)
        .where(
            Email.id.in_(
                sa.select(Email.id)
                .where(
                    Email.created_at < bodies, Email.state != EmailState.QUEUED, Email.text != ""
                )
                .limit(MOST_FORGOTTEN_AT_ONCE)
            )
        )
        .values(html="", text="")
    )
    old = (
        sa.select(Email.id)
        .where(
            Email.created_at < now - timedelta(days=settings.emails_keep_days),
            Email.state != EmailState.QUEUED,
        )
        .limit(MOST_FORGOTTEN_AT_ONCE)
    )
    return rows_changed(session, sa.delete(Email).where(Email.id.in_(old)))


def _kept(session: Session, email: Email) -> str:
    # Who chose a report did so in Mainstay: not wanting an app's mails does not end it.
    kind = EmailKind.TRANSACTIONAL if email.person_id else EmailKind(email.kind)
    found = suppressing.suppressed_among(session, email.organization_id, [email.recipient], kind)
    return next(iter(found.values()), "")


def _end(session: Session, email: Email, state: EmailState, reason: str, *, now: datetime) -> None:
    email.state, email.reason, email.changed_at = state, reason[:LONGEST_REASON], now
    forget_secret(email)
    say(
        session,
        EmailUndelivered(
            organization_id=email.organization_id,
            project_id=email.project_id or "",
            email_id=email.id,
            state=state,
            reason=reason[:LONGEST_REASON],
        ),
        now=now,
    )
