"""Links: short signed texts that the server itself answers, and those of them that are counted."""

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.storage.models import Bucket, Link, Status, StoredObject
from mainstay_server.areas.storage.schemas.stores import Download, Offer
from mainstay_server.contracts.storage import StorageLinkCreated, StorageLinkRevoked
from mainstay_server.kernel.database import new_id, rows_changed
from mainstay_server.kernel.events import say
from mainstay_server.kernel.pagination import Page, decode_cursor, page_of
from mainstay_server.kernel.problems import Conflict, Forbidden, Gone, Invalid, NotFound
from mainstay_server.kernel.settings import secret_key

PATH = "/api/v1/storage/object"
FORM = struct.Struct(">BBBII16s")  # version, kind, flags, generation, expiry, id
VERSION = 1
MAC_BYTES = 16
LONGEST_TEXT = 100
INLINE = 1
MOST_LINKS = 10_000
LONGEST_NOTE = 200
REDIRECT_SECONDS = 60
# What a browser shows without running anything that is in it.
SHOWN_INLINE = {
    "application/pdf",
    "audio/flac",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "image/avif",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "text/plain",
    "video/mp4",
    "video/webm",
}


class What(IntEnum):
    """What a link is for; `COUNTED` stands for a row that says how often it may be used."""

    UPLOAD = 1
    DOWNLOAD = 2
    COUNTED = 3


@dataclass(frozen=True, slots=True)
class Token:
    """What a link says; `id` is of an object, or of a link that is counted."""

    what: What
    id: str
    generation: int
    expires_at: datetime
    inline: bool = False


def sign_token(token: Token) -> str:
    """The token as 59 characters of a URL, signed with HMAC-SHA256 (cut to 128 bits)."""
    packed = FORM.pack(
        VERSION,
        token.what,
        INLINE if token.inline else 0,
        token.generation,
        int(token.expires_at.timestamp()),
        UUID(token.id).bytes,
    )
    return base64.urlsafe_b64encode(packed + _mac(packed)).decode().rstrip("=")


