"""Signed links that acknowledge: what is in a message proves that its reader was told.

A link of a mail is the notice's id and a code that only this server can have made of it, and proves
who its reader is. One in a channel names escalation, round and channel, and proves that its reader
reads the channel. Neither lies anywhere, so every try of a message carries the same one, and no
dump of the database opens any.

A message of several alerts has one more link of either kind, which is about all that it tells of.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.on_call.models import (
    Escalation,
    EscalationNotice,
    EscalationState,
    NoticeChange,
)
from mainstay_server.contracts.on_call import alerts_told
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
OF_CHANNEL, OF_MESSAGE, OF_MAIL = "channel.", "message.", "mail."
PURPOSES = {OF_CHANNEL: "on-call-channel", OF_MESSAGE: "on-call-message"}
TOO_OLD = "This link is too old; sign in and acknowledge the alert on its page."


@dataclass(frozen=True, kw_only=True)
class Linked:
    """What a link is about, and whose hand presses its button.

    `notices` are those of a mail, of which each is acknowledged with once. `again` is how many
    alerts of a message are left out, since their steps began again after it.
    """

    escalations: Sequence[Escalation]
    hand: Hand
    actor: str
    email: str = ""
    notices: Sequence[EscalationNotice] = ()
    again: int = 0


def token_of(notice_id: str) -> str:
    """What stands in the link of a notice."""
    return f"{notice_id}.{_code(b'on-call-acknowledge:', notice_id)}"


def token_of_mail(notice_id: str) -> str:
    """What stands in the link about all that the mail of a notice tells of."""
    return f"{OF_MAIL}{notice_id}.{_code(b'on-call-acknowledge-all:', notice_id)}"


def _code(purpose: bytes, notice_id: str) -> str:
    code = hmac.new(secret_key(), purpose + notice_id.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(code.digest()).decode().rstrip("=")


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
    kind = next((each for each in PURPOSES if token.startswith(each)), "")
    if kind:
        return unsign_for_good(token.removeprefix(kind), purpose=PURPOSES[kind]) is not None
    made_by = token_of_mail if token.startswith(OF_MAIL) else token_of
    notice_id, _, _ = token.removeprefix(OF_MAIL).partition(".")
    return hmac.compare_digest(made_by(notice_id).encode(), token.encode())


def link_of_channel(session: Session, alert_id: str, channel_id: str, *, at: datetime) -> str:
    """The link of a message in a channel; "" unless an escalation of the alert waits for a hand."""
    escalation = session.scalar(sa.select(Escalation).where(Escalation.alert_id == alert_id))
    if escalation is None or escalation.state not in WAITING:
        return ""
    return _signed(session, OF_CHANNEL, [escalation], escalation.id, channel_id, at=at)


def link_of_message(session: Session, message_id: str, channel_id: str, *, at: datetime) -> str:
    """The link about all alerts of a message in a channel; "" unless any waits for a hand."""
    told = _told_in(session, message_id)
    if not any(each.state in WAITING for each in told):
        return ""
    return _signed(session, OF_MESSAGE, told, message_id, channel_id, at=at)


def _signed(
    session: Session,
    kind: str,
    escalations: Sequence[Escalation],
    about: str,
    channel_id: str,
    *,
    at: datetime,
) -> str:
    """Of several, the round is that of the one furthest on: who sent the message saw them all."""
    channel = find_channel(session, escalations[0].organization_id, channel_id)
    place = channel.place if channel else ""
    round_ = max(each.round for each in escalations)
    value = [about, round_, channel_id, place, int(at.timestamp())]
    return url_of(f"{PREFIX}/{kind}{sign_for_good(value, purpose=PURPOSES[kind])}")


def url_of(path: str) -> str:
    """A path of ours as people reach it from a message."""
    return of(ServerSettings).public_url + path


def get_linked(session: Session, token: str, *, locked: bool = False, now: datetime) -> Linked:
    """What a link is about.

    Raises:
        NotFound: no such link was ever sent.
        Gone: it was used, is too old, its alert is over, or its reader left.
    """
    if token.startswith((OF_CHANNEL, OF_MESSAGE)):
        return _linked_in_channel(session, token, locked=locked, now=now)
    return _linked_in_mail(session, token, locked=locked, now=now)


def _linked_in_channel(session: Session, token: str, *, locked: bool, now: datetime) -> Linked:
    kind = OF_MESSAGE if token.startswith(OF_MESSAGE) else OF_CHANNEL
    value = unsign_for_good(token.removeprefix(kind), purpose=PURPOSES[kind])
    if not isinstance(value, list):
        raise NotFound("There is no such link; open the one in the message, whole.")
    about, round_, channel_id, place, at = value
    if kind == OF_MESSAGE:
        found = _told_in(session, about, locked=locked)
    else:
        found = _in_order(session, Escalation.id == about, locked=locked)
    _refuse_if_over(found)
    told = [each for each in found if each.round <= round_]
    if not told:
        raise Gone("The steps began again since; a later message has another link.")
    if datetime.fromtimestamp(at, UTC) + LASTS <= now:
        raise Gone(TOO_OLD)
    channel = find_channel(session, told[0].organization_id, channel_id)
    if channel is None:
        raise Gone("The channel of this link is off, or was removed.")
    if channel.place != place:
        raise Gone("The channel of this link leads elsewhere since.")
    name = f"Somebody in {channel.name}"[:LONGEST_NAME]
    return Linked(
        escalations=told,
        hand=Hand(person_id="", name=name, how="by the link in a message"),
        actor=f"alert_channel:{channel_id}",
        again=len(found) - len(told),
    )


def _linked_in_mail(session: Session, token: str, *, locked: bool, now: datetime) -> Linked:
    good = len(token) <= LONGEST and _is_ours(token)
    notice_id, _, _ = token.removeprefix(OF_MAIL).partition(".")
    first = session.get(EscalationNotice, notice_id) if good else None
    if first is None:
        raise NotFound("There is no such link; open the one in the mail, whole.")
    of_mail = EscalationNotice.carried_by == first.id if token.startswith(OF_MAIL) else sa.false()
    told = sa.select(EscalationNotice).where(
        sa.or_(EscalationNotice.id == first.id, of_mail),
        EscalationNotice.change == NoticeChange.OPENED,
    )
    mine = told.with_only_columns(EscalationNotice.escalation_id)
    found = _in_order(session, Escalation.id.in_(mine), locked=locked)
    # Read after the escalations were locked: of two that press at once, one finds the link used.
    notices = session.scalars(told.execution_options(populate_existing=True)).all()
    unused = [each for each in notices if each.link_used_at is None]
    if not unused:
        raise Gone("This link was used: you have acknowledged the alert with it.")
    _refuse_if_over(found)
    if first.link_ends_at <= now:
        raise Gone(TOO_OLD)
    if find_member(session, found[0].organization_id, first.person_id) is None:
        raise Gone("You are no member of this organization any more.")
    person = session.get_one(Person, first.person_id)
    return Linked(
        escalations=[each for each in found if each.id in {one.escalation_id for one in unused}],
        hand=Hand(person_id=person.id, name=person.name, how="by the link in a mail"),
        actor=f"person:{person.id}",
        email=person.email,
        notices=unused,
    )


def _refuse_if_over(found: Sequence[Escalation]) -> None:
    if all(each.state == EscalationState.ENDED for each in found):
        what = "alerts are" if len(found) > 1 else "alert is"
        raise Gone(f"The {what} over; there is nothing left to acknowledge.")


def _told_in(session: Session, message_id: str, *, locked: bool = False) -> Sequence[Escalation]:
    """The escalations of the alerts that a message tells of."""
    alert_ids = alerts_told(session, message_id) if alerts_told.is_answered else ()
    return _in_order(session, Escalation.alert_id.in_(alert_ids), locked=locked)


def _in_order(
    session: Session, which: sa.ColumnElement[bool], *, locked: bool
) -> Sequence[Escalation]:
    """Escalations in the order in which everybody locks them, so that no two wait in a ring."""
    found = sa.select(Escalation).where(which).order_by(Escalation.alert_id)
    if locked:
        found = found.with_for_update().execution_options(populate_existing=True)
    return session.scalars(found).all()
