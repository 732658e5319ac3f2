"""The way out of mails that are no answers: a signed link, and one click (RFC 8058)."""

from dataclasses import astuple, dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.areas.email.models import Email, Period, Reason
from mainstay_server.kernel.settings import ServerSettings, of
from mainstay_server.kernel.web.signing import sign_for_good, unsign_for_good

from . import suppressing, wishes

PURPOSE = "email-unsubscribe"
MEMBERS = 4


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """What a reader's link ends; it needs no row, so that it outlives the mail it came in."""

    organization_id: str
    address: str
    template: str
    person_id: str

    @property
    def period(self) -> Period | None:
        """Which report of a person it is; None for mails of an app."""
        found = next((one for one in Period if self.template == report_name(one)), None)
        return found if self.person_id else None


def report_name(period: Period) -> str:
    """The template of a report."""
    return f"{period}_report"


def subscription_of(email: Email) -> Subscription:
    """What the reader of a mail may end."""
    return Subscription(
        organization_id=email.organization_id,
        address=email.recipient,
        template=email.template,
        person_id=email.person_id or "",
    )


def address_of(subscription: Subscription) -> str:
    """Where a reader ends what they no longer want."""
    token = sign_for_good(list(astuple(subscription)), purpose=PURPOSE)
    return f"{of(ServerSettings).public_url}/email/unsubscribe/{token}"


def find_by_token(token: str) -> Subscription | None:
    """What a link ends; None for one that nobody was given."""
    found = unsign_for_good(token, purpose=PURPOSE)
    if not isinstance(found, list) or len(found) != MEMBERS:
        return None
    organization_id, address, template, person_id = map(str, found)
    return Subscription(
        organization_id=organization_id, address=address, template=template, person_id=person_id
    )


def unsubscribe(session: Session, subscription: Subscription, *, now: datetime) -> None:
    """End a person's report, or all of an organization's mails that are no answers.

    A second time changes nothing. An organization that is gone sends nothing anyway.
    """
    if subscription.period is not None:
        wishes.end_wish(
            session, subscription.organization_id, subscription.person_id, subscription.period
        )
        return
    suppressing.suppress_if_there(
        session, subscription.organization_id, subscription.address, Reason.UNSUBSCRIBED, now=now
    )
