"""Manifests: what a backup is, signed, in a file that is read without Mainstay.

A manifest is canonical JSON (RFC 8785) with an Ed25519 signature over everything but itself. The
public key stands in it, so that a stranger can check it is whole; that it is *this* server's is
known by comparing the key with the one on the recovery sheet.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mainstay_server.areas.backups.schemas import Fingerprint, Versions
from mainstay_server.kernel.clock import rfc3339
from mainstay_server.kernel.copies.frames import compressed
from mainstay_server.kernel.copies.running import Digest, Sealed
from mainstay_server.kernel.settings import secret_key

FORMAT = "mainstay-backup/1"
PURPOSE = b"mainstay backup manifests"
SEED_BYTES = 32
MAX_MANIFEST_BYTES = 64 << 20  # 200,000 files with long names
SUFFIX = ".manifest.json"


class NotAManifest(Exception):
    """The text is no manifest, or not as it was signed; says what is wrong with it."""


@dataclass(frozen=True)
class SealedFile:
    """A small file that belongs to the dump, such as the roles: sealed for the same recipients."""

    name: str
    key: str
    sealed: Digest

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """As it stands in a manifest, and in a backup's row."""
        return cls(str(value["name"]), str(value["key"]), Digest.from_json(value["sealed"]))

    def to_json(self) -> dict[str, Any]:
        """As it stands in a manifest, and in a backup's row."""
        return {"name": self.name, "key": self.key, "sealed": self.sealed.to_json()}


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One backup: what was dumped, when, what lies at its destinations, and how to restore it.

    `key` is where the sealed object lies below each destination; `restore` are the commands, each
    as a person types it.
    """

    id: str
    key: str
    engine: str
    target: str
    server: str
    tools: str
    extensions: Sequence[str] = ()
    roles: Sequence[str] = ()
    started_at: datetime
    finished_at: datetime
    sealed: Sealed
    recipients: Sequence[str]
    fingerprints: Sequence[Fingerprint] = ()
    beside: Sequence[SealedFile] = ()
    restore: Sequence[str] = field(default=())

    @property
    def manifest_key(self) -> str:
        """Where the manifest itself lies."""
        return manifest_key_of(self.key, backup_id=self.id)

    @property
    def versions(self) -> Versions:
        """What was running, and what it takes to restore it."""
        return Versions(
            server=self.server,
            tools=self.tools,
            extensions=tuple(self.extensions),
            roles=tuple(self.roles),
        )

    def to_json(self) -> dict[str, Any]:
        """What is signed."""
        return {
            "format": FORMAT,
            "id": self.id,
            "key": self.key,
            "engine": self.engine,
            "target": self.target,
            "server": self.server,
            "tools": self.tools,
            "extensions": list(self.extensions),
            "roles": list(self.roles),
            "startedAt": rfc3339(self.started_at),
            "finishedAt": rfc3339(self.finished_at),
            **self.sealed.to_json(),
            "recipients": list(self.recipients),
            # Numbers of rows may be beyond what JSON numbers hold exactly, and so they are texts.
            "fingerprints": [
                [each.name, str(each.rows), each.digest] for each in self.fingerprints
            ],
            "beside": [each.to_json() for each in self.beside],
            "restore": list(self.restore),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what was signed; raises `NotAManifest`."""
        try:
            return cls(
                id=value["id"],
                key=value["key"],
                engine=value["engine"],
                target=value["target"],
                server=value["server"],
                tools=value["tools"],
                extensions=tuple(value["extensions"]),
                roles=tuple(value["roles"]),
                started_at=datetime.fromisoformat(value["startedAt"]),
                finished_at=datetime.fromisoformat(value["finishedAt"]),
                sealed=Sealed.from_json(value),
                recipients=tuple(value["recipients"]),
                fingerprints=tuple(
                    Fingerprint(name, int(rows), digest)
                    for name, rows, digest in value["fingerprints"]
                ),
                beside=tuple(SealedFile.from_json(each) for each in value["beside"]),
                restore=tuple(value["restore"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise NotAManifest(f"It lacks or misspells {error}.") from None


def packed(manifest: bytes) -> bytes:
    """A signed manifest as a backup's row keeps it."""
    return b"".join(compressed((manifest,)))


def manifest_key_of(key: str, *, backup_id: str) -> str:
    """The manifest lies beside the object, under the backup's id."""
    folder, slash, _ = key.rpartition("/")
    return f"{folder}{slash}{backup_id}{SUFFIX}"


def signed(manifest: Manifest) -> bytes:
    """The file: the manifest with this server's signature."""
    value = manifest.to_json()
    signature = _private_key().sign(rfc8785.dumps(value))
    proof = {"publicKey": public_key(), "value": base64.b64encode(signature).decode()}
    return rfc8785.dumps({**value, "signature": proof})


def read_signed(data: bytes, *, trusted: Sequence[str]) -> Manifest:
    """The manifest of a file, when it is as one of the trusted keys signed it.

    Raises `NotAManifest` with what is wrong.
    """
    try:
        value = json.loads(data)
        proof = value.pop("signature")
        key, signature = str(proof["publicKey"]), base64.b64decode(proof["value"], validate=True)
        message = rfc8785.dumps(value)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise NotAManifest("It is not JSON with a signature.") from None
    if value.get("format") != FORMAT:
        raise NotAManifest(f"Its format is not {FORMAT}.")
    if not _is_signed(key, message, signature):
        raise NotAManifest("It was edited: its signature is of another text.")
    if key not in trusted:
        raise NotAManifest("It was signed by another key than this server's.")
    return Manifest.from_json(value)


def public_key() -> str:
    """The key that verifies this server's manifests: base64 of the raw Ed25519 key."""
    raw = _private_key().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return base64.b64encode(raw).decode()


def _is_signed(public: str, message: bytes, signature: bytes) -> bool:
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public, validate=True))
        key.verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _private_key() -> Ed25519PrivateKey:
    """Made from the server's secret key, so it is in no table and the same in every process."""
    kdf = HKDF(algorithm=SHA256(), length=SEED_BYTES, salt=None, info=PURPOSE)
    return Ed25519PrivateKey.from_private_bytes(kdf.derive(secret_key()))
