"""What Resend tells by webhook: bounces and complaints, under a signature by Standard Webhooks."""

import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.email.models import Email, EmailState
from mainstay_server.areas.email.settings import EmailSettings
from mainstay_server.kernel.problems import Invalid, NotFound, Unauthenticated
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.standard_webhooks import signature

from . import delivering
from .addresses import folded

TOLERANCE = timedelta(minutes=5)
LOOKED_BACK = timedelta(days=30)
MOST_MATCHED = 50


class Bounce(msgspec.Struct, rename="camel"):
    """Why it bounced; `Permanent` means that the address is no good."""

    type: str = "Permanent"
    sub_type: str = ""
    message: str = ""


class Told(msgspec.Struct):
    """What is said of one mail."""

    email_id: str = ""
    to: list[str] = []
    bounce: Bounce = msgspec.field(default_factory=Bounce)


class Event(msgspec.Struct):
    """One event, of which only what is needed is read."""

    type: str
    data: Told = msgspec.field(default_factory=Told)


def receive(session: Session, body: bytes, headers: Mapping[str, str], *, now: datetime) -> bool:
    """Record what an event says; whether it said anything of a mail of ours.

    Raises:
        NotFound: no secret is set, so that nobody could prove to be Resend.
        Unauthenticated: the signature is wrong or too old.
        Invalid: it is no event.
    """
    refuse_unsigned(body, headers, now=now)
    try:
        event = msgspec.json.decode(body, type=Event)
    except msgspec.MsgspecError:
        raise Invalid("That is no event of Resend's: JSON with type and data.") from None
    if event.type == "email.bounced" and event.data.bounce.type.lower() != "permanent":
        return False  # a full mailbox is tried again by Resend itself
    if event.type not in ("email.bounced", "email.complained"):
        return False
    emails = _emails_of(session, event.data, now=now)
    for email in emails:
        if event.type == "email.bounced":
            reason = event.data.bounce.message or event.data.bounce.sub_type or "It bounced."
            delivering.record_bounce(session, email, reason=reason, now=now)
        else:
            reason = "The reader called it spam."
            delivering.record_complaint(session, email, reason=reason, now=now)
    return bool(emails)


def refuse_unsigned(body: bytes, headers: Mapping[str, str], *, now: datetime) -> None:
    """Refuse what Resend did not sign (Standard Webhooks 1.0; Svix's own names of the headers)."""
    secret = of(EmailSettings).resend_webhook_secret.get_secret_value()
    if not secret:
        raise NotFound("Set MAINSTAY_RESEND_WEBHOOK_SECRET to be told of bounces by Resend.")
    one, at, given = (
        headers.get(f"svix-{name}") or headers.get(f"webhook-{name}") or ""
        for name in ("id", "timestamp", "signature")
    )
    if not at.isascii() or not at.isdigit() or len(at) > 12:  # noqa: PLR2004 - a time in seconds
        raise Unauthenticated("The webhook-timestamp is missing or is none.")
    if abs(now.timestamp() - int(at)) > TOLERANCE.total_seconds():
        raise Unauthenticated("The webhook-timestamp is more than five minutes away.")
    try:
        expected = signature(secret, one, at, body)
    except ValueError:
        raise NotFound("MAINSTAY_RESEND_WEBHOOK_SECRET is no secret of Resend's.") from None
    if not any(
        hmac.compare_digest(expected.encode(), each.encode()) for each in given.split(" ")[:10]
    ):
        raise Unauthenticated("The webhook-signature is not one of this endpoint's secret.")


def _emails_of(session: Session, told: Told, *, now: datetime) -> list[Email]:
    """The mails that are meant: by Resend's own id, or else the newest to each address."""
    if told.email_id:
        found = session.scalars(
            sa.select(Email).where(Email.provider_id == told.email_id).limit(MOST_MATCHED)
        ).all()
        if found:
            return list(found)
    newest = (
        session.scalar(
            sa.select(Email)
            .where(
                Email.recipient.in_({address, folded(address)}),
                Email.state == EmailState.SENT,
                Email.created_at > now - LOOKED_BACK,
            )
            .order_by(Email.id.desc())
            .limit(1)
        )
        for address in told.to[:MOST_MATCHED]
    )
    return [email for email in newest if email is not None]