def read_token(text: str, *, now: datetime) -> Token:
    """What a link says, if we signed it and it has not ended.

    Raises:
        Forbidden: it is not ours, or was changed.
        Gone: its time is over.
    """
    try:
        raw = base64.urlsafe_b64decode(text[:LONGEST_TEXT] + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise _forged() from None
    packed, mac = raw[: FORM.size], raw[FORM.size :]
    if len(packed) != FORM.size or not hmac.compare_digest(mac, _mac(packed)):
        raise _forged()
    _version, what, flags, generation, expiry, raw_id = FORM.unpack(packed)
    expires_at = datetime.fromtimestamp(expiry, tz=UTC)
    if expires_at <= now:
        raise Gone("This link's time is over; ask for another one.", code="link-expired")
    return Token(What(what), str(UUID(bytes=raw_id)), generation, expires_at, bool(flags & INLINE))


def upload_offer(bucket: Bucket, file: StoredObject, *, seconds: int, now: datetime) -> Offer:
    """How a file is put into a bucket on this server: one PUT, whose size and type are checked."""
    expires_at = now + timedelta(seconds=seconds)
    token = Token(What.UPLOAD, file.id, bucket.link_generation, expires_at)
    return Offer(method="PUT", url=url_of(token), headers={"content-type": file.content_type})


def download_token(
    bucket: Bucket, file: StoredObject, *, inline: bool, expires_at: datetime
) -> Token:
    """A link to one file that works as often as one likes until it ends."""
    return Token(What.DOWNLOAD, file.id, bucket.link_generation, expires_at, inline)


def url_of(token: Token) -> str:
    """Where a link leads on this server; doors put its address in front (`whole_url`)."""
    return f"{PATH}?link={sign_token(token)}"


def whole_url(base: str, url: str) -> str:
    """The address of a link as it is told: on this server, or on the store that it names."""
    return f"{base}{url}" if url.startswith("/") else url


def download_of(file: StoredObject, *, inline: bool, seconds: int) -> Download:
    """What a store is told to answer; only what runs nothing is ever shown inline."""
    kind = file.content_type.partition(";")[0].strip()
    return Download(
        place=file.place,
        filename=file.key.rpartition("/")[2],
        content_type=file.content_type,
        inline=inline and kind in SHOWN_INLINE,
        seconds=seconds,
    )


def create_link(  # noqa: PLR0913 - what a link is
    session: Session,
    bucket: Bucket,
    file: StoredObject,
    *,
    uses: int | None,
    note: str,
    seconds: int,
    by: str,
    now: datetime,
) -> Link:
    """Make a link that is counted, and can be revoked.

    Raises:
        Invalid: it would never work.
        Conflict: there are too many that have not ended.
    """
    if uses is not None and uses < 1:
        raise Invalid("uses is how often the link works, 1 or more; leave it out for no end.")
    open_links = sa.select(sa.func.count()).where(
        Link.bucket_id == bucket.id, Link.expires_at > now, Link.revoked_at.is_(None)
    )
    if (session.scalar(open_links) or 0) >= MOST_LINKS:
        raise Conflict(f"There are {MOST_LINKS:,} links of this bucket; revoke some first.")
    link = Link(
        id=new_id(),
        bucket_id=bucket.id,
        object_id=file.id,
        key=file.key,
        note=note.strip()[:LONGEST_NOTE],
        created_by=by[:80],
        created_at=now,
        expires_at=now + timedelta(seconds=seconds),
        uses_left=uses,
        uses=0,
    )
    session.add(link)
    session.flush()
    event = StorageLinkCreated(**bucket.ids, link_id=link.id, key=link.key[:LONGEST_NOTE])
    say(session, event, now=now)
    return link


def link_token(bucket: Bucket, link: Link, *, inline: bool = False) -> Token:
    """The token of a link that is counted."""
    return Token(What.COUNTED, link.id, bucket.link_generation, link.expires_at, inline)


def list_links(
    session: Session, bucket_id: str, *, limit: int, cursor: str, search: str = ""
) -> Page[Link]:
    """The counted links of a bucket, newest first; those that ended too, for a week."""
    position = decode_cursor(cursor, parts=1)
    found = sa.select(Link).where(Link.bucket_id == bucket_id)
    if position is not None:
        found = found.where(Link.id < str(position[0]))
    if search:
        matches = (column.icontains(search, autoescape=True) for column in (Link.key, Link.note))
        found = found.where(sa.or_(*matches))
    rows = session.scalars(found.order_by(Link.id.desc()).limit(limit + 1)).all()
    return page_of(rows, limit=limit, key=lambda link: (link.id,))


def revoke_link(session: Session, bucket: Bucket, link_id: str, *, now: datetime) -> None:
    """End a link; it answers 410 from now on. Raises `NotFound`."""
    link = session.get(Link, link_id)
    if link is None or link.bucket_id != bucket.id:
        raise NotFound("There is no such link of this bucket; list its links first.")
    if link.revoked_at is None:
        link.revoked_at = now
        session.flush()
        event = StorageLinkRevoked(**bucket.ids, link_id=link.id, key=link.key[:LONGEST_NOTE])
        say(session, event, now=now)


def use_link(session: Session, token: Token, *, now: datetime) -> str:
    """Count one use of a counted link and give the id of its object.

    Finding that it still works and counting is one statement: a link for one use works once,
    however many ask at the same moment.

    Raises:
        Gone: it was revoked or used up, or its file is gone.
    """
    used = session.scalar(
        sa.update(Link)
        .where(
            Link.id == token.id,
            Link.revoked_at.is_(None),
            sa.or_(Link.uses_left.is_(None), Link.uses_left > 0),
        )
        .values(uses_left=Link.uses_left - 1, uses=Link.uses + 1, last_used_at=now)
        .returning(Link.object_id)
    )
    return used if used is not None else check_link(session, token)


def check_link(session: Session, token: Token) -> str:
    """The id of a counted link's object, without a use. Raises `Gone`."""
    link = session.get(Link, token.id)
    if link is None or link.revoked_at is not None:
        raise Gone("This link was revoked; ask whoever gave it for another.", code="link-revoked")
    if link.uses_left is not None and link.uses_left <= 0:
        raise Gone("This link was used already; ask for another one.", code="link-used")
    return link.object_id


def find_linked(session: Session, object_id: str, generation: int) -> tuple[StoredObject, Bucket]:
    """The object of a link, as far as the bucket's links still hold. Raises `Gone`."""
    file = session.get(StoredObject, object_id)
    bucket = session.get(Bucket, file.bucket_id) if file else None
    if file is None or bucket is None or bucket.link_generation != generation:
        raise Gone("This link was revoked; ask whoever gave it for another.", code="link-revoked")
    return file, bucket


def linked_download(
    session: Session, object_id: str, generation: int
) -> tuple[StoredObject, Bucket]:
    """The file of a download. Raises `Gone`."""
    file, bucket = find_linked(session, object_id, generation)
    if file.status != Status.STORED:
        raise Gone("The file behind this link was deleted.", code="file-deleted")
    return file, bucket


def linked_upload(session: Session, token: Token) -> tuple[StoredObject, Bucket]:
    """The reservation of an upload. Raises `Gone`."""
    file, bucket = find_linked(session, token.id, token.generation)
    if file.status == Status.STORED:
        raise Gone("This file has come already; ask for another upload URL.", code="link-used")
    if file.status == Status.DELETED:
        raise Gone(f"This upload is over: {file.reason}", code="upload-over")
    return file, bucket


def touch_upload(session: Session, object_id: str, *, until: datetime) -> None:
    """Keep a reservation alive while its bytes are coming."""
    session.execute(
        sa.update(StoredObject)
        .where(
            StoredObject.id == object_id,
            StoredObject.status == Status.RESERVED,
            StoredObject.expires_at < until,
        )
        .values(expires_at=until)
    )


def forget_links(session: Session, *, before: datetime) -> int:
    """Forget counted links that ended before then; returns how many."""
    return rows_changed(session, sa.delete(Link).where(Link.expires_at < before))


def revoke_links_of(session: Session, object_ids: Sequence[str], *, now: datetime) -> None:
    """End the counted links of files that are gone."""
    session.execute(
        sa.update(Link)
        .where(Link.object_id.in_(object_ids), Link.revoked_at.is_(None))
        .values(revoked_at=now)
    )


def _mac(packed: bytes) -> bytes:
    key = hmac.digest(secret_key(), b"storage link", hashlib.sha256)
    return hmac.digest(key, packed, hashlib.sha256)[:MAC_BYTES]


def _forged() -> Forbidden:
    return Forbidden(
        "This link is not one of ours, or was changed; copy all of it.", code="link-invalid"
    )
