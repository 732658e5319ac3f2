"""Verifying: is a copy what its manifest says, and if not, what exactly happened to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mainstay_server.areas.backups.service.manifests import (
    MAX_MANIFEST_BYTES,
    Manifest,
    NotAManifest,
    read_signed,
)
from mainstay_server.kernel.copies.destinations import FAILURES, CopyMissing, reason_of
from mainstay_server.kernel.copies.opened import open_destination
from mainstay_server.kernel.copies.running import CopyFailed, Read, Reading, ReadPlan

CHUNK_BYTES = 65_536 + 16  # age seals 64 KiB at a time, each with a tag of 16 bytes


class Fault(StrEnum):
    """What can be wrong with a copy."""

    MISSING = "missing"
    CUT = "cut"
    LONGER = "longer"
    CHANGED = "changed"
    SWAPPED = "swapped"
    NOT_SEALED = "not_sealed"
    MANIFEST_MISSING = "manifest_missing"
    MANIFEST_EDITED = "manifest_edited"
    MANIFEST_SWAPPED = "manifest_swapped"
    NOT_OPENED = "not_opened"
    CONTENT = "content"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Verdict:
    """What a verification found: no fault, or one with a sentence that a person is told.

    `is_opened` says whether it was decrypted as well, or only seen from outside.
    """

    fault: Fault | None
    text: str
    is_opened: bool = False
    manifest: Manifest | None = None


def verify(
    *,
    destination: str,
    manifest_key: str,
    backup_id: str,
    trusted: Sequence[str],
    identities: Sequence[str] = (),
    known: Mapping[str, str] | None = None,
) -> Verdict:
    """Read a copy whole, and compare it with its signed manifest.

    Without identities: signature, size, SHA-256 and header of the sealed object. With them also
    what age authenticates, zstd's checksum of the dump, and the sizes of the frame and the dump.
    `known` maps the SHA-256 of other backups' sealed objects to their ids, to name a swap.
    """
    manifest = find_manifest(
        destination=destination, manifest_key=manifest_key, backup_id=backup_id, trusted=trusted
    )
    if isinstance(manifest, Verdict):
        return manifest
    plan = ReadPlan(manifest.key, destination, identities, manifest.sealed.plain_bytes)
    try:
        with Reading(plan) as reading:
            found = reading.found()
    except CopyFailed as error:
        return not_read(error)
    return compare_read(manifest, found, opened=bool(identities), known=known or {})


def find_manifest(
    *, destination: str, manifest_key: str, backup_id: str, trusted: Sequence[str]
) -> Manifest | Verdict:
    """The signed manifest of a copy, or what is wrong with it."""
    try:
        manifest = _manifest_at(destination, manifest_key, trusted=trusted)
    except CopyMissing as error:
        return Verdict(Fault.MANIFEST_MISSING, str(error))
    except NotAManifest as error:
        return Verdict(Fault.MANIFEST_EDITED, f"The manifest is not as it was written. {error}")
    except FAILURES as error:
        return Verdict(Fault.UNREADABLE, reason_of(error))
    if manifest.id != backup_id or manifest.manifest_key != manifest_key:
        text = f"The manifest is that of another backup, {manifest.id}."
        return Verdict(Fault.MANIFEST_SWAPPED, text)
    return manifest


def not_read(error: CopyFailed) -> Verdict:
    """What is wrong with a copy that could not be read to its end."""
    is_missing = str(error).startswith("There is no ")
    return Verdict(Fault.MISSING if is_missing else Fault.UNREADABLE, str(error))


def compare_read(
    manifest: Manifest, found: Read, *, opened: bool, known: Mapping[str, str]
) -> Verdict:
    """Name what a copy that was read is, by its manifest: the outermost fault comes first."""
    fault = _outside(manifest, found, known=known)
    if fault is None and opened:
        fault = _inside(manifest, found)
    if fault is not None:
        return Verdict(*fault, is_opened=opened, manifest=manifest)
    seen = "It opens and holds what was dumped." if opened else "It is as it was written."
    return Verdict(None, seen, is_opened=opened, manifest=manifest)


def _manifest_at(destination: str, key: str, *, trusted: Sequence[str]) -> Manifest:
    data = bytearray()
    for piece in open_destination(destination).stream(key):
        data += piece
        if len(data) > MAX_MANIFEST_BYTES:
            raise NotAManifest(f"It is larger than {MAX_MANIFEST_BYTES:,} bytes.")
    return read_signed(bytes(data), trusted=trusted)


def _outside(
    manifest: Manifest, found: Read, *, known: Mapping[str, str]
) -> tuple[Fault, str] | None:
    wanted, size = manifest.sealed.sealed, found.sealed.size_bytes
    if found.sealed != wanted:
        other = known.get(found.sealed.sha256)
        if other is not None and found.sealed.sha256 != wanted.sha256:
            return Fault.SWAPPED, f"The object is that of another backup, {other}."
        if size < wanted.size_bytes:
            return Fault.CUT, _cut(wanted.size_bytes, found)
        if size > wanted.size_bytes:
            return Fault.LONGER, f"{size - wanted.size_bytes:,} bytes were added to the object."
        return Fault.CHANGED, "The object has its size but other bytes: at least one bit changed."
    if found.recipients != len(manifest.recipients):
        return Fault.NOT_SEALED, "The object is no age file for the manifest's recipients."
    return None


def _inside(manifest: Manifest, found: Read) -> tuple[Fault, str] | None:
    if found.plain_bytes is None:
        return Fault.NOT_OPENED, f"It was not opened: {found.fault}. Is it the right key?"
    sizes = (manifest.sealed.plain_bytes, manifest.sealed.compressed_bytes)
    if (found.plain_bytes, found.compressed_bytes) != sizes:
        return Fault.CONTENT, "It opens, but holds something else than was dumped."
    return None


def _cut(wanted: int, found: Read) -> str:
    size, header = found.sealed.size_bytes, found.header_bytes
    missing = f"The object was cut: {wanted - size:,} of {wanted:,} bytes are missing"
    at_border = header is not None and (size - header) % CHUNK_BYTES == 0
    return f"{missing}, at the border of a chunk." if at_border else f"{missing}."
