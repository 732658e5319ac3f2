"""Signing: each log's own key, checkpoints and notes in the form of C2SP's signed-note."""

import base64
import hashlib
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mainstay_server.areas.audit.settings import AuditSettings
from mainstay_server.kernel.settings import of, secret_key

ED25519 = b"\x01"  # the type of the signature, as signed-note numbers them
PURPOSE = b"mainstay audit checkpoints of "
SEED_BYTES = 32
ID_BYTES = 4


def origin_of(organization_id: str) -> str:
    """The name of an organization's log, the first line of its checkpoints."""
    return f"mainstay/audit/{organization_id}"


def public_key(organization_id: str) -> str:
    """The key that verifies a log, as signed notes write it: `name+hash+base64`."""
    origin, raw = origin_of(organization_id), _raw_public(organization_id)
    return f"{origin}+{_key_id(origin, raw).hex()}+{base64.b64encode(ED25519 + raw).decode()}"


def trusted_keys(organization_id: str) -> list[str]:
    """The log's key, and those that the operator says it had before the secret key changed."""
    origin = origin_of(organization_id)
    former = of(AuditSettings).audit_former_keys.split()
    return [public_key(organization_id), *(k for k in former if k.startswith(f"{origin}+"))]


def signed_checkpoint(organization_id: str, *, size: int, root: bytes) -> str:
    """The signed note that a log had this size and root (C2SP tlog-checkpoint)."""
    origin = origin_of(organization_id)
    return _signed(organization_id, f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n")


def signed_removal(
    organization_id: str, *, last: int, head: str, root: bytes, whole: Sequence[str], at: str
) -> str:
    """The signed note that rows were removed by retention, with the tree that they were.

    Its first line is another than a checkpoint's, so neither can be taken for the other.
    """
    subtrees = " ".join(base64.b64encode(bytes.fromhex(text)).decode() for text in whole)
    lines = (
        f"{origin_of(organization_id)}/removed",
        "first 1",
        f"last {last}",
        f"root {base64.b64encode(root).decode()}",
        f"subtrees {subtrees}",
        f"head {head}",
        f"at {at}",
    )
    return _signed(organization_id, "".join(f"{line}\n" for line in lines))


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature is one of this message by this key: as the verifier asks, but fast."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _signed(organization_id: str, text: str) -> str:
    origin = origin_of(organization_id)
    signature = _private_key(organization_id).sign(text.encode())
    key_id = _key_id(origin, _raw_public(organization_id))
    return f"{text}\n— {origin} {base64.b64encode(key_id + signature).decode()}\n"


def _private_key(organization_id: str) -> Ed25519PrivateKey:
    """Made from the server's secret key, so it is in no table and the same in every process."""
    seed = HKDF(
        algorithm=SHA256(), length=SEED_BYTES, salt=None, info=PURPOSE + organization_id.encode()
    ).derive(secret_key())
    return Ed25519PrivateKey.from_private_bytes(seed)


def _raw_public(organization_id: str) -> bytes:
    key = _private_key(organization_id).public_key()
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _key_id(origin: str, raw: bytes) -> bytes:
    return hashlib.sha256(origin.encode() + b"\n" + ED25519 + raw).digest()[:ID_BYTES]
