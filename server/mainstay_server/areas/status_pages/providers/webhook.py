"""Webhooks of subscribers: a signed POST of JSON, by the Standard Webhooks specification 1.0."""

from datetime import datetime

import msgspec

from mainstay_server.areas.status_pages.schemas.parcels import Parcel
from mainstay_server.areas.status_pages.settings import StatusPageSettings
from mainstay_server.kernel.events import Refused, RetryLater
from mainstay_server.kernel.outbound import OutboundError, Response, fetch_blocking
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.standard_webhooks import signed_headers

TIMEOUT_SECONDS = 10.0
MOST_ANSWER_BYTES = 16 * 1024
TRIED_AGAIN = (408, 425, 429)


def send(parcel: Parcel, *, delivery_id: str, now: datetime) -> None:
    """POST it; 2xx is taken. One that is asked to prove itself has to answer with the challenge.

    Raises `RetryLater` for no answer, 408, 425, 429 and 5xx, `Refused` for the rest, and for an
    answer without the challenge.
    """
    body = msgspec.json.encode(parcel.document)
    answer = _post(parcel, body, delivery_id=delivery_id, now=now)
    if not 200 <= answer.status < 300:  # noqa: PLR2004 - the class of success
        reason = f"The webhook answered {answer.status}."
        if answer.status in TRIED_AGAIN or answer.status >= 500:  # noqa: PLR2004 - their faults
            raise RetryLater(reason)
        raise Refused(reason)
    if parcel.challenge and parcel.challenge.encode() not in answer.body:
        raise Refused("The webhook did not answer with the challenge.")


def _post(parcel: Parcel, body: bytes, *, delivery_id: str, now: datetime) -> Response:
    try:
        return fetch_blocking(
            "POST",
            parcel.address,
            headers={
                "content-type": "application/json",
                "user-agent": "Mainstay-Status/1",
                "idempotency-key": delivery_id,
                **signed_headers([parcel.secret], delivery_id, body, now=now),
            },
            body=body,
            timeout_seconds=TIMEOUT_SECONDS,
            max_body_bytes=MOST_ANSWER_BYTES,
            public_only=not of(StatusPageSettings).status_webhooks_private,
        )
    except OutboundError as error:
        failure = Refused if error.kind == "blocked" else RetryLater
        raise failure(error.reason) from None
