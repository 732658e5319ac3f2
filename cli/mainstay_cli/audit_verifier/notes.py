"""Signed notes and checkpoints of a log, as C2SP's signed-note and tlog-checkpoint have them."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .ed25519 import KEY_BYTES, is_signed

Check = Callable[[bytes, bytes, bytes], bool]  # public key, message, signature


@dataclass(frozen=True)
class Key:
    """A public key as signed notes name it: `origin+hash+base64`."""

    name: str
    id: bytes
    public: bytes

    @classmethod
    def parse(cls, text: str) -> "Key":
        """Read a key. Raises `ValueError` for one that contradicts its own hash."""
        try:
            name, known_id, encoded = text.strip().split("+", 2)
            raw = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            raise ValueError(f"{text[:60]!r} is no key of a signed note") from None
        made = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
        if made.hex() != known_id or raw[:1] != b"\1" or len(raw) != KEY_BYTES + 1:
            raise ValueError(f"{text[:60]!r} is no Ed25519 key, or is damaged")
        return cls(name, made, raw[1:])


@dataclass(frozen=True)
class Note:
    """A signed note: its lines, and whether a key that is trusted signed them."""

    lines: tuple[str, ...]
    signed: bool

    @property
    def size(self) -> int:
        """The number of rows that a checkpoint covers."""
        return int(self.lines[1])

    @property
    def root(self) -> bytes:
        """The root that a checkpoint signs."""
        return base64.b64decode(self.lines[2])


def open_note(text: str, keys: Sequence[Key], *, check: Check = is_signed) -> Note:
    """Read a note and see whether one of the keys signed it. Raises `ValueError` for no note."""
    body, blank, signatures = text.rpartition("\n\n")
    if not blank:
        raise ValueError("it is no signed note")
    signed = False
    for line in signatures.splitlines():
        mark, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        raw = base64.b64decode(encoded)
        known = [key for key in keys if (key.name, key.id) == (name, raw[:4])]
        if mark == "—" and known:
            signed = signed or check(known[0].public, f"{body}\n".encode(), raw[4:])
    return Note(tuple(body.split("\n")), signed)
