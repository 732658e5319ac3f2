"""What a sender carries to a subscriber, in both forms: as a mail and as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """One message to one subscriber. `thread` joins the mails about one thing for their reader.

    `challenge` is what a webhook has to answer with, before it is told anything else.
    """

    kind: str
    address: str
    secret: str = field(repr=False)
    sender_name: str
    at: datetime
    subject: str
    text: str
    html: str
    thread: str
    unsubscribe_url: str
    document: Mapping[str, Any]
    challenge: str = ""
