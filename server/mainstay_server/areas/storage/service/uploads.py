"""Uploads: room is reserved, a signed way is given, and what came is looked at before it counts."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.storage.models import Bucket, Kind, Status, StoredObject
from mainstay_server.areas.storage.providers import DirectStore
from mainstay_server.areas.storage.schemas.stores import Found, Offer, Wanted
from mainstay_server.kernel.database import after_commit, new_id, reading, rows_changed, transaction
from mainstay_server.kernel.problems import Conflict, Gone, Invalid, NotFound, Problem, Unavailable

from . import buckets, keys, links, uses

SHORTEST_SECONDS, LONGEST_SECONDS = 60, 604_800
DEFAULT_BYTES = 10 << 20
GRACE = timedelta(minutes=15)
DIRECT_GRACE = timedelta(hours=1)
MOST_AT_ONCE = 200
MOST_PARTS = 1000
LONGEST_ETAG = 200
OWN_PLACES = ".mainstay-uploads/"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """An upload that somebody asks for; without a size it may have up to 10 MiB."""

    key: str
    content_type: str = ""
    size_bytes: int | None = None
    sha256: str = ""
    replace: bool = False
    in_parts: bool = False
    seconds: int = 3600


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A reservation, and how its bytes are sent."""

    file: StoredObject
    bucket: Bucket
    offer: Offer


def make_upload(organization_id: str, named: str, wish: Wish, *, by: str, now: datetime) -> Upload:
    """Reserve room for a file and say how it is sent.

    The store is asked, if it has to be, while no transaction is open.

    Raises:
        Invalid: something of the wish makes no sense, or the bucket does not take it.
        Conflict: there is a file of that key, or no room.
    """
    with transaction() as session:
        bucket = buckets.choose_bucket(session, organization_id, named)
        file = reserve_upload(session, bucket, wish, by=by, now=now)
    store = buckets.direct_store_of(bucket)
    if store is None:
        offer = links.upload_offer(bucket, file, seconds=wish.seconds, now=now)
        return Upload(file=file, bucket=bucket, offer=offer)
    try:
        offer = store.offer(_wanted(file, wish), seconds=wish.seconds, now=now)
    except Problem:
        with transaction() as session:
            _give_up(session, bucket, file, "It could not be signed.", now=now)
        raise
    if offer.upload_id:
        with transaction() as session:
            changed = sa.update(StoredObject).where(StoredObject.id == file.id)
            session.execute(changed.values(upload_id=offer.upload_id))
    return Upload(file=file, bucket=bucket, offer=offer)


def reserve_upload(
    session: Session, bucket: Bucket, wish: Wish, *, by: str, now: datetime
) -> StoredObject:
    """Take room for one file; it is given back when the file has not come in time."""
    check_seconds(wish.seconds)
    key = keys.clean_key(wish.key)
    content_type = keys.clean_content_type(wish.content_type)
    if not keys.is_allowed_type(content_type, bucket.content_types):
        allowed = ", ".join(bucket.content_types)
        raise Invalid(
            f"The bucket {bucket.name} takes no {content_type}; it takes {allowed}.",
            code="content-type-not-allowed",
        )
    size_bytes = wish.size_bytes
    if size_bytes is None:
        size_bytes = min(DEFAULT_BYTES, bucket.max_object_bytes)
    if size_bytes > bucket.max_object_bytes:
        raise Invalid(
            f"A file in {bucket.name} has at most {bucket.max_object_bytes:,} bytes; send a smaller"
            " one, or raise the bucket's limit.",
            code="file-too-large",
        )
    if not wish.replace and find_stored(session, bucket.id, key) is not None:
        raise Conflict(
            f"There is a file {key[:200]} already; send replace, or choose another key.",
            code="key-taken",
        )
    uses.reserve(session, bucket, key, size_bytes, now=now)
    file_id = new_id()
    file = StoredObject(
        id=file_id,
        bucket_id=bucket.id,
        key=key,
        place=_place_for(session, bucket, key, file_id),
        size_bytes=size_bytes,
        content_type=content_type,
        sha256=keys.clean_sha256(wish.sha256),
        status=Status.RESERVED,
        replaces=wish.replace,
        created_by=by[:80],
        created_at=now,
        expires_at=now + timedelta(seconds=wish.seconds),
    )
    session.add(file)
    session.flush()
    return file


