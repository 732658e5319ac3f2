"""Webhooks of subscribers: a signed POST of JSON, by the Standard Webhooks specification 1.0."""

from datetime import datetime

import msgspec

from mainstay_server.areas.status_pages.schemas.parcels import Parcel
from mainstay_server.areas.status_pages.settings import StatusPageSettings
from mainstay_server.kernel.events import Refused
from mainstay_server.kernel.posting import post_json
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.standard_webhooks import signed_headers


def send(parcel: Parcel, *, delivery_id: str, now: datetime) -> None:
    """POST it; 2xx is taken. One that is asked to prove itself has to answer with the challenge.

    Raises `RetryLater` or `Refused` as receivers' answers are read everywhere (`kernel.posting`),
    and `Refused` for an answer without the challenge.
    """
    body = msgspec.json.encode(parcel.document)
    headers = {
        "user-agent": "Mainstay-Status/1",
        **signed_headers([parcel.secret], delivery_id, body, now=now),
    }
    posted = post_json(
        parcel.address,
        body,
        key=delivery_id,
        headers=headers,
        public_only=not of(StatusPageSettings).status_webhooks_private,
        now=now,
    )
    posted.accept()
    if parcel.challenge and parcel.challenge.encode() not in posted.body:
        raise Refused("The webhook did not answer with the challenge.")
