"""Webhooks that restart or repair: a signed POST, by the Standard Webhooks specification 1.0."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from mainstay_server.kernel.events import Refused, RetryLater
from mainstay_server.kernel.posting import post_json

SECRET_PREFIX = "whsec_"  # noqa: S105 - the specification's mark of a secret, not one


def send(
    url: str, document: Mapping[str, Any], *, secret: str, key: str, now: datetime
) -> tuple[bool, str]:
    """POST it under an idempotency key; returns whether it was taken, and what was answered."""
    body = msgspec.json.encode(document)
    timestamp = str(int(now.timestamp()))
    headers = {
        "user-agent": "Mainstay-Remediation/1",
        "webhook-id": key,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature(secret, key, timestamp, body),
    }
    try:
        posted = post_json(url, body, key=key, headers=headers, now=now)
        posted.accept()
    except (RetryLater, Refused) as failure:
        return False, str(failure)
    return True, posted.reason


def signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """`v1,` and the base64 HMAC-SHA256 of `id.timestamp.body` (Standard Webhooks, "Signature")."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
