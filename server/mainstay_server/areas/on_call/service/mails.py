"""The mails of escalations: what stands in one, for whom, and where its links lead."""

from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.on_call.models import (
    Escalation,
    EscalationNotice,
    EscalationState,
    NoticeChange,
    NoticeState,
)
from mainstay_server.contracts.alerts.severities import RESOLVED, TONES
from mainstay_server.contracts.email import MailBrand, mail_brand
from mainstay_server.kernel.mailing import SmtpSettings
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.models import Person
from mainstay_server.tenancy.service.members import find_member
from mainstay_server.tenancy.subjects import find_instance
from mainstay_server.ui.mail import Brand, write_mail

from .links import PREFIX, token_of, token_of_mail, url_of

MOST_TOGETHER = 100
IT_IS_OVER = "It is over; nobody needs to do anything."
SOMEBODY_HAS_TO_ACT = (
    "You are told because somebody has to take this in hand. Until somebody acknowledges it, the"
    " next in line are woken."
)


@dataclass(frozen=True, kw_only=True)
class Other:
    """What else a mail tells of: a title, and where to acknowledge it, or to read how it ended."""

    text: str
    url: str
    is_over: bool


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """All that a mail is written from."""

    address: str
    headline: str
    title: str
    word: str
    tone: str
    message: str
    lead: str
    facts: list[tuple[str, str]]
    acknowledge_url: str
    acknowledge_all_url: str
    page_url: str
    escalation_id: str
    at: datetime
    others: list[Other]
    brand: MailBrand | None


def find_parcel(session: Session, notice_id: str) -> Parcel | None:
    """What a sender has to send; None when it was sent, or its reader or project is gone."""
    notice = session.get(EscalationNotice, notice_id)
    if notice is None or notice.state == NoticeState.DELIVERED:
        return None
    escalation = session.get_one(Escalation, notice.escalation_id)
    person = session.get_one(Person, notice.person_id)
    instance = find_instance(session, escalation.instance_id)
    if instance is None or find_member(session, escalation.organization_id, person.id) is None:
        return None
    is_over = notice.change == NoticeChange.ENDED
    others = _others(session, notice)
    several = [is_over, *(each.is_over for each in others)].count(False) > 1
    more = f" and {len(others)} more" if others else ""
    return Parcel(
        address=person.email,
        headline=f"{_headline(escalation, is_over=is_over)}{more}",
        title=f"{escalation.title}{more}",
        word=_word(escalation, is_over=is_over),
        tone=TONES.get(RESOLVED if is_over else escalation.severity, "info"),
        message=escalation.message,
        lead=IT_IS_OVER if is_over else SOMEBODY_HAS_TO_ACT,
        facts=_facts(escalation, instance, is_over=is_over),
        acknowledge_url="" if is_over else url_of(f"{PREFIX}/{token_of(notice.id)}"),
        acknowledge_all_url=url_of(f"{PREFIX}/{token_of_mail(notice.id)}") if several else "",
        page_url=url_of(_path_of(escalation)),
        escalation_id=escalation.id,
        at=notice.created_at,
        others=others,
        brand=(mail_brand(session, escalation.organization_id) if mail_brand.is_answered else None),
    )


def mail_of(parcel: Parcel, *, delivery_id: str) -> EmailMessage:
    """The message: as text and as HTML; all of one alert are one thread for the reader."""
    smtp = of(SmtpSettings)
    message = EmailMessage()
    message["Subject"] = " ".join(parcel.headline.split())
    message["From"] = smtp.sender
    message["To"] = parcel.address
    message["Date"] = format_datetime(parcel.at)
    message["Message-ID"] = f"<{delivery_id}@{smtp.domain}>"
    message["References"] = f"<escalation-{parcel.escalation_id}@{smtp.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    written = write_mail(
        "on_call/email.html",
        brand=Brand.of(parcel.brand),
        subject=parcel.headline,
        has_foreign_html=False,
        parcel=parcel,
    )
    message.set_content(written.text)
    message.add_alternative(written.html, subtype="html")
    return message


def _headline(escalation: Escalation, *, is_over: bool) -> str:
    return f"[{_word(escalation, is_over=is_over)}] {escalation.title}"


def _word(escalation: Escalation, *, is_over: bool) -> str:
    return "Over" if is_over else escalation.severity.capitalize()


def _facts(
    escalation: Escalation, instance: InstanceRef, *, is_over: bool
) -> list[tuple[str, str]]:
    facts = [
        ("Project", instance.project_name),
        ("Environment", instance.environment),
        ("Severity", escalation.severity),
        ("Since", f"{escalation.opened_at:%-d %b %Y, %H:%M} UTC"),
    ]
    if is_over and escalation.ended_at:
        facts.append(("Over since", f"{escalation.ended_at:%-d %b %Y, %H:%M} UTC"))
    return facts


def _path_of(escalation: Escalation) -> str:
    """The path of the page that shows an escalation."""
    return f"/dashboard/organization/on-call/escalations/{escalation.id}"


def _others(session: Session, notice: EscalationNotice) -> list[Other]:
    """What else the mail of a notice tells of.

    What ended while the mail waited for its server is told as over: its end may have left before.
    """
    rows = session.execute(
        sa.select(EscalationNotice, Escalation)
        .join(Escalation, Escalation.id == EscalationNotice.escalation_id)
        .where(EscalationNotice.carried_by == notice.id)
        .order_by(EscalationNotice.id)
        .limit(MOST_TOGETHER)
    ).all()
    found = []
    for other, escalation in rows:
        is_over = other.change == NoticeChange.ENDED or escalation.state == EscalationState.ENDED
        path = _path_of(escalation) if is_over else f"{PREFIX}/{token_of(other.id)}"
        text = _headline(escalation, is_over=is_over)
        found.append(Other(text=text, url=url_of(path), is_over=is_over))
    return found
