"""Snapshots: the facts of a page outside of the database, for when that is away, and for a CDN."""

import io
import zipfile
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.status_pages.models import StatusLogo, StatusPage
from mainstay_server.areas.status_pages.schemas.facts import PageFacts
from mainstay_server.kernel import blobs, shared
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.problems import Unavailable

from .reading import fingerprint_of, read_facts
from .rendering import names_of, render

FOLDER = "status_pages/"
MOST_BYTES = 16 * 1024 * 1024
MOST_SHARED_BYTES = 1_000_000
MOST_AT_ONCE = 200
_SHARED_FOR = timedelta(minutes=5)
INDEX = {"text/html; charset=utf-8": "/index.html"}

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(PageFacts)


def packed(facts: PageFacts) -> bytes:
    """The facts as bytes."""
    return _encoder.encode(facts)


def unpacked(data: bytes) -> PageFacts | None:
    """The facts in some bytes; None for those of another version of the program."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError:
        return None


def find_snapshot(slug: str) -> PageFacts | None:
    """A page as it was last kept outside of the database; None without such a copy."""
    try:
        return unpacked(blobs.get(_key(slug), max_bytes=MOST_BYTES))
    except (blobs.BlobMissing, Unavailable):
        return None


def write_snapshots(*, now: datetime) -> int:
    """Keep a copy of every published page that changed since its last; forget the others.

    Each page is a transaction of its own. Returns how many copies were written.
    """
    with reading() as session:
        published = session.execute(
            sa.select(StatusPage.id, StatusPage.slug).where(StatusPage.published)
        ).all()
    written = sum(_write(page_id, now=now) for page_id, _ in published)
    _forget_others({slug for _, slug in published})
    return written


def share(facts: PageFacts) -> None:
    """Let other processes have what this one read; a hint, that may be lost."""
    data = packed(facts)
    if len(data) <= MOST_SHARED_BYTES:
        try:
            shared.put(_shared_key(facts.slug), data, expires_after=_SHARED_FOR)
        except Unavailable:
            return


def find_shared(slug: str, fingerprint: str, *, now: datetime) -> PageFacts | None:
    """What another process read of the same state of a page, as long as it holds; else None."""
    try:
        data = shared.get(_shared_key(slug))
    except Unavailable:
        return None
    facts = unpacked(data) if data else None
    if facts is None or facts.fingerprint != fingerprint or facts.changes_at <= now:
        return None
    return facts


def archive(session: Session, page: StatusPage, *, now: datetime) -> bytes:
    """A ZIP of every document of a page, for a CDN or any web server.

    Links are those of a page at its own host: it is to be put at the top of one.
    """
    facts = read_facts(session, page, now=now)
    logo = session.get(StatusLogo, page.id)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as files:
        for name in names_of(facts):
            document = render(facts, name, base="", as_of=None)
            if document is not None:
                files.writestr(_file_name(name, document.media_type), document.body)
        if logo is not None:
            files.writestr(facts.logo, logo.content)
    return made.getvalue()


def _write(page_id: str, *, now: datetime) -> int:
    with transaction() as session:
        page = session.get(StatusPage, page_id)
        if page is None or not page.published:
            return 0
        # Days pass without a change, too: bars move on.
        state = f"{now:%Y%m%d%H}:{fingerprint_of(session, page)}"
        if page.snapshot_version == state:
            return 0
        facts = read_facts(session, page, now=now)
        page.snapshot_version = state
    blobs.put(_key(facts.slug), packed(facts))
    return 1


def _forget_others(slugs: set[str]) -> None:
    stale: Sequence[str] = [
        key for key in blobs.list_keys(FOLDER) if key.removeprefix(FOLDER) not in slugs
    ]
    for key in stale[:MOST_AT_ONCE]:
        blobs.delete(key)


def _file_name(name: str, media_type: str) -> str:
    if media_type not in INDEX:
        return name
    return f"{name}{INDEX[media_type]}".lstrip("/")


def _key(slug: str) -> str:
    return f"{FOLDER}{slug}"


def _shared_key(slug: str) -> str:
    return f"status_pages|{slug}"
