"""The ways to tell a subscriber: one file each, one function, one dict."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from mainstay_server.areas.status_pages.models import SubscriberKind
from mainstay_server.areas.status_pages.schemas.parcels import Parcel

from . import email, webhook


class Provider(Protocol):
    """One way; it neither retries nor logs, for the outbox does both."""

    def send(self, parcel: Parcel, *, delivery_id: str, now: datetime) -> None:
        """Carry it out under the idempotency key; raises `RetryLater` or `Refused`."""


PROVIDERS: Mapping[str, Provider] = {
    SubscriberKind.EMAIL: email,
    SubscriberKind.WEBHOOK: webhook,
}