def finish_upload(
    organization_id: str, file_id: str, etags: Sequence[str], *, now: datetime
) -> StoredObject:
    """Look at what came in a store that clients reach by themselves, and count it.

    Asking again is no error: what is stored is given back.

    Raises:
        NotFound: there is no such upload.
        Gone: it was given up or refused; why.
        Conflict: it has not come yet, or is not what was promised, and was deleted.
    """
    with reading() as session:
        file, bucket = _get_upload(session, organization_id, file_id)
    if file.status == Status.STORED:
        return file
    store = buckets.direct_store_of(bucket)
    if store is None:
        raise Conflict("It has not come yet; put its bytes to the URL that was given for it.")
    if etags:
        _complete(store, file, etags, now=now)
    found = store.find(file.place, now=now)
    if found is None or found.mark != file.id:
        raise Conflict("It has not come yet; send its bytes as it was said, then ask again.")
    fault = fault_of(file, found)
    if fault:
        store.remove(file.place, now=now)
        with transaction() as session:
            _give_up(session, bucket, file, fault, now=now)
        raise Conflict(f"It was deleted: {fault}", code="upload-refused")
    try:
        with transaction() as session:
            held = session.get_one(Bucket, bucket.id)
            return mark_stored(session, held, file.id, found, now=now)
    except Conflict:
        store.remove(file.place, now=now)
        with transaction() as session:
            _give_up(session, bucket, file, "Another file came under its key.", now=now)
        raise


def mark_stored(
    session: Session, bucket: Bucket, file_id: str, found: Found, *, now: datetime
) -> StoredObject:
    """Show a file under its key, in place of the one before if that was asked; count it.

    Changing the counts of the bucket comes first: it makes two uploads of one key wait for each
    other.

    Raises:
        Gone: the upload is over already, for another attempt was quicker or it was given up.
        Conflict: meanwhile somebody stored a file under the key.
    """
    file = session.get(StoredObject, file_id, with_for_update=True)
    if file is None or file.status != Status.RESERVED:
        raise Gone("This upload is over; ask for another upload URL.", code="link-used")
    uses.keep(session, bucket, file.key, file.size_bytes, found.size_bytes, now=now)
    before = find_stored(session, bucket.id, file.key)
    apart = before is not None and before.place != found.place
    if apart and not file.replaces:
        raise Conflict(
            "Meanwhile there is another file under this key; send replace to have yours there.",
            code="key-taken",
        )
    if before is not None:
        mark_deleted(session, bucket, before, "Another file took its place.", now=now)
        if apart and bucket.kind != Kind.SERVER:
            _remove_bytes(session, bucket, before, now=now)
    file.status, file.stored_at, file.expires_at = Status.STORED, now, None
    file.place, file.size_bytes, file.etag = found.place, found.size_bytes, found.etag
    file.sha256, file.seen_at = found.sha256 or file.sha256, now
    session.flush()
    return file


def mark_deleted(
    session: Session, bucket: Bucket, file: StoredObject, reason: str, *, now: datetime
) -> None:
    """Show and count a file no longer; on this server its bytes go after the commit."""
    changed = rows_changed(
        session,
        sa.update(StoredObject)
        .where(StoredObject.id == file.id, StoredObject.status == Status.STORED)
        .values(status=Status.DELETED, reason=reason, expires_at=now),
    )
    if not changed:
        return
    uses.drop(session, bucket, file.key, file.size_bytes, now=now)
    if bucket.kind == Kind.SERVER:
        _remove_bytes(session, bucket, file, now=now)


def fault_of(file: StoredObject, found: Found) -> str:
    """Why what came is not what was promised; "" when it is."""
    if found.size_bytes > file.size_bytes:
        return f"It has {found.size_bytes:,} bytes, and {file.size_bytes:,} were reserved."
    if found.content_type.partition(";")[0].lower() != file.content_type.partition(";")[0]:
        return f"Its content type is {found.content_type[:80]}, not {file.content_type[:80]}."
    if file.sha256 and not found.sha256:
        return "The store does not tell its SHA-256, so it cannot be checked; leave out sha256."
    if file.sha256 and found.sha256 != file.sha256:
        return f"Its SHA-256 is {found.sha256}, not the one that was promised."
    return ""


def settle_uploads(*, now: datetime) -> int:
    """Give back what was reserved and did not come; count what came unsaid. Returns how many.

    A store that clients reach is asked first: one may have sent its bytes and gone away.
    """
    over = (
        sa.select(StoredObject, Bucket)
        .join(Bucket, Bucket.id == StoredObject.bucket_id)
        .where(StoredObject.status == Status.RESERVED, StoredObject.expires_at < now - GRACE)
        .order_by(StoredObject.expires_at)
        .limit(MOST_AT_ONCE)
    )
    with reading() as session:
        found = session.execute(over).all()
    return sum(_settle(file, bucket, now=now) for file, bucket in found)


