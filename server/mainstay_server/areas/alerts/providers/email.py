"""E-mail: one message per change, in the layout of all mails, with the organization's brand."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from mainstay_server.areas.alerts.models import Change
from mainstay_server.areas.alerts.schemas import ConfigField, Notice
from mainstay_server.contracts.alerts.severities import TONES
from mainstay_server.kernel.mailing import RecipientRefused, SmtpSettings, hand_over, why_no_mail
from mainstay_server.kernel.posting import ReceiverGone
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.settings import of
from mainstay_server.ui.mail import Brand, Written, write_mail

LABEL = "E-mail"
FIELDS: Sequence[ConfigField] = (
    ConfigField(
        name="email",
        label="Address",
        placeholder="team@example.com",
        hint="Mail leaves the way that this server sends all of its mail.",
    ),
)
SIGNED = False
PER_MINUTE = 0

LONGEST_ADDRESS = 254
MOST_SHOWN = 50
ADDRESS = re.compile(r"[^\s@,;:<>()\[\]\"\\]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


def checked(config: Mapping[str, Any]) -> dict[str, str]:
    """One address, kept in the case it was given in."""
    address = str(config.get("email", "")).strip()
    if len(address) > LONGEST_ADDRESS or not ADDRESS.fullmatch(address) or not address.isascii():
        raise Invalid.of_field(
            "config.email", "email must be one address, such as team@example.com."
        )
    return {"email": address}


def shown(config: Mapping[str, Any]) -> str:
    """The address; it is no secret to those who may see the project."""
    return str(config["email"])


def not_ready() -> str:
    """Mail needs a server to be handed to."""
    return why_no_mail()


def send(
    notice: Notice,
    *,
    config: Mapping[str, Any],
    secrets: Sequence[str],
    delivery_id: str,
    now: datetime,
) -> str:
    """Hand the mail to the server; every try carries the same Message-ID, so readers see one."""
    _ = secrets, now  # mail is not signed, and every try of it has the same Date
    sender = of(SmtpSettings).sender
    try:
        hand_over(mail(notice, to=config["email"], sender=sender, delivery_id=delivery_id))
    except RecipientRefused as refused:
        raise ReceiverGone(
            f"{str(refused).rstrip('.')}. Give an address that takes mail."
        ) from None
    return ""


def mail(notice: Notice, *, to: str, sender: str, delivery_id: str) -> EmailMessage:
    """The message. All mails of one alert are one thread for the reader."""
    domain = sender.rpartition("@")[2].rstrip(">")
    message = EmailMessage()
    message["Subject"] = notice.headline
    message["From"] = sender
    message["To"] = to
    message["Date"] = format_datetime(notice.at)
    message["Message-ID"] = f"<{delivery_id}@{domain}>"
    message["References"] = f"<alert-{notice.alert_id}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    written = written_of(notice)
    message.set_content(written.text)
    message.add_alternative(written.html, subtype="html")
    return message


def written_of(notice: Notice) -> Written:
    """What the mail says, as HTML and as text."""
    return write_mail(
        "alerts/email.html",
        brand=Brand.of(notice.brand),
        subject=notice.headline,
        has_foreign_html=False,
        notice=notice,
        word=notice.tone.capitalize(),
        tone=TONES.get(notice.tone, "info"),
        tones=TONES,
        facts=_facts(notice),
        shown=notice.gathered[:MOST_SHOWN],
    )


def _facts(notice: Notice) -> list[tuple[str, str]]:
    facts = [
        ("Project", notice.project_name),
        ("Environment", notice.environment),
        ("Severity", notice.severity),
        ("Since", f"{notice.opened_at:%-d %b %Y, %H:%M} UTC"),
    ]
    if notice.instance_url:
        facts.insert(2, ("URL", notice.instance_url))
    if notice.change is Change.RESOLVED and notice.resolved_at:
        facts.append(("Resolved", f"{notice.resolved_at:%-d %b %Y, %H:%M} UTC"))
    return facts
