"""Mail through the HTTP API of Resend, for servers that may not or need not speak SMTP.

https://resend.com/docs/api-reference/emails/send-email
"""

import base64
import hashlib
from datetime import datetime
from email.message import EmailMessage
from email.utils import getaddresses
from typing import Any

import msgspec

from .events import Refused, RetryLater
from .posting import Posted, post_json

LONGEST_KEY = 256
CONFLICT = 409
# Headers that the request has members for, or that Resend writes itself.
NOT_PASSED_ON = frozenset(
    {
        "bcc",
        "cc",
        "content-transfer-encoding",
        "content-type",
        "date",
        "from",
        "mime-version",
        "reply-to",
        "subject",
        "to",
    }
)


def send_by_resend(message: EmailMessage, *, api_key: str, base_url: str, now: datetime) -> str:
    """Hand a message to Resend, under an idempotency key made from its Message-ID.

    Resend answers a repetition within 24 hours as the first time and sends nothing more. Returns
    its own id of the mail, which its webhooks name, or "" when it told none. Raises
    `RetryLater` when it cannot take the message now or wants another key of the operator's,
    `Refused` when it never will.
    """
    posted = post_json(
        f"{base_url.rstrip('/')}/emails",
        msgspec.json.encode(document(message)),
        key=key_of(message),
        headers={"authorization": f"Bearer {api_key}"},
        now=now,
    )
    if posted.status == CONFLICT:
        _judge_conflict(posted)
    posted.accept()
    return _id_of(posted)


def key_of(message: EmailMessage) -> str:
    """What all tries of a message have in common: its Message-ID, or else a digest of it."""
    named = str(message["Message-ID"] or "").strip("<> ")
    if named and len(named) <= LONGEST_KEY and named.isascii():
        return named
    return hashlib.sha256(message.as_bytes()).hexdigest()


def document(message: EmailMessage) -> dict[str, Any]:
    """The message as Resend takes it: both its bodies, its own headers and what is attached."""
    told: dict[str, Any] = {
        "from": str(message["From"]),
        "to": _addresses(message, "To"),
        "subject": str(message["Subject"] or ""),
    }
    for member, kind in (("text", "plain"), ("html", "html")):
        part = message.get_body((kind,))
        if part is not None:
            told[member] = part.get_content()
    for member, header in (("cc", "Cc"), ("bcc", "Bcc"), ("reply_to", "Reply-To")):
        if addresses := _addresses(message, header):
            told[member] = addresses
    headers = {
        name: str(value) for name, value in message.items() if name.lower() not in NOT_PASSED_ON
    }
    attached = [_attached(part) for part in message.iter_attachments()]
    return (
        told
        | ({"headers": headers} if headers else {})
        | ({"attachments": attached} if attached else {})
    )


def _addresses(message: EmailMessage, header: str) -> list[str]:
    given = [str(value) for value in message.get_all(header, [])]
    return [address for _, address in getaddresses(given) if address]


def _attached(part: Any) -> dict[str, str]:  # noqa: ANN401 - a part of any kind
    content = part.get_content()
    raw = content.encode() if isinstance(content, str) else bytes(content)
    return {
        "filename": part.get_filename() or "attachment",
        "content": base64.b64encode(raw).decode(),
        "content_type": part.get_content_type(),
    }


class _Taken(msgspec.Struct):
    """What Resend answers to what it takes."""

    id: str = ""


def _id_of(posted: Posted) -> str:
    try:
        return msgspec.json.decode(posted.body, type=_Taken).id
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


class _Problem(msgspec.Struct):
    """What Resend answers to what it does not take."""

    name: str = ""


def _judge_conflict(posted: Posted) -> None:
    """Tell a first try that is still under way from a key that was used for another message."""
    try:
        name = msgspec.json.decode(posted.body, type=_Problem).name
    except (msgspec.DecodeError, UnicodeDecodeError):
        name = ""
    failure = Refused if name == "invalid_idempotent_request" else RetryLater
    raise failure(posted.reason)
