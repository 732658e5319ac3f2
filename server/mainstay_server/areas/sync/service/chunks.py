"""Chunks: what a project lacks, taking them in as packs, and finding them again."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.sync.models import SyncChunk, SyncPack
from mainstay_server.areas.sync.schemas.records import Record, read_records, unpacked
from mainstay_server.areas.sync.settings import SyncSettings
from mainstay_server.kernel import blobs
from mainstay_server.kernel.batching import batched
from mainstay_server.kernel.database import insert, new_id
from mainstay_server.kernel.problems import Conflict, NotFound
from mainstay_server.kernel.settings import of

MIB = 1 << 20
AT_ONCE = 500
SEEN_AGAIN = timedelta(hours=1)
MOST_FETCHED_BYTES = 8 << 20


@dataclass(frozen=True)
class Place:
    """Where a chunk lies."""

    digest: bytes
    pack_id: str
    offset: int
    stored_bytes: int
    bytes: int


def pack_key(project_id: str, pack_id: str) -> str:
    """Under which key the blob store holds a pack."""
    return f"sync/{project_id}/packs/{pack_id}"


def find_chunks(
    session: Session, project_id: str, digests: Iterable[bytes], *, now: datetime | None = None
) -> dict[bytes, Place]:
    """The chunks of a project among these digests.

    With `now`, those that are found are left alone from then on, as if they had just arrived; they
    stay locked until the transaction ends.
    """
    found: dict[bytes, Place] = {}
    for some in batched(sorted(set(digests)), AT_ONCE):
        which = (SyncChunk.project_id == project_id, SyncChunk.digest.in_(some))
        wanted = sa.select(
            SyncChunk.digest,
            SyncChunk.pack_id,
            SyncChunk.offset,
            SyncChunk.stored_bytes,
            SyncChunk.bytes,
        ).where(*which)
        if now is not None:
            wanted = wanted.order_by(SyncChunk.digest).with_for_update()
        found |= {row.digest: Place(*row) for row in session.execute(wanted)}
        if now is not None:
            old = SyncChunk.seen_at < now - SEEN_AGAIN
            session.execute(sa.update(SyncChunk).where(*which, old).values(seen_at=now))
    return found


def list_missing(
    session: Session, project_id: str, digests: Sequence[str], *, now: datetime
) -> list[str]:
    """Which of these the project lacks; the others are left alone for the time of a push."""
    known = find_chunks(session, project_id, map(bytes.fromhex, digests), now=now)
    return [digest for digest in digests if bytes.fromhex(digest) not in known]


def read_part(body: bytes) -> list[Record]:
    """The chunks of a part, each of which is what its digest says. Raises `Invalid`."""
    records = []
    for record, payload in read_records(body):
        unpacked(record, payload)
        records.append(record)
    return records


def fresh_of(session: Session, project_id: str, records: Sequence[Record]) -> list[Record]:
    """Those that the project does not have, each once.

    Raises:
        Conflict: the project has no room for them.
    """
    known = find_chunks(session, project_id, (record.digest for record in records))
    fresh = {record.digest: record for record in records if record.digest not in known}
    kept = session.scalar(
        sa.select(sa.func.coalesce(sa.func.sum(SyncPack.bytes), 0)).where(
            SyncPack.project_id == project_id
        )
    )
    limit_mib = of(SyncSettings).sync_mib_per_project
    if fresh and (kept or 0) + sum(len(one.raw) for one in fresh.values()) > limit_mib * MIB:
        raise Conflict(
            f"The project's synced folders would take more than {limit_mib} MiB; remove snapshots,"
            " or have MAINSTAY_SYNC_MIB_PER_PROJECT raised.",
            code="sync-full",
        )
    return [fresh[digest] for digest in sorted(fresh)]  # all writers lock in one order


def put_pack(project_id: str, records: Sequence[Record]) -> str:
    """Store chunks as one object, before a row says that they are there; returns its id."""
    pack_id = new_id()
    blobs.put(pack_key(project_id, pack_id), b"".join(record.raw for record in records))
    return pack_id


def record_pack(
    session: Session, project_id: str, pack_id: str, records: Sequence[Record], *, now: datetime
) -> None:
    """Say where the chunks of a stored pack lie; what came by another way meanwhile stays there."""
    total = sum(len(record.raw) for record in records)
    session.add(SyncPack(id=pack_id, project_id=project_id, bytes=total, created_at=now))
    session.flush()
    rows: list[dict[str, object]] = []
    offset = 0
    for record in records:
        rows.append(
            {
                "project_id": project_id,
                "digest": record.digest,
                "pack_id": pack_id,
                "offset": offset,
                "stored_bytes": len(record.raw),
                "bytes": record.bytes,
                "seen_at": now,
            }
        )
        offset += len(record.raw)
    for some in batched(rows, AT_ONCE):
        session.execute(insert(SyncChunk).on_conflict_do_nothing(), some)


def places_of(session: Session, project_id: str, digests: Sequence[str]) -> list[Place]:
    """Where chunks lie, in the order asked.

    Raises:
        NotFound: one of them is not there.
    """
    known = find_chunks(session, project_id, {bytes.fromhex(one) for one in digests})
    missing = [digest for digest in digests if bytes.fromhex(digest) not in known]
    if missing:
        raise NotFound(
            f"{len(missing)} of these chunks are not there, such as {missing[0][:16]}…; push them"
            " from a machine that has the files.",
            code="chunks-missing",
            members={"missing": missing[:AT_ONCE]},
        )
    return [known[bytes.fromhex(digest)] for digest in digests]


def read_places(project_id: str, places: Sequence[Place]) -> list[bytes]:
    """The records at these places, in their order: few requests, since packs are read in ranges."""
    by_pack: dict[str, list[Place]] = {}
    for place in places:
        by_pack.setdefault(place.pack_id, []).append(place)
    found: dict[bytes, bytes] = {}
    for pack_id, wanted in by_pack.items():
        ranges = [(place.offset, place.stored_bytes) for place in wanted]
        pieces = blobs.get_ranges(pack_key(project_id, pack_id), ranges)
        found |= {place.digest: piece for place, piece in zip(wanted, pieces, strict=True)}
    return [found[place.digest] for place in places]


def first_places(places: Sequence[Place]) -> Sequence[Place]:
    """As many as one answer carries: at least one, and no more than 8 MiB."""
    total = 0
    for count, place in enumerate(places):
        total += place.stored_bytes
        if count and total > MOST_FETCHED_BYTES:
            return places[:count]
    return places


def content_of(project_id: str, places: Sequence[Place]) -> Iterator[bytes]:
    """The bytes of a file whose chunks lie at these places; each is checked on its way out."""
    left = list(places)
    while left:
        now = first_places(left)
        for raw in read_places(project_id, now):
            for record, payload in read_records(raw):
                yield unpacked(record, payload)
        del left[: len(now)]
