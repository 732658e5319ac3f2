"""Sealed columns: secrets that are used again lie in the database encrypted by the server's key.

What only has to be recognized is hashed instead. A dump of the database without
`MAINSTAY_SECRET_KEY`, or the file `secret_key` of the data dir, opens none of them.
"""

import base64
import os
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator
from typing_extensions import override

from mainstay_server.kernel.settings import secret_key

MARK = "sealed:1:"
NONCE_BYTES = 12
KEY_BYTES = 32


def seal(text: str, *, purpose: str) -> str:
    """Encrypt a text for one purpose (AES-256-GCM); an empty one stays empty."""
    if not text:
        return ""
    nonce = os.urandom(NONCE_BYTES)
    sealed = _cipher(secret_key(), purpose).encrypt(nonce, text.encode(), purpose.encode())
    return MARK + base64.urlsafe_b64encode(nonce + sealed).decode()


def unseal(text: str, *, purpose: str) -> str:
    """The text that was sealed; "" when it was sealed with another key or for something else.

    What was written before columns were sealed is given as it is.
    """
    if not text.startswith(MARK):
        return text
    try:
        raw = base64.urlsafe_b64decode(text.removeprefix(MARK))
        cipher = _cipher(secret_key(), purpose)
        return cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], purpose.encode()).decode()
    except (InvalidTag, ValueError):
        return ""


class SealedText(TypeDecorator[str]):
    """A column of texts that lie sealed; it cannot be searched."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, purpose: str) -> None:
        super().__init__()
        self.purpose = purpose

    @override
    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else seal(value, purpose=self.purpose)

    @override
    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:
        return None if value is None else unseal(value, purpose=self.purpose)


class SealedTexts(TypeDecorator[dict[str, Any]]):
    """A column of objects whose texts lie sealed, each by itself; the names stay readable."""

    impl = sa.JSON
    cache_ok = True

    def __init__(self, purpose: str) -> None:
        super().__init__()
        self.purpose = purpose

    @override
    def process_bind_param(
        self, value: dict[str, Any] | None, dialect: Dialect
    ) -> dict[str, Any] | None:
        return None if value is None else sealed_texts(value, purpose=self.purpose)

    @override
    def process_result_value(self, value: Any | None, dialect: Dialect) -> dict[str, Any] | None:
        if value is None:
            return None
        return {
            name: unseal(each, purpose=self.purpose) if isinstance(each, str) else each
            for name, each in value.items()
        }


def sealed_texts(value: dict[str, Any], *, purpose: str) -> dict[str, Any]:
    """An object with its texts sealed; those that are already stay as they are."""
    return {
        name: seal(each, purpose=purpose)
        if isinstance(each, str) and not each.startswith(MARK)
        else each
        for name, each in value.items()
    }


@lru_cache(maxsize=32)
def _cipher(key: bytes, purpose: str) -> AESGCM:
    info = f"mainstay sealed {purpose}".encode()
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(key))
