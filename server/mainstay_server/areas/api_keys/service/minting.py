"""The keys themselves: how they are made, how a mistyped one is told, and what is kept of them."""

import hashlib
import hmac
import re
from base64 import b64encode
from dataclasses import dataclass

from mainstay_server.kernel.credentials import CHECKSUM_CHARACTERS, checksum, new_credential
from mainstay_server.kernel.settings import secret_key

LONGEST_ENVIRONMENT = 20
SHOWN_AT_THE_END = 4
HMAC_BLOCK_BYTES = 64
# What leak scanners search for. The checksum then tells a key from a word that looks like one.
SCANNER_PATTERN = r"\bmst_[a-z0-9]{1,20}_api_[0-9A-Za-z]{38}\b"

_FORM = re.compile(r"mst_[a-z0-9]{1,20}_api_[0-9A-Za-z]{38}")
_NOT_IN_A_PREFIX = re.compile(r"[^a-z0-9]")


@dataclass(frozen=True, kw_only=True)
class Minted:
    """A new key, and what of it is kept."""

    key: str
    digest: str
    fingerprint: str
    prefix: str
    last_four: str


def mint(environment: str, project_id: str) -> Minted:
    """A new key of an environment: 190 random bits between its beginning and its checksum.

    The last four that people see are a part of the checksum, so 166 bits stay unknown.
    """
    slug = _NOT_IN_A_PREFIX.sub("", environment.lower())[:LONGEST_ENVIRONMENT] or "instance"
    prefix = f"mst_{slug}_api_"
    key = new_credential(prefix)
    return Minted(
        key=key,
        digest=digest_of(key, pepper_of(project_id)),
        fingerprint=fingerprint_of(key),
        prefix=prefix,
        last_four=key[-SHOWN_AT_THE_END:],
    )


def is_well_formed(text: str) -> bool:
    """Whether a text can be a key at all; a typing mistake is told without looking anything up."""
    return _FORM.fullmatch(text) is not None and text.endswith(
        checksum(text[:-CHECKSUM_CHARACTERS])
    )


def digest_of(key: str, pepper: bytes) -> str:
    """The form in which the guard knows a key: HMAC-SHA-256 under the project's pepper, in hex."""
    return hmac.digest(pepper, key.encode(), "sha256").hex()


class Digester:
    """Makes the digests of one pepper: the same, with the half of HMAC that is always alike done.

    HMAC (RFC 2104) hashes the padded pepper before the key and before the result; to go on from
    there costs a third of `digest_of`.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, pepper: bytes) -> None:
        block = hashlib.sha256(pepper).digest() if len(pepper) > HMAC_BLOCK_BYTES else pepper
        block = block.ljust(HMAC_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def digest_of(self, key: str) -> str:
        """The form in which the guard knows a key."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(key.encode("utf-8", "replace"))
        outer.update(inner.digest())
        return outer.hexdigest()


def fingerprint_of(key: str) -> str:
    """The form in which a key is found when nobody says which project gave it out."""
    return digest_of(key, _derived("fingerprint"))


def pepper_of(project_id: str) -> bytes:
    """The pepper of a project's keys; derived from the server's secret key, stored nowhere."""
    return _derived(f"pepper:{project_id}")


def told_pepper(project_id: str) -> str:
    """The same, as the policy tells it to the project's own servers."""
    return b64encode(pepper_of(project_id)).decode()


def _derived(purpose: str) -> bytes:
    """One block of HKDF-Expand (RFC 5869, 2.3) with the server's secret key."""
    info = f"mainstay api keys {purpose}".encode()
    return hmac.new(secret_key(), info + b"\x01", hashlib.sha256).digest()
