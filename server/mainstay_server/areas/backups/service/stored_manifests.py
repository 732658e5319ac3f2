"""The manifest of a backup as it is kept here, for those who read it and print its sheet."""

import base64
import hashlib

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import THERE, Backup, BackupDestination, DestinationKind
from mainstay_server.areas.backups.service.manifests import (
    Manifest,
    NotAManifest,
    public_key,
    read_signed,
)
from mainstay_server.areas.backups.service.places import FOLDER
from mainstay_server.areas.backups.service.recovery import STYLE
from mainstay_server.areas.backups.service.runs import copies_of
from mainstay_server.kernel.copies.frames import decompressed
from mainstay_server.kernel.problems import Conflict, NotFound


def signed_bytes(session: Session, backup_id: str) -> bytes:
    """The signed manifest, byte for byte as it lies beside the copies. Raises `NotFound`."""
    packed = session.scalar(sa.select(Backup.manifest).where(Backup.id == backup_id))
    if not packed:
        raise NotFound("This backup has no manifest: no copy of it is stored.")
    return b"".join(decompressed((packed,)))


def read_manifest(session: Session, backup_id: str) -> Manifest:
    """The manifest as values.

    Raises:
        NotFound: no copy is stored.
        Conflict: it is not as this server signed it, such as under another secret key.
    """
    try:
        return read_signed(signed_bytes(session, backup_id), trusted=[public_key()])
    except NotAManifest as error:
        raise Conflict(
            f"The manifest of this backup cannot be believed: {error} Look whether"
            " MAINSTAY_SECRET_KEY is the one that it was made with.",
            code="manifest-not-ours",
        ) from None


def where_copies_lie(session: Session, backup_id: str) -> list[str]:
    """Where somebody finds the copies of a backup when this server is gone, without keys."""
    return [
        f"{seen.destination.name}: {_shown(seen.destination)}"
        for seen in copies_of(session, [backup_id])[backup_id]
        if seen.copy.status in THERE
    ]


def _shown(destination: BackupDestination) -> str:
    if destination.kind != DestinationKind.SERVER:
        return destination.shown
    return f"{FOLDER}/{destination.project_id} in the server's data dir or object store"


def sheet_policy() -> str:
    """The content security policy of a sheet: its one style, and nothing else at all."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'"
