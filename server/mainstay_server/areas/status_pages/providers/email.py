"""E-mail to a subscriber: as text and as HTML, with the one-click end of RFC 8058."""

from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, formataddr, parseaddr

from mainstay_server.areas.status_pages.schemas.parcels import Parcel
from mainstay_server.kernel.mailing import SmtpSettings, hand_over
from mainstay_server.kernel.settings import of


def send(parcel: Parcel, *, delivery_id: str, now: datetime) -> None:
    """Hand the mail to the server; every try carries the same Message-ID, so readers see one."""
    _ = now  # every try of a mail has the same Date
    hand_over(mail(parcel, delivery_id=delivery_id))


def mail(parcel: Parcel, *, delivery_id: str) -> EmailMessage:
    """The message. A mailbox may end the subscription by itself, with one POST."""
    smtp = of(SmtpSettings)
    message = EmailMessage()
    message["Subject"] = " ".join(parcel.subject.split())
    message["From"] = formataddr((parcel.sender_name, parseaddr(smtp.sender)[1]))
    message["To"] = parcel.address
    message["Date"] = format_datetime(parcel.at)
    message["Message-ID"] = f"<{delivery_id}@{smtp.domain}>"
    message["References"] = f"<status-{parcel.thread}@{smtp.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    if parcel.unsubscribe_url:
        message["List-Unsubscribe"] = f"<{parcel.unsubscribe_url}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(parcel.text)
    message.add_alternative(parcel.html, subtype="html")
    return message
