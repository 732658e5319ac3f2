"""Signed links that acknowledge: what is in a message proves that its reader was told.

A link of a mail is the notice's id and a code that only this server can have made of it, and proves
who its reader is. One in a channel names escalation, round and channel, and proves that its reader
reads the channel. Neither lies anywhere, so every try of a message carries the same one, and no
dump of the database opens any.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.on_call.models import Escalation, EscalationNotice, EscalationState
from mainstay_server.kernel.limits import Bucket, Rate, bucket_key, microseconds, take
from mainstay_server.kernel.networks import network_of
from mainstay_server.kernel.problems import Gone, NotFound, TooManyRequests
from mainstay_server.kernel.settings import ServerSettings, of, secret_key
from mainstay_server.kernel.web.signing import sign_for_good, unsign_for_good
from mainstay_server.tenancy.models import Person
from mainstay_server.tenancy.service.members import find_member

from .channels import find_channel
from .people import Hand

LASTS = timedelta(hours=24)
WAITING = (EscalationState.RUNNING, EscalationState.UNANSWERED)
LONGEST_NAME = 100
TRIES, SECONDS = 30, 60
PREFIX = "/on-call/acknowledge"
LONGEST = 400
OF_CHANNEL = "channel."
PURPOSE = "on-call-channel"


@dataclass(frozen=True, kw_only=True)
class Linked:
    """What a link is about, and whose hand presses its button; one of a channel has no notice."""

    escalation: Escalation
    hand: Hand
    actor: str
    email: str = ""
    notice: EscalationNotice | None = None


def token_of(notice_id: str) -> str:
    """What stands in the link of a notice."""
    code = hmac.new(secret_key(), b"on-call-acknowledge:" + notice_id.encode(), hashlib.sha256)
    return f"{notice_id}.{base64.urlsafe_b64encode(code.digest()).decode().rstrip('=')}"


def refuse_guesses(token: str, *, address: str, now: datetime) -> None:
    """Charge a link that was never sent to the network it comes from. Raises `TooManyRequests`.

    One that was sent is never refused: programs that look into mails follow many, and whoever
    wakes up behind the same proxy as they has to take an alert in hand all the same.
    """
    if _is_ours(token):
        return
    rate = Rate(TRIES, SECONDS, TRIES)
    bucket = Bucket(bucket_key("mainstay|on-call-link", rate, network_of(address)), rate)
    if not take((bucket,), now_us=microseconds(now)).admitted:
        raise TooManyRequests("Too many links from your network; try again in a minute.")


def _is_ours(token: str) -> bool:
    if token.startswith(OF_CHANNEL):
        return unsign_for_good(token.removeprefix(OF_CHANNEL), purpose=PURPOSE) is not None
    notice_id, _, _ = token.partition(".")
    return hmac.compare_digest(token_of(notice_id).encode(), token.encode())


def link_of_channel(session: Session, alert_id: str, channel_id: str, *, at: datetime) -> str:
    """The link of a message in a channel; "" unless an escalation of the alert waits for a hand."""
    escalation = session.scalar(sa.select(Escalation).where(Escalation.alert_id == alert_id))
    if escalation is None or escalation.state not in WAITING:
        return ""
    channel = find_channel(session, escalation.organization_id, channel_id)
    place = channel.place if channel else ""
    value = [escalation.id, escalation.round, channel_id, place, int(at.timestamp())]
    return url_of(f"{PREFIX}/{OF_CHANNEL}{sign_for_good(value, purpose=PURPOSE)}")


def url_of(path: str) -> str:
    """A path of ours as people reach it from a message."""
    return of(ServerSettings).public_url + path


def get_linked(session: Session, token: str, *, locked: bool = False, now: datetime) -> Linked:
    """What a link is about.

    Raises:
        NotFound: no such link was ever sent.
        Gone: it was used, is too old, its alert is over, or its reader left.
    """
    if token.startswith(OF_CHANNEL):
        return _linked_in_channel(session, token.removeprefix(OF_CHANNEL), locked=locked, now=now)
    return _linked_in_mail(session, token, locked=locked, now=now)


def _linked_in_channel(session: Session, signed: str, *, locked: bool, now: datetime) -> Linked:
    value = unsign_for_good(signed, purpose=PURPOSE)
    if not isinstance(value, list):
        raise NotFound("There is no such link; open the one in the message, whole.")
    escalation_id, round_, channel_id, place, at = value
    escalation = session.get(Escalation, escalation_id, with_for_update=locked or None)
    if escalation is None or escalation.state == EscalationState.ENDED:
        raise Gone("The alert is over; there is nothing left to acknowledge.")
    if escalation.round != round_:
        raise Gone("The steps began again since; a later message has another link.")
    if datetime.fromtimestamp(at, UTC) + LASTS <= now:
        raise Gone("This link is too old; sign in and acknowledge the alert on its page.")
    channel = find_channel(session, escalation.organization_id, channel_id)
    if channel is None:
        raise Gone("The channel of this link is off, or was removed.")
    if channel.place != place:
        raise Gone("The channel of this link leads elsewhere since.")
    name = f"Somebody in {channel.name}"[:LONGEST_NAME]
    hand = Hand(person_id="", name=name, how="by the link in a message")
    return Linked(escalation=escalation, hand=hand, actor=f"alert_channel:{channel_id}")


def _linked_in_mail(session: Session, token: str, *, locked: bool, now: datetime) -> Linked:
    good = len(token) <= LONGEST and _is_ours(token)
    notice = session.get(EscalationNotice, token.partition(".")[0]) if good else None
    if notice is None:
        raise NotFound("There is no such link; open the one in the mail, whole.")
    escalation = session.get_one(Escalation, notice.escalation_id, with_for_update=locked or None)
    if locked:
        session.refresh(notice)
    if notice.link_used_at is not None:
        raise Gone("This link was used: you have acknowledged the alert with it.")
    if escalation.state == EscalationState.ENDED:
        raise Gone("The alert is over; there is nothing left to acknowledge.")
    if notice.link_ends_at <= now:
        raise Gone("This link is too old; sign in and acknowledge the alert on its page.")
    if find_member(session, escalation.organization_id, notice.person_id) is None:
        raise Gone("You are no member of this organization any more.")
    person = session.get_one(Person, notice.person_id)
    hand = Hand(person_id=person.id, name=person.name, how="by the link in a mail")
    return Linked(
        escalation=escalation,
        hand=hand,
        actor=f"person:{person.id}",
        email=person.email,
        notice=notice,
    )
