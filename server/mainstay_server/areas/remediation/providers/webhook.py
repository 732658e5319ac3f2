"""Webhooks that restart or repair: a signed POST, by the Standard Webhooks specification 1.0."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from mainstay_server.kernel.events import Refused, RetryLater
from mainstay_server.kernel.posting import post_json
from mainstay_server.kernel.standard_webhooks import signed_headers


def send(
    url: str, document: Mapping[str, Any], *, secret: str, key: str, now: datetime
) -> tuple[bool, str]:
    """POST it under an idempotency key; returns whether it was taken, and what was answered."""
    body = msgspec.json.encode(document)
    headers = {
        "user-agent": "Mainstay-Remediation/1",
        **signed_headers([secret], key, body, now=now),
    }
    try:
        posted = post_json(url, body, key=key, headers=headers, now=now)
        posted.accept()
    except (RetryLater, Refused) as failure:
        return False, str(failure)
    return True, posted.reason
