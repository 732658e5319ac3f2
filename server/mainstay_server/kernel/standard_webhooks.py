"""Standard Webhooks 1.0: what secrets look like, and what a signed message carries.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime

PREFIX = "whsec_"
SECRET_BYTES = 24
MOST_SECRET_BYTES = 64


def new_secret() -> str:
    """A secret to sign with: `whsec_` and 24 random bytes in base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def is_well_formed(secret: str) -> bool:
    """Whether a text is a secret to sign with: `whsec_` and 24 to 64 bytes in base64."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:
        return False
    return secret.startswith(PREFIX) and SECRET_BYTES <= len(key) <= MOST_SECRET_BYTES


def signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """`v1,` and the base64 HMAC-SHA256 of `id.timestamp.body` ("Signature scheme").

    Raises `ValueError` for a secret that is no base64.
    """
    key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def signed_headers(
    keys: Sequence[str], message_id: str, body: bytes, *, now: datetime
) -> dict[str, str]:
    """The headers of a message, with a signature of each secret ("Webhook headers")."""
    timestamp = str(int(now.timestamp()))
    signatures = [signature(secret, message_id, timestamp, body) for secret in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }
