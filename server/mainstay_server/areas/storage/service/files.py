"""What is in a bucket: lists, folders, removal, and how it is fetched."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.storage.models import Bucket, Status, StoredObject, Use
from mainstay_server.contracts.storage import StorageFilesRemoved
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import say
from mainstay_server.kernel.pagination import Page, decode_cursor, encode_cursor, page_of
from mainstay_server.kernel.problems import Invalid, NotFound

from . import buckets, keys, links, uploads

MOST_REMOVED = 500
MOST_TOLD_KEYS = 20
SHORTEST_SEARCH = 2
FEWEST_READ, MOST_READ = 8, 256
MOST_STEPS = 400
REMOVED = "Somebody deleted it."


@dataclass(frozen=True, kw_only=True)
class Folder:
    """What begins alike up to the next slash; its size is known three folders deep."""

    prefix: str
    name: str
    used_bytes: int | None
    used_objects: int | None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One page of what is in a folder: folders and files in the order of their names."""

    folders: Sequence[Folder]
    files: Sequence[StoredObject]
    next_cursor: str | None


def list_files(
    session: Session, bucket: Bucket, *, prefix: str, search: str, limit: int, cursor: str
) -> Page[StoredObject]:
    """The files whose keys begin so, and have the text in them, by key."""
    position = decode_cursor(cursor, parts=1)
    found = _within(bucket.id, keys.clean_prefix(prefix))
    if position is not None:
        found = found.where(StoredObject.key > str(position[0]))
    if search:
        found = found.where(StoredObject.key.icontains(search, autoescape=True))
    rows = session.scalars(found.order_by(StoredObject.key).limit(limit + 1)).all()
    return page_of(rows, limit=limit, key=lambda file: (file.key,))


def browse(session: Session, bucket: Bucket, *, prefix: str, limit: int, cursor: str) -> Listing:
    """What is in a folder, one level deep: each folder once, however many files it has.

    After a folder the search goes on behind everything that is in it, so the work follows what is
    shown and not what is there.
    """
    clean = keys.clean_prefix(prefix)
    position = decode_cursor(cursor, parts=1)
    after = str(position[0]) if position is not None else None
    folders: list[str] = []
    files: list[StoredObject] = []
    last: str | None = None
    step = FEWEST_READ
    for _ in range(MOST_STEPS):
        batch = _after(session, bucket.id, clean, after, step)
        for file in batch:
            if len(folders) + len(files) >= limit:
                assert last is not None, "the limit is at least one"
                return _listing(session, bucket, folders, files, encode_cursor(last))
            name, slash, _ = file.key[len(clean) :].partition("/")
            if slash:
                folders.append(f"{clean}{name}/")
                # all in the folder is less than its name with the character behind the slash
                last = after = f"{clean}{name}/\U0010ffff"
                step = FEWEST_READ
                break
            files.append(file)
            last = after = file.key
        else:
            if len(batch) < step:
                return _listing(session, bucket, folders, files, None)
            step = min(MOST_READ, step * 4)
    return _listing(session, bucket, folders, files, encode_cursor(last or ""))


def get_file(session: Session, bucket: Bucket, key: str) -> StoredObject:
    """The file under a key. Raises `NotFound`."""
    file = uploads.find_stored(session, bucket.id, keys.clean_key(key))
    if file is None:
        raise NotFound(f"There is no file {key[:200]} in {bucket.name}; list its files first.")
    return file


def make_download_url(
    session: Session, bucket: Bucket, key: str, *, seconds: int, inline: bool, now: datetime
) -> tuple[str, datetime]:
    """Where a file can be fetched until when, as often as one likes.

    Raises:
        NotFound: there is no such file.
        Invalid: it would last too long.
    """
    uploads.check_seconds(seconds)
    file = get_file(session, bucket, key)
    ends = now + timedelta(seconds=seconds)
    store = buckets.direct_store_of(bucket)
    if store is None:
        token = links.download_token(bucket, file, inline=inline, expires_at=ends)
        return links.url_of(token), ends
    wanted = links.download_of(file, inline=inline, seconds=seconds)
    return store.download_url(wanted, now=now), ends


def remove_files(
    organization_id: str, named: str, wanted: Sequence[str], *, now: datetime
) -> tuple[list[str], list[str]]:
    """Delete files; which were, and which were not there.

    The bytes go first. Should that break off, the next listing counts what is gone no longer.

    Raises:
        Invalid: too many at once.
        Unavailable: the store does not answer; what it had deleted before is gone.
    """
    if not 1 <= len(wanted) <= MOST_REMOVED:
        raise Invalid(f"Delete 1 to {MOST_REMOVED} files at once.")
    clean = sorted({keys.clean_key(key) for key in wanted})
    with reading() as session:
        bucket = buckets.choose_bucket(session, organization_id, named)
        found = session.scalars(
            sa.select(StoredObject).where(
                StoredObject.bucket_id == bucket.id,
                StoredObject.key.in_(clean),
                StoredObject.status == Status.STORED,
            )
        ).all()
    store = buckets.direct_store_of(bucket)
    if store is not None:
        for file in found:
            store.remove(file.place, now=now)
    removed = sorted(file.key for file in found)
    if removed:
        with transaction() as session:
            _forget(session, session.get_one(Bucket, bucket.id), found, now=now)
    return removed, [key for key in clean if key not in set(removed)]


def _forget(
    session: Session, bucket: Bucket, found: Sequence[StoredObject], *, now: datetime
) -> None:
    for file in found:
        uploads.mark_deleted(session, bucket, file, REMOVED, now=now)
    links.revoke_links_of(session, [file.id for file in found], now=now)
    told = sorted(file.key for file in found)
    event = StorageFilesRemoved(
        **bucket.ids,
        bucket_id=bucket.id,
        name=bucket.name,
        count=len(told),
        keys=tuple(key[:200] for key in told[:MOST_TOLD_KEYS]),
    )
    say(session, event, now=now)


def _within(bucket_id: str, prefix: str) -> sa.Select[StoredObject]:
    found = sa.select(StoredObject).where(
        StoredObject.bucket_id == bucket_id, StoredObject.status == Status.STORED
    )
    if prefix:
        found = found.where(StoredObject.key >= prefix)
        end = keys.after_all_with(prefix)
        found = found.where(StoredObject.key < end) if end is not None else found
    return found


def _after(
    session: Session, bucket_id: str, prefix: str, after: str | None, most: int
) -> Sequence[StoredObject]:
    found = _within(bucket_id, prefix)
    if after is not None:
        found = found.where(StoredObject.key > after)
    return session.scalars(found.order_by(StoredObject.key).limit(most)).all()


def _listing(
    session: Session,
    bucket: Bucket,
    folders: Sequence[str],
    files: Sequence[StoredObject],
    next_cursor: str | None,
) -> Listing:
    owners = [folder.rstrip("/") for folder in folders]
    used = {
        use.owner: use
        for use in session.scalars(
            sa.select(Use).where(Use.bucket_id == bucket.id, Use.owner.in_(owners))
        )
    }
    told = []
    for prefix, owner in zip(folders, owners, strict=True):
        use = used.get(owner)
        told.append(
            Folder(
                prefix=prefix,
                name=owner.rpartition("/")[2],
                used_bytes=use.used_bytes if use else None,
                used_objects=use.used_objects if use else None,
            )
        )
    return Listing(folders=told, files=files, next_cursor=next_cursor)
