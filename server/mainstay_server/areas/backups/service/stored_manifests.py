"""The manifest of a backup as it is kept here, for those who read it and print its sheet."""

import base64
import hashlib
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import Backup
from mainstay_server.areas.backups.service.manifests import (
    Manifest,
    public_key,
    read_signed,
)
from mainstay_server.areas.backups.service.recovery import STYLE
from mainstay_server.kernel.copies.frames import decompressed
from mainstay_server.kernel.problems import Conflict, NotFound

from .removal import Outcome


def signed_bytes(session: Session, backup_id: str) -> bytes:
    """The signed manifest, byte for byte as it lies beside the copies. Raises `NotFound`."""
    packed = session.scalar(sa.select(Backup.manifest).where(Backup.id == backup_id))
    if not packed:
        raise NotFound("This backup has no manifest: no copy of it is stored.")
    return b"".join(decompressed((packed,)))


def read_manifest(session: Session, backup_id: str) -> Manifest:
    """The manifest as values. Raises `NotFound`."""
    return read_signed(signed_bytes(session, backup_id), trusted=[public_key()])


def sheet_policy() -> str:
    """The content security policy of a sheet: its one style, and nothing else at all."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'"


def refuse_if_left(outcomes: Sequence[Outcome]) -> None:
    """Raise `Conflict` with what a store kept, when somebody wanted all copies gone."""
    left = [each for each in outcomes if not each.is_removed]
    if left:
        told = "; ".join(f"{each.destination}: {each.reason}" for each in left)
        raise Conflict(f"Not every copy could be removed. {told}"[:500], code="copies-left")
