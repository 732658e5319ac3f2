"""Snapshots: recorded one after the other, so that nobody's push undoes another's."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import msgspec
import sqlalchemy as sa
from backports import zstd
from sqlalchemy.orm import Session

from mainstay_server.areas.sync.models import SyncFolder, SyncSnapshot
from mainstay_server.areas.sync.schemas.entries import (
    Entry,
    Kind,
    Push,
    Tree,
    applied,
    in_order,
)
from mainstay_server.areas.sync.settings import SyncSettings
from mainstay_server.contracts.sync import SyncSnapshotPushed, SyncSnapshotRemoved
from mainstay_server.kernel import blobs
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import say
from mainstay_server.kernel.pagination import Page, decode_cursor, page_of
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound, Problem, TooLarge
from mainstay_server.kernel.settings import of
from mainstay_server.tenancy.subjects import ProjectRef

from .chunks import AT_ONCE, find_chunks
from .folders import forget_old_snapshots, get_folder, ids_of

LARGEST_MANIFEST_BYTES = 1 << 30
_decoder = msgspec.json.Decoder(list[Entry])


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A snapshot that is thought out and whose entries are stored, before it is recorded."""

    id: str
    parent: int
    digest: str
    machine: str
    tree: Tree
    fresh: tuple[Entry, ...]
    added: int
    changed: int
    removed: int


def read_push(body: bytes) -> Push:
    """A push as it was sent.

    Raises:
        Invalid: it has another shape.
        TooLarge: it tells of more entries than a snapshot may have.
    """
    try:
        push = msgspec.json.decode(body, type=Push)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Invalid(f"The push cannot be read: {error}.", code="push-unreadable") from error
    _check_count(len(push.changed))
    _check_count(len(push.removed))
    return push


def entries_of(project_id: str, snapshot_id: str) -> list[Entry]:
    """All entries of a snapshot by path, as they were stored. Raises `blobs.BlobMissing`."""
    packed = blobs.get(manifest_key(project_id, snapshot_id), max_bytes=LARGEST_MANIFEST_BYTES)
    return _decoder.decode(zstd.decompress(packed))


def manifest_key(project_id: str, snapshot_id: str) -> str:
    """Under which key the blob store holds a snapshot's entries."""
    return f"sync/{project_id}/snapshots/{snapshot_id}"


def get_snapshot(session: Session, folder: SyncFolder, number: int) -> SyncSnapshot:
    """A folder's snapshot of this number. Raises `NotFound`."""
    found = session.scalar(
        sa.select(SyncSnapshot).where(
            SyncSnapshot.folder_id == folder.id, SyncSnapshot.number == number
        )
    )
    if found is None:
        raise NotFound(f"{folder.name} has no snapshot {number}; it may have been let go.")
    return found


def list_snapshots(
    session: Session, folder_id: str, *, limit: int, cursor: str = ""
) -> Page[SyncSnapshot]:
    """The snapshots of a folder, newest first."""
    statement = (
        sa.select(SyncSnapshot)
        .where(SyncSnapshot.folder_id == folder_id)
        .order_by(SyncSnapshot.number.desc())
        .limit(limit + 1)
    )
    after = decode_cursor(cursor, parts=1)
    if after is not None:
        if not isinstance(after[0], int):
            raise Invalid("The cursor is not one of ours; start without it.")
        statement = statement.where(SyncSnapshot.number < after[0])
    return page_of(
        session.scalars(statement).all(), limit=limit, key=lambda snapshot: (snapshot.number,)
    )


def tree_at_head(session: Session, project: ProjectRef, name: str, parent: int) -> Tree:
    """The tree of a folder's newest snapshot, which must be `parent`.

    Raises:
        Conflict: another one was pushed meanwhile.
    """
    folder = get_folder(session, project, name)
    _refuse_if_moved(folder, parent)
    if not parent:
        return {}
    snapshot = get_snapshot(session, folder, parent)
    return {entry.path: entry for entry in entries_of(project.id, snapshot.id)}


def draft_of(project: ProjectRef, before: Tree, push: Push) -> Draft:
    """Think a snapshot out and store its entries.

    Raises:
        Invalid: the tree makes no sense, or is not the one that was meant.
        TooLarge: it has too many entries.
    """
    tree = applied(before, push)
    _check_count(len(tree))
    fresh = tuple(entry for entry in push.changed if before.get(entry.path) != entry)
    draft = Draft(
        id=new_id(),
        parent=push.parent,
        digest=push.digest,
        machine=push.machine,
        tree=tree,
        fresh=fresh,
        added=sum(entry.path not in before for entry in fresh),
        changed=sum(entry.path in before for entry in fresh),
        removed=sum(path not in tree for path in before),
    )
    blobs.put(manifest_key(project.id, draft.id), zstd.compress(_encoded(tree), 3))
    return draft


