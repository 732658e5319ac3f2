"""Telling people of an escalation: one mail for each step and person, and what became of it."""

from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.on_call.models import (
    Escalation,
    EscalationLine,
    EscalationNotice,
    NoticeChange,
    NoticeState,
)
from mainstay_server.areas.on_call.schemas import EscalationNoticeDue
from mainstay_server.contracts.on_call import AlertEscalated
from mainstay_server.kernel.database import insert, new_id
from mainstay_server.kernel.events import say
from mainstay_server.kernel.mailing import SmtpSettings
from mainstay_server.kernel.settings import ServerSettings, of
from mainstay_server.tenancy.models import Person
from mainstay_server.tenancy.service.members import find_member
from mainstay_server.tenancy.subjects import find_instance
from mainstay_server.ui.rendering import environment

from .links import LASTS, PREFIX, token_of

LONGEST_TEXT = 500
COLOURS = {"critical": "#c81e3a", "high": "#c81e3a", "warning": "#b25e00", "medium": "#b25e00"}
OTHERWISE, ENDED = "#2360c4", "#16794c"


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """All that a mail is written from."""

    address: str
    name: str
    change: NoticeChange
    headline: str
    message: str
    lead: str
    facts: list[tuple[str, str]]
    acknowledge_url: str
    page_url: str
    colour: str
    escalation_id: str
    at: datetime


def write_line(
    session: Session, escalation: Escalation, text: str, *, tone: str = "neutral", now: datetime
) -> None:
    """Write down one thing that happened, and say it to those who keep time lines of alerts."""
    text = text[:LONGEST_TEXT]
    session.add(
        EscalationLine(id=new_id(), escalation_id=escalation.id, at=now, tone=tone, text=text)
    )
    session.flush()
    event = AlertEscalated(
        organization_id=escalation.organization_id,
        project_id=escalation.project_id,
        instance_id=escalation.instance_id,
        alert_id=escalation.alert_id,
        escalation_id=escalation.id,
        text=text,
    )
    say(session, event, now=now)


def tell(
    session: Session,
    escalation: Escalation,
    person_id: str,
    change: NoticeChange,
    *,
    now: datetime,
) -> bool:
    """Have a mail sent to a person, once for each step and round; whether it was not yet."""
    notice_id = session.scalar(
        insert(EscalationNotice)
        .values(
            id=new_id(),
            escalation_id=escalation.id,
            person_id=person_id,
            change=change,
            # An end is told once, whatever was told before.
            round=escalation.round if change is NoticeChange.OPENED else 0,
            position=escalation.position if change is NoticeChange.OPENED else 0,
            state=NoticeState.WAITING,
            last_error="",
            created_at=now,
            link_ends_at=now + LASTS,
        )
        .on_conflict_do_nothing()
        .returning(EscalationNotice.id)
    )
    if notice_id is None:
        return False
    due = EscalationNoticeDue(notice_id=notice_id, escalation_id=escalation.id, person_id=person_id)
    say(session, due, now=now)
    return True


def people_told(session: Session, escalation: Escalation) -> list[str]:
    """Whom a mail that the alert is open was written to, each once, by their ids."""
    return list(
        session.scalars(
            sa.select(EscalationNotice.person_id)
            .where(
                EscalationNotice.escalation_id == escalation.id,
                EscalationNotice.change == NoticeChange.OPENED,
            )
            .distinct()
            .order_by(EscalationNotice.person_id)
        )
    )


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
    lead = (
        "It is over; nobody needs to do anything."
        if is_over
        else "You are told because somebody has to take this in hand. Until somebody acknowledges"
        " it, the next in line are woken."
    )
    facts = [
        ("Project", instance.project_name),
        ("Environment", instance.environment),
        ("Severity", escalation.severity),
        ("Since", f"{escalation.opened_at:%-d %b %Y, %H:%M} UTC"),
    ]
    if is_over and escalation.ended_at:
        facts.append(("Over since", f"{escalation.ended_at:%-d %b %Y, %H:%M} UTC"))
    word = "Over" if is_over else escalation.severity.capitalize()
    return Parcel(
        address=person.email,
        name=person.name,
        change=NoticeChange(notice.change),
        headline=f"[{word}] {escalation.title}",
        message=escalation.message,
        lead=lead,
        facts=facts,
        acknowledge_url="" if is_over else _url(f"{PREFIX}/{token_of(notice.id)}"),
        page_url=_url(page_of(escalation)),
        colour=ENDED if is_over else COLOURS.get(escalation.severity, OTHERWISE),
        escalation_id=escalation.id,
        at=notice.created_at,
    )


def page_of(escalation: Escalation) -> str:
    """The path of the page that shows an escalation."""
    return f"/dashboard/organization/on-call/escalations/{escalation.id}"


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
    facts = [f"{name}: {value}" for name, value in parcel.facts]
    asks = [f"Acknowledge: {parcel.acknowledge_url}"] if parcel.acknowledge_url else []
    paragraphs = [text for text in (parcel.headline, parcel.message, parcel.lead) if text]
    lines = [line for text in paragraphs for line in (text, "")]
    message.set_content("\n".join([*lines, *facts, "", *asks, f"Open: {parcel.page_url}"]))
    html = environment().get_template("on_call/mail.html").render(parcel=parcel)
    message.add_alternative(html, subtype="html")
    return message


def record_sent(session: Session, notice_id: str, *, now: datetime) -> None:
    """The mail server took it."""
    _finish(session, notice_id, NoticeState.DELIVERED, "", now=now)


def record_not_sent(session: Session, notice_id: str, *, reason: str, now: datetime) -> None:
    """No try is left: the log of the escalation says who was not reached, and why."""
    notice = _finish(session, notice_id, NoticeState.FAILED, reason, now=now)
    if notice is None:
        return
    escalation = session.get_one(Escalation, notice.escalation_id)
    person = session.get_one(Person, notice.person_id)
    write_line(
        session,
        escalation,
        f"The mail to {person.name} could not be sent: {reason}",
        tone="critical",
        now=now,
    )


def _finish(
    session: Session, notice_id: str, state: NoticeState, error: str, *, now: datetime
) -> EscalationNotice | None:
    notice = session.get(EscalationNotice, notice_id, with_for_update=True)
    if notice is None or notice.state == NoticeState.DELIVERED:
        return None
    notice.state, notice.last_error, notice.finished_at = state, error[:LONGEST_TEXT], now
    session.flush()
    return notice


def _url(path: str) -> str:
    server = of(ServerSettings)
    base = server.base_url or f"http://{server.host}:{server.port}"
    return base.rstrip("/") + path
