"""Bytes through the server: who may send or fetch them, which of them, and when they count."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime

from mainstay_server.areas.storage.models import Bucket, Kind, StoredObject
from mainstay_server.areas.storage.providers.server import blob_key, new_place
from mainstay_server.areas.storage.schemas.stores import Found
from mainstay_server.kernel.blob_files import BlobReading, BlobUpload, open_blob
from mainstay_server.kernel.blobs import BlobMissing
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.problems import Conflict, Forbidden, Gone, Problem, TooLarge

from . import buckets, keys, links, uploads
from .links import Token, What

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
STAYS_ALIVE = timedelta(minutes=15)


class Incoming:
    """One file on its way into a bucket of this server; call from one thread at once."""

    def __init__(self, file: StoredObject, bucket: Bucket) -> None:
        self._file, self._bucket = file, bucket
        self._place = new_place(file.id)
        self._upload = BlobUpload(blob_key(bucket.id, self._place))
        self.most_bytes = file.size_bytes

    def write(self, piece: bytes | bytearray) -> None:
        """Take the next bytes. Raises `TooLarge` as soon as there are more than were reserved."""
        if self._upload.size_bytes + len(piece) > self.most_bytes:
            raise too_large(self.most_bytes)
        self._upload.write(piece)

    def keep_alive(self, *, now: datetime) -> None:
        """Say that it is still coming, so that its room is not given to others."""
        with transaction() as session:
            links.touch_upload(session, self._file.id, until=now + STAYS_ALIVE)

    def finish(self, content_type: str, *, now: datetime) -> StoredObject:
        """Look at what came, put it in its place, and count it.

        Raises:
            Conflict: it is not what was promised, and nothing of it stays.
            Gone: another attempt was quicker, or the upload was given up.
        """
        found = Found(
            place=self._place,
            size_bytes=self._upload.size_bytes,
            changed_at=now,
            content_type=content_type or self._file.content_type,
            etag=self._upload.sha256[:32],
            sha256=self._upload.sha256,
        )
        fault = uploads.fault_of(self._file, found)
        if fault:
            raise Conflict(f"Nothing was stored: {fault}", code="upload-refused")
        self._upload.publish()
        try:
            with transaction() as session:
                bucket = session.get_one(Bucket, self._bucket.id)
                return uploads.mark_stored(session, bucket, self._file.id, found, now=now)
        except Problem:
            buckets.store_of(self._bucket).remove(self._place, now=now)
            raise

    def abort(self) -> None:
        """Leave nothing behind."""
        self._upload.abort()


def begin_incoming(token: Token, *, declared_bytes: int | None) -> Incoming:
    """Open the way in for one upload.

    Raises:
        Forbidden: the link is for something else.
        Gone: it was used or given up.
        TooLarge: more bytes are announced than were reserved.
    """
    if token.what is not What.UPLOAD:
        raise Forbidden("This link is for fetching; ask for an upload URL.", code="link-invalid")
    with reading() as session:
        file, bucket = links.linked_upload(session, token)
    if declared_bytes is not None and declared_bytes > file.size_bytes:
        raise too_large(file.size_bytes)
    return Incoming(file, bucket)


def too_large(most_bytes: int) -> TooLarge:
    """More than was reserved."""
    return TooLarge(
        f"This link is for at most {most_bytes:,} bytes; ask for an upload URL with the real size."
    )


@dataclass(kw_only=True)
class Outgoing:
    """One file on its way out: its bytes, or the address of a store where they are."""

    file: StoredObject
    redirect: str = ""
    bytes: BlobReading | None = None
    inline: bool = False

    @property
    def etag(self) -> str:
        """Its entity tag, quoted: the beginning of its SHA-256."""
        return f'"{self.file.etag or self.file.id}"'

    def headers(self) -> dict[str, str]:
        """What says how it is shown: nothing in it runs, and nothing is guessed of its type."""
        assert self.file.stored_at is not None, "what goes out is stored"
        download = links.download_of(self.file, inline=self.inline, seconds=0)
        kind = "inline" if download.inline else "attachment"
        return {
            "content-type": download.content_type,
            "content-disposition": f"{kind}; {disposition_name(download.filename)}",
            "etag": self.etag,
            "last-modified": format_datetime(self.file.stored_at, usegmt=True),
            "accept-ranges": "bytes",
            "cache-control": "private, no-store",
            "content-security-policy": "default-src 'none'; sandbox",
            "cross-origin-resource-policy": "cross-origin",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
        }


def open_outgoing(token: Token, *, counts: bool, now: datetime) -> Outgoing:
    """Open the way out for one download; a counted link loses a use if it `counts`.

    Raises:
        Forbidden: the link is for something else.
        Gone: it was revoked or used up, or its file is gone.
    """
    if token.what is What.UPLOAD:
        raise Forbidden("This link is for sending; ask for a download URL.", code="link-invalid")
    object_id = _object_of(token, counts=counts, now=now)
    with reading() as session:
        file, bucket = links.linked_download(session, object_id, token.generation)
    if bucket.kind != Kind.SERVER:
        store = buckets.direct_store_of(bucket)
        assert store is not None, "what is not here is reached directly"
        wanted = links.download_of(file, inline=token.inline, seconds=links.REDIRECT_SECONDS)
        return Outgoing(file=file, redirect=store.download_url(wanted, now=now))
    try:
        opened = open_blob(blob_key(bucket.id, file.place))
    except BlobMissing:
        raise Gone("The bytes of this file are gone from the store.", code="file-lost") from None
    return Outgoing(file=file, bytes=opened, inline=token.inline)


def _object_of(token: Token, *, counts: bool, now: datetime) -> str:
    if token.what is What.DOWNLOAD:
        return token.id
    if not counts:
        with reading() as session:
            return links.check_link(session, token)
    with transaction() as session:
        return links.use_link(session, token, now=now)


@dataclass(frozen=True)
class Span:
    """Which bytes are answered, of how many; `status` is 200, 206 or 416."""

    status: int
    offset: int
    length: int
    size: int

    def headers(self) -> dict[str, str]:
        """The headers of the answer that tell it."""
        if self.status == 416:  # noqa: PLR2004 - RFC 9110, 15.5.17
            return {"content-range": f"bytes */{self.size}", "content-length": "0"}
        told = {"content-length": str(self.length)}
        if self.status == 206:  # noqa: PLR2004 - RFC 9110, 15.3.7
            last = self.offset + self.length - 1
            told["content-range"] = f"bytes {self.offset}-{last}/{self.size}"
        return told


def span_of(outgoing: Outgoing, asked: Mapping[str, str], size: int) -> Span:
    """The bytes that a request's `Range` and `If-Range` ask for (RFC 9110, 14).

    What is no single range of bytes is answered whole, as the standard allows.
    """
    whole = Span(200, 0, size, size)
    found = RANGE.fullmatch(asked.get("range", "").replace(" ", ""))
    if found is None or found[0] == "bytes=-" or not _holds(outgoing, asked.get("if-range", "")):
        return whole
    first, last = found[1], found[2]
    if not first:
        length = min(int(last), size)
        return Span(206, size - length, length, size) if length else Span(416, 0, 0, size)
    if last and int(last) < int(first):
        return whole
    if int(first) >= size:
        return Span(416, 0, 0, size)
    end = min(int(last), size - 1) if last else size - 1
    return Span(206, int(first), end - int(first) + 1, size)


def is_unchanged(outgoing: Outgoing, if_none_match: str) -> bool:
    """Whether the client has these bytes already (`If-None-Match`)."""
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or outgoing.etag in tags


def disposition_name(filename: str) -> str:
    """A file's name for `Content-Disposition` (RFC 6266): in ASCII, and as it really is."""
    plain = "".join(
        c if c.isascii() and (c.isalnum() or c in " ._-()+,@") else "_" for c in filename
    )
    real = "".join(chr(b) if _is_plain(b) else f"%{b:02X}" for b in filename.encode())
    return f"filename=\"{plain}\"; filename*=UTF-8''{real}"


def _is_plain(byte: int) -> bool:
    return chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in "-._~")


def _holds(outgoing: Outgoing, if_range: str) -> bool:
    if not if_range:
        return True
    return if_range in (outgoing.etag, outgoing.headers()["last-modified"])


def clean_type(text: str) -> str:
    """The content type of a body as it is compared; "" when nobody said one."""
    return keys.clean_content_type(text) if text.strip() else ""