def record_snapshot(
    session: Session, project: ProjectRef, name: str, draft: Draft, *, made_by: str, now: datetime
) -> SyncSnapshot:
    """Make a draft the newest snapshot of its folder.

    Raises:
        Conflict: another snapshot was recorded since its parent, or a chunk is not there.
        Invalid: a file's size is not that of its chunks.
    """
    folder = get_folder(session, project, name, locked=True)
    _refuse_if_moved(folder, draft.parent)
    _check_chunks(session, project.id, draft.fresh, now=now)
    files = [entry for entry in draft.tree.values() if entry.kind is Kind.FILE]
    snapshot = SyncSnapshot(
        id=draft.id,
        folder_id=folder.id,
        number=folder.head + 1,
        parent=draft.parent,
        digest=draft.digest,
        machine=draft.machine,
        made_by=made_by[:200],
        files=len(files),
        bytes=sum(entry.size for entry in files),
        added=draft.added,
        changed=draft.changed,
        removed=draft.removed,
        created_at=now,
    )
    session.add(snapshot)
    folder.head, folder.pushed_at = snapshot.number, now
    session.flush()
    forget_old_snapshots(session, folder)
    event = SyncSnapshotPushed(
        **ids_of(project, folder), number=snapshot.number, machine=snapshot.machine
    )
    say(session, event, now=now)
    return snapshot


def remove_snapshot(
    session: Session, project: ProjectRef, name: str, number: int, *, now: datetime
) -> None:
    """Forget a snapshot that is not the newest.

    Raises:
        Conflict: it is the newest, by which machines go on.
    """
    folder = get_folder(session, project, name, locked=True)
    snapshot = get_snapshot(session, folder, number)
    if number == folder.head:
        raise Conflict("The newest snapshot stays; remove the folder, or push another one.")
    session.delete(snapshot)
    session.flush()
    event = SyncSnapshotRemoved(**ids_of(project, folder), number=number, machine=snapshot.machine)
    say(session, event, now=now)


@contextmanager
def forgotten_if_refused(project: ProjectRef, draft: Draft) -> Iterator[None]:
    """Remove the entries of a draft again when it is refused within."""
    try:
        yield
    except Problem:
        with suppress(Problem):
            blobs.delete(manifest_key(project.id, draft.id))
        raise


def _refuse_if_moved(folder: SyncFolder, parent: int) -> None:
    if folder.head != parent:
        raise Conflict(
            f"{folder.name} has the snapshot {folder.head} meanwhile; pull it, and push again.",
            code="folder-moved",
            members={"head": folder.head},
        )


def _check_count(count: int) -> None:
    most = of(SyncSettings).sync_entries_per_snapshot
    if count > most:
        raise TooLarge(
            f"A snapshot has {most} entries at most; leave folders out with .mainstayignore.",
            code="too-many-entries",
        )


def _encoded(tree: Tree) -> bytes:
    """The entries as they are stored; all of them are read at once, so they are bounded together.

    Many small pushes could else make a tree that fills the memory of whoever looks at it.
    """
    encoded = msgspec.json.encode(in_order(tree))
    most_mib = of(SyncSettings).sync_manifest_mib
    if len(encoded) > most_mib << 20:
        raise TooLarge(
            f"The entries of the folder take more than {most_mib} MiB together; leave folders out"
            " with .mainstayignore, or have MAINSTAY_SYNC_MANIFEST_MIB raised.",
            code="too-many-entries",
        )
    return encoded


def _check_chunks(
    session: Session, project_id: str, entries: Iterable[Entry], *, now: datetime
) -> None:
    files = [entry for entry in entries if entry.kind is Kind.FILE]
    wanted = {digest for entry in files for digest in entry.chunks}
    known = find_chunks(session, project_id, map(bytes.fromhex, wanted), now=now)
    sizes = {digest.hex(): place.bytes for digest, place in known.items()}
    missing = sorted(wanted - sizes.keys())
    if missing:
        raise Conflict(
            f"{len(missing)} chunks of it are not there; send them, and push again.",
            code="chunks-missing",
            members={"missing": missing[:AT_ONCE]},
        )
    for entry in files:
        if entry.size != sum(sizes[digest] for digest in entry.chunks):
            raise Invalid(f"The size of {entry.path[:200]!r} is not that of its chunks.")
