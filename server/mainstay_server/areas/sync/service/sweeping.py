"""Giving room back: chunks that no snapshot has, packs that are mostly gone, lost objects.

A push stores chunks first and its snapshot last, so a chunk without a snapshot may be one that is
just needed. It is left alone until the time of grace after it arrived or was last asked about is
over; asking and letting go are each one statement, so that nobody is told "it is here" of a chunk
that goes.
"""

from collections.abc import Iterator
from datetime import datetime

import sqlalchemy as sa

from mainstay_server.areas.sync.models import SyncChunk, SyncFolder, SyncPack, SyncSnapshot
from mainstay_server.kernel import blobs
from mainstay_server.kernel.batching import batched
from mainstay_server.kernel.blob_files import walk_keys
from mainstay_server.kernel.database import made_at, new_id, reading, rows_changed, transaction

from .chunks import AT_ONCE, pack_key
from .snapshots import entries_of

PREFIX = "sync"


def sweep(*, before: datetime, now: datetime) -> int:
    """Let go of what nothing needs and is older than `before`; returns how many objects went.

    May be run again after a crash at any point: rows go before the objects that they name.
    """
    removed = remove_lost_objects(before=before)
    with reading() as session:
        projects = list(session.scalars(sa.select(SyncPack.project_id).distinct()))
    for project_id in projects:
        sweep_project(project_id, before=before, now=now)
    return removed


def sweep_project(project_id: str, *, before: datetime, now: datetime) -> None:
    """Let go of the chunks of a project that no snapshot has, and pack the rest anew.

    Raises:
        BlobMissing: the entries of a snapshot are lost; then nothing at all is let go.
    """
    live = live_chunks(project_id)
    with reading() as session:
        old = sa.select(SyncChunk.digest).where(
            SyncChunk.project_id == project_id, SyncChunk.seen_at < before
        )
        dead = [digest for digest in session.scalars(old) if digest not in live]
    for some in batched(dead, AT_ONCE):
        with transaction() as session:
            session.execute(
                sa.delete(SyncChunk).where(
                    SyncChunk.project_id == project_id,
                    SyncChunk.digest.in_(some),
                    SyncChunk.seen_at < before,
                )
            )
    for pack_id in _sparse_packs(project_id, before=before):
        _pack_anew(project_id, pack_id, now=now)


def live_chunks(project_id: str) -> set[bytes]:
    """The digests of all chunks that the snapshots of a project have.

    They are read while no transaction is open. What a push needs meanwhile was asked about within
    the time of grace, and stays for that.
    """
    with reading() as session:
        snapshots = session.scalars(
            sa.select(SyncSnapshot.id)
            .join(SyncFolder, SyncFolder.id == SyncSnapshot.folder_id)
            .where(SyncFolder.project_id == project_id)
        ).all()
    return {
        bytes.fromhex(digest)
        for snapshot_id in snapshots
        for entry in entries_of(project_id, snapshot_id)
        for digest in entry.chunks
    }


def remove_lost_objects(*, before: datetime) -> int:
    """Remove objects that no row names any more, or never did since a process was killed."""
    removed = 0
    for keys in walk_keys(PREFIX, at_once=AT_ONCE):
        for key in _lost(keys, before=before):
            blobs.delete(key)
            removed += 1
    return removed


def _lost(keys: list[str], *, before: datetime) -> Iterator[str]:
    ids = {key.rsplit("/", 1)[1]: key for key in keys}
    named: set[str] = set()
    with reading() as session:
        for table in (SyncPack, SyncSnapshot):
            named.update(session.scalars(sa.select(table.id).where(table.id.in_(list(ids)))))
    for one, key in ids.items():
        if one not in named and made_at(one) < before:
            yield key


def _sparse_packs(project_id: str, *, before: datetime) -> list[str]:
    """Old packs of which less than half is a chunk that is still there."""
    used = sa.func.coalesce(sa.func.sum(SyncChunk.stored_bytes), 0)
    statement = (
        sa.select(SyncPack.id)
        .outerjoin(SyncChunk, SyncChunk.pack_id == SyncPack.id)
        .where(SyncPack.project_id == project_id, SyncPack.created_at < before)
        .group_by(SyncPack.id, SyncPack.bytes)
        .having(used * 2 < SyncPack.bytes)
    )
    with reading() as session:
        return list(session.scalars(statement))


def _pack_anew(project_id: str, pack_id: str, *, now: datetime) -> None:
    """Move what is left of a pack into a new one; the old object goes with a later sweep.

    Whoever was told where a chunk lies still finds it there until then.
    """
    with reading() as session:
        rows = session.execute(
            sa.select(SyncChunk.digest, SyncChunk.offset, SyncChunk.stored_bytes)
            .where(SyncChunk.pack_id == pack_id)
            .order_by(SyncChunk.offset)
        ).all()
    fresh_id, places, offset = new_id(), dict[bytes, int](), 0
    if rows:
        ranges = [(row.offset, row.stored_bytes) for row in rows]
        pieces = blobs.get_ranges(pack_key(project_id, pack_id), ranges)
        blobs.put(pack_key(project_id, fresh_id), b"".join(pieces))
        for row in rows:
            places[row.digest] = offset
            offset += row.stored_bytes
    with transaction() as session:
        if rows:
            session.add(SyncPack(id=fresh_id, project_id=project_id, bytes=offset, created_at=now))
            session.flush()
        for digest, begins in places.items():
            rows_changed(
                session,
                sa.update(SyncChunk)
                .where(SyncChunk.project_id == project_id, SyncChunk.digest == digest)
                .values(pack_id=fresh_id, offset=begins),
            )
        session.execute(sa.delete(SyncPack).where(SyncPack.id == pack_id))
