"""Signed links that acknowledge: what is in a mail proves that its reader was told.

A link is the notice's id and a code that only this server can have made of it. It lies nowhere, so
every try of a mail carries the same one, and no dump of the database opens any.
"""

import base64
import hashlib
import hmac
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.areas.on_call.models import Escalation, EscalationNotice, EscalationState
from mainstay_server.kernel.limits import Bucket, Rate, bucket_key, microseconds, take
from mainstay_server.kernel.networks import network_of
from mainstay_server.kernel.problems import Gone, NotFound, TooManyRequests
from mainstay_server.kernel.settings import secret_key
from mainstay_server.tenancy.service.members import find_member

LASTS = timedelta(hours=24)
TRIES, SECONDS = 30, 60
PREFIX = "/on-call/acknowledge"
LONGEST = 120


def token_of(notice_id: str) -> str:
    """What stands in the link of a notice."""
    code = hmac.new(secret_key(), b"on-call-acknowledge:" + notice_id.encode(), hashlib.sha256)
    return f"{notice_id}.{base64.urlsafe_b64encode(code.digest()).decode().rstrip('=')}"


def refuse_too_many(*, address: str, now: datetime) -> None:
    """Charge one opened link to the network it comes from. Raises `TooManyRequests`."""
    rate = Rate(TRIES, SECONDS, TRIES)
    bucket = Bucket(bucket_key("mainstay|on-call-link", rate, network_of(address)), rate)
    if not take((bucket,), now_us=microseconds(now)).admitted:
        raise TooManyRequests("Too many links from your network; try again in a minute.")


def get_linked(
    session: Session, token: str, *, locked: bool = False, now: datetime
) -> tuple[EscalationNotice, Escalation]:
    """The notice whose link it is, with its escalation.

    Raises:
        NotFound: no such link was ever sent.
        Gone: it was used, is too old, its alert is over, or its reader left.
    """
    notice_id, _, _ = token.partition(".")
    good = len(token) <= LONGEST and hmac.compare_digest(
        token_of(notice_id).encode(), token.encode()
    )
    notice = session.get(EscalationNotice, notice_id) if good else None
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
    return notice, escalation
