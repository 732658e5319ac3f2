"""Making a backup: from one consistent state of a target to sealed copies and a signed manifest."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import Backup, BackupDestination, BackupTarget
from mainstay_server.areas.backups.providers import ENGINES, Dump, Engine
from mainstay_server.areas.backups.schemas import EngineFailed
from mainstay_server.areas.backups.service.manifests import (
    MAX_MANIFEST_BYTES,
    Manifest,
    SealedFile,
    manifest_key_of,
    signed,
)
from mainstay_server.areas.backups.service.recovery import RESTORES
from mainstay_server.kernel.copies.crypts import sealed_whole
from mainstay_server.kernel.copies.destinations import DestinationFailed
from mainstay_server.kernel.copies.running import (
    CopyFailed,
    Digest,
    WritePlan,
    Writing,
)

from .claims import Claim
from .feeding import fed
from .places import url_of
from .pulses import Clock, Pulse
from .reaching import reached
from .runs import last_stored
from .targets import destinations_of

MOST_BESIDE = 16
MOST_BESIDE_BYTES = 64 << 20
MOST_NOTES = 100
LONGEST_NOTE = 500

DUMPING, COMPARING, SHOWING = "dumping", "taking fingerprints", "showing the copies"


@dataclass(frozen=True, kw_only=True)
class Order:
    """All that a run needs to know, read once; `urls` and `refused` are by destination id."""

    backup_id: str
    started_at: datetime
    target: str
    engine: str
    config: Mapping[str, Any] = field(repr=False)
    folder: str
    recipients: Sequence[str]
    urls: Mapping[str, str] = field(repr=False)
    refused: Mapping[str, str]
    last_plain_bytes: int | None
    last_sealed_bytes: int

    @property
    def base(self) -> str:
        """How the names of all that belongs to this backup begin."""
        return f"{self.folder}/{self.started_at:%Y-%m-%dT%H%M%SZ}-{self.backup_id}"


@dataclass(frozen=True, kw_only=True)
class Made:
    """A backup that is stored; `reasons` say for each destination why it has no copy, or None."""

    manifest: Manifest
    data: bytes
    notes: tuple[str, ...]
    reasons: Mapping[str, str | None]


def read_order(session: Session, claim: Claim) -> Order:
    """Read what is to be made; places that may not be used are refused here, one by one."""
    backup = session.get_one(Backup, claim.backup_id)
    target = session.get_one(BackupTarget, claim.target_id)
    last = last_stored(session, target.id)
    places = {each.id: _opened(each) for each in destinations_of(session, target.id)}
    assert backup.started_at is not None, "it was claimed"
    return Order(
        backup_id=backup.id,
        started_at=backup.started_at,
        target=f"{target.name} ({target.shown})",
        engine=target.engine,
        config=target.config,
        folder=target.folder,
        recipients=target.recipients,
        urls={each: url for each, (url, _) in places.items() if url},
        refused={each: refusal for each, (_, refusal) in places.items() if refusal},
        last_plain_bytes=last.plain_bytes if last else None,
        last_sealed_bytes=last.sealed_bytes if last else 0,
    )


def make(order: Order, pulse: Pulse, *, room: Path, clock: Clock) -> Made:
    """Dump, seal, compare and show, in this order; nothing is seen anywhere before all is well.

    Raises:
        Problem: a person has to mend something first.
        EngineFailed, CopyFailed: something broke; what had been written is taken back.
        Cancelled, Interrupted, TakenOver: as the pulse says.
    """
    if not order.urls:
        raise CopyFailed(" ".join(sorted(set(order.refused.values()))))
    engine = ENGINES[order.engine]
    plan = WritePlan(
        key=f"{order.base}.{engine.EXTENSION}.zst.age",
        destinations=order.urls,
        recipients=order.recipients,
        size_bytes=order.last_plain_bytes,
        expected_bytes=order.last_sealed_bytes,
    )
    pulse.note(DUMPING)
    with (
        engine.dumping(reached(order.config), folder=room) as dump,
        fed(dump.stream) as source,
        Writing(plan, plain=source.descriptor) as writing,
    ):
        source.is_taken()
        for progress in writing:
            pulse.note(DUMPING, progress)
        source.finish()
        dump.finish()
        pulse.note(COMPARING)
        manifest, beside = _described(order, plan, writing, engine, dump, clock=clock)
        data = signed(manifest)
        if len(data) > MAX_MANIFEST_BYTES:
            raise CopyFailed(f"Its manifest is larger than {MAX_MANIFEST_BYTES >> 20} MiB.")
        notes = _bounded(dump.notes())
        pulse.note(SHOWING)
        shown = writing.show(key=manifest.manifest_key, data=data, beside=beside)
    reasons = {**shown, **order.refused}
    if all(reason is not None for reason in reasons.values()):
        raise CopyFailed(" ".join(sorted({str(reason) for reason in reasons.values()})))
    return Made(manifest=manifest, data=data, notes=notes, reasons=reasons)


def keys_of(order: Order, beside: Sequence[SealedFile] = ()) -> tuple[str, ...]:
    """Every key that a run may have put something under, whether or not it came that far."""
    copy = f"{order.base}.{ENGINES[order.engine].EXTENSION}.zst.age"
    return (
        copy,
        *(each.key for each in beside),
        manifest_key_of(copy, backup_id=order.backup_id),
    )


def _opened(destination: BackupDestination) -> tuple[str, str]:
    """Its URL now, or why it may not be used."""
    try:
        return url_of(destination), ""
    except DestinationFailed as error:
        return "", str(error)


def _described(
    order: Order, plan: WritePlan, writing: Writing, engine: Engine, dump: Dump, *, clock: Clock
) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest, and the small files beside the copy, sealed, by key."""
    fingerprints = dump.fingerprints()
    files, beside = [], {}
    for name, content in _few(dump.beside()).items():
        key, sealed = f"{order.base}.{name}.zst.age", sealed_whole(content, order.recipients)
        beside[key] = sealed
        digest = Digest(len(sealed), hashlib.sha256(sealed).hexdigest())
        files.append(SealedFile(name, key, digest))
    versions = dump.versions
    manifest = Manifest(
        id=order.backup_id,
        key=plan.key,
        engine=order.engine,
        target=order.target,
        server=versions.server,
        tools=f"{engine.LABEL} tools {versions.tools}",
        extensions=versions.extensions,
        roles=versions.roles,
        started_at=order.started_at,
        finished_at=clock(),
        sealed=writing.sealed,
        recipients=tuple(order.recipients),
        fingerprints=fingerprints,
        beside=tuple(files),
        restore=RESTORES.get(order.engine, ()),
    )
    return manifest, beside


def _few(beside: Mapping[str, bytes]) -> Mapping[str, bytes]:
    if len(beside) > MOST_BESIDE or sum(map(len, beside.values())) > MOST_BESIDE_BYTES:
        raise EngineFailed(f"What belongs to the dump is more than {MOST_BESIDE_BYTES >> 20} MiB.")
    return beside


def _bounded(notes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(note[:LONGEST_NOTE] for note in notes[:MOST_NOTES])