def _settle(file: StoredObject, bucket: Bucket, *, now: datetime) -> int:
    store = buckets.direct_store_of(bucket)
    if store is not None:
        assert file.expires_at is not None, "what is reserved ends"
        if file.expires_at > now - DIRECT_GRACE:
            return 0
        try:
            came = store.find(file.place, now=now)
            if came is not None and came.mark == file.id:
                with suppress(Conflict, Gone, NotFound):  # settled meanwhile, or refused
                    finish_upload(bucket.organization_id, file.id, (), now=now)
                return 1
            if file.upload_id:
                store.abandon(file.place, file.upload_id, now=now)
        except Unavailable:
            return 0  # asked again next time
    with transaction() as session:
        _give_up(session, bucket, file, "It did not come in time.", now=now)
    return 1


def find_stored(session: Session, bucket_id: str, key: str) -> StoredObject | None:
    """The file under a key; None when nothing is stored there."""
    return session.scalars(
        sa.select(StoredObject).where(
            StoredObject.bucket_id == bucket_id,
            StoredObject.key == key,
            StoredObject.status == Status.STORED,
        )
    ).one_or_none()


def check_seconds(seconds: int) -> None:
    """Refuse a time that no store would sign. Raises `Invalid`."""
    if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        raise Invalid(
            f"expiresIn must be between {SHORTEST_SECONDS} seconds and {LONGEST_SECONDS:,} (seven"
            " days); stores sign nothing that lasts longer."
        )


def _place_for(session: Session, bucket: Bucket, key: str, file_id: str) -> str:
    """Where the bytes of a new upload are sent; on this server each attempt chooses by itself.

    Elsewhere it is the key, unless a file lies there or is on its way there: no upload writes over
    bytes that are counted, so one that is refused has harmed nothing.
    """
    if bucket.kind == Kind.SERVER:
        return ""
    there = sa.select(StoredObject.id).where(
        StoredObject.bucket_id == bucket.id,
        StoredObject.place == key,
        StoredObject.status != Status.DELETED,
    )
    return key if session.scalar(there.limit(1)) is None else f"{OWN_PLACES}{file_id}"


def _remove_bytes(session: Session, bucket: Bucket, file: StoredObject, *, now: datetime) -> None:
    store, place = buckets.store_of(bucket), file.place

    def remove() -> None:
        with suppress(Unavailable):  # what is left lying is an orphan, which a job removes
            store.remove(place, now=now)

    after_commit(session, f"storage:{file.id}", remove)


def _give_up(
    session: Session, bucket: Bucket, file: StoredObject, reason: str, *, now: datetime
) -> None:
    changed = rows_changed(
        session,
        sa.update(StoredObject)
        .where(StoredObject.id == file.id, StoredObject.status == Status.RESERVED)
        .values(status=Status.DELETED, reason=reason[:300], expires_at=now),
    )
    if changed:
        uses.release(session, bucket, file.key, file.size_bytes, now=now)


def _get_upload(
    session: Session, organization_id: str, file_id: str
) -> tuple[StoredObject, Bucket]:
    file = session.get(StoredObject, file_id)
    bucket = session.get(Bucket, file.bucket_id) if file else None
    if file is None or bucket is None or bucket.organization_id != organization_id:
        raise NotFound("There is no such upload; ask for an upload URL first.")
    if file.status == Status.DELETED:
        raise Gone(f"This upload is over: {file.reason}", code="upload-over")
    return file, bucket


def _complete(
    store: DirectStore, file: StoredObject, etags: Sequence[str], *, now: datetime
) -> None:
    if not file.upload_id:
        raise Invalid("This upload has no parts; leave out parts.")
    if len(etags) > MOST_PARTS or any(not 1 <= len(etag) <= LONGEST_ETAG for etag in etags):
        raise Invalid(f"parts has the ETags of 1 to {MOST_PARTS} parts in their order.")
    store.complete(file.place, file.upload_id, etags, now=now)


def _wanted(file: StoredObject, wish: Wish) -> Wanted:
    if wish.in_parts and file.sha256:
        raise Invalid("What is sent in parts has no SHA-256 of its whole; leave out one of both.")
    if wish.size_bytes is None and wish.in_parts:
        raise Invalid("size is missing; what is sent in parts needs it.")
    return Wanted(
        mark=file.id,
        place=file.place,
        size_bytes=file.size_bytes,
        content_type=file.content_type,
        sha256=file.sha256,
        in_parts=wish.in_parts,
    )
