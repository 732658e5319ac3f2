"""Keeping: pages rendered once, in this process's memory, true to the second, also in a storm.

What is kept is asked after every second (one short question to the database). A page that nobody
keeps yet is read once, however many ask for it at that moment. While the database is away, what is
kept goes on being served, and says as of when it is.
"""

import hashlib
import threading
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import brotli  # type: ignore[import-untyped]  # it ships no types
import sqlalchemy as sa

from mainstay_server.areas.status_pages.models import StatusLogo, StatusPage
from mainstay_server.areas.status_pages.schemas.facts import PageFacts
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.problems import NotFound, Unavailable

from .reading import fingerprint_of, read_facts
from .rendering import Rendered, render
from .snapshots import find_shared, find_snapshot, share

FRESH = timedelta(seconds=2)
STALE = timedelta(seconds=15)
UNASKED = timedelta(minutes=10)
MOST_KEPT = 500
MOST_DOCUMENTS = 400
SMALLEST_PACKED_BYTES = 600
BROTLI_QUALITY = 6
PATIENCE_SECONDS = 20
NOT_HERE = "There is no such page; check the address."

DocumentKey = tuple[str, str, datetime | None]


@dataclass(kw_only=True)
class Encoded:
    """One form of a document on the wire, with its own entity tag (RFC 9110, 8.8.3).

    `head` is what was sent with it before, since it is always the same.
    """

    encoding: bytes
    etag: bytes
    body: bytes
    head: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Document:
    """A document in the forms in which it may leave."""

    media_type: bytes
    headers: Mapping[str, str]
    plain: Encoded
    gzip: Encoded | None = None
    brotli: Encoded | None = None


@dataclass(kw_only=True)
class Kept:
    """A page as it is kept: its facts, when they were last known to hold, what was rendered."""

    facts: PageFacts
    checked_at: datetime
    asked_at: datetime
    away: bool = False
    documents: "OrderedDict[DocumentKey, Document]" = field(default_factory=OrderedDict)

    def as_of(self, now: datetime) -> datetime | None:
        """As of when it is, where nothing newer can be known; None while it holds."""
        return self.facts.made_at if self.away or now - self.checked_at > STALE else None

    def known(self, name: str, base: str, *, now: datetime) -> Document | None:
        """A document that was rendered already."""
        return self.documents.get((name, base, self.as_of(now)))

    def document(self, name: str, base: str, *, now: datetime) -> Document | None:
        """A document, rendered if it was not yet; None when the page has no such one."""
        as_of = self.as_of(now)
        key = (name, base, as_of)
        found = self.documents.get(key)
        if found is None:
            made = _logo(self.facts, name) or render(self.facts, name, base=base, as_of=as_of)
            if made is None:
                return None
            found = encoded(made)
            while len(self.documents) >= MOST_DOCUMENTS:
                self.documents.popitem(last=False)
            self.documents[key] = found
        return found


class _Shelf:
    """What this process keeps."""

    pages: "OrderedDict[str, Kept]" = OrderedDict()  # noqa: RUF012 - one for all of the process
    hosts: dict[str, str] = {}  # noqa: RUF012 - replaced as a whole, never changed
    locks: dict[str, threading.Lock] = {}  # noqa: RUF012 - one for all of the process
    lock = threading.Lock()


def kept(slug: str, *, now: datetime) -> Kept | None:
    """A page that is kept and known to hold now; None where somebody has to look first."""
    found = _Shelf.pages.get(slug)
    if found is None or now - found.checked_at > FRESH:
        return None
    found.asked_at = now
    return found


def get(slug: str, *, now: datetime) -> Kept:
    """A published page as it is now, or as it was last known when the database is away.

    Raises:
        NotFound: there is no such page, or it is a draft.
        Unavailable: the database is away, and nothing is kept of the page anywhere.
    """
    found = kept(slug, now=now)
    if found is not None:
        return found
    lock = _lock_of(slug)
    stale = _Shelf.pages.get(slug)
    # Whoever finds somebody looking already takes what there is, if there is anything.
    if not lock.acquire(timeout=0 if stale else PATIENCE_SECONDS):
        if stale:
            return stale
        raise Unavailable("The page is being made; try again.", retry_after_seconds=1)
    try:
        return kept(slug, now=now) or _looked_up(slug, now=now)
    finally:
        lock.release()


def slug_at(host: str) -> str | None:
    """The page of a host of its own; None for a host that is none's."""
    return _Shelf.hosts.get(host)


def hosts() -> Mapping[str, str]:
    """The hosts that belong to pages, and whose."""
    return _Shelf.hosts


def refresh(*, now: datetime) -> None:
    """Look after all that is kept: the loop of each process that serves does so every second."""
    try:
        read_hosts()
    except Unavailable:
        for page in list(_Shelf.pages.values()):
            page.away, page.checked_at = True, now
        return
    for slug, page in list(_Shelf.pages.items()):
        if now - page.asked_at > UNASKED:
            _Shelf.pages.pop(slug, None)
            continue
        lock = _lock_of(slug)
        if lock.acquire(blocking=False):
            try:
                _looked_up(slug, now=now)
            except (NotFound, Unavailable):
                continue
            finally:
                lock.release()


def read_hosts() -> None:
    """Learn which hosts belong to published pages."""
    with reading() as session:
        rows = session.execute(
            sa.select(StatusPage.host, StatusPage.slug).where(
                StatusPage.host.is_not(None), StatusPage.published
            )
        ).all()
    _Shelf.hosts = {str(host): slug for host, slug in rows}


def forget_all() -> None:
    """Keep nothing any more; for tests, whose databases come and go."""
    _Shelf.pages.clear()
    _Shelf.locks.clear()
    _Shelf.hosts = {}


def encoded(made: Rendered) -> Document:
    """A rendered document, packed once for all who ask for it."""
    digest = hashlib.sha256(made.body).hexdigest()[:20]

    def form(encoding: str, body: bytes) -> Encoded | None:
        if len(body) >= len(made.body):
            return None
        return Encoded(
            encoding=encoding.encode(), etag=f'"{digest}-{encoding}"'.encode(), body=body
        )

    document = Document(
        media_type=made.media_type.encode(),
        headers=made.headers,
        plain=Encoded(encoding=b"", etag=f'"{digest}"'.encode(), body=made.body),
    )
    if len(made.body) < SMALLEST_PACKED_BYTES or made.media_type.startswith("image/"):
        return document
    return Document(
        media_type=document.media_type,
        headers=document.headers,
        plain=document.plain,
        gzip=form("gzip", zlib.compress(made.body, 6, wbits=31)),
        brotli=form("br", brotli.compress(made.body, quality=BROTLI_QUALITY)),
    )


def _looked_up(slug: str, *, now: datetime) -> Kept:
    """Ask the database whether what is kept still holds, and read it anew where it does not."""
    before = _Shelf.pages.get(slug)
    try:
        with reading() as session:
            page = session.scalar(
                sa.select(StatusPage).where(StatusPage.slug == slug, StatusPage.published)
            )
            if page is None:
                _Shelf.pages.pop(slug, None)
                raise NotFound(NOT_HERE)
            fingerprint = fingerprint_of(session, page)
            if before is not None and _holds(before.facts, fingerprint, now=now):
                before.checked_at, before.away = now, False
                return before
            facts = find_shared(slug, fingerprint, now=now)
            if facts is None:
                facts = read_facts(session, page, now=now)
                share(facts)
    except Unavailable:
        return _last_known(slug, before, now=now)
    asked_at = before.asked_at if before is not None else now
    return _put(slug, Kept(facts=facts, checked_at=now, asked_at=asked_at))


def _holds(facts: PageFacts, fingerprint: str, *, now: datetime) -> bool:
    return facts.fingerprint == fingerprint and now < facts.changes_at


def _last_known(slug: str, before: Kept | None, *, now: datetime) -> Kept:
    if before is not None:
        before.away, before.checked_at = True, now
        return before
    facts = find_snapshot(slug)
    if facts is None:
        raise Unavailable("The page cannot be read right now; try again.", retry_after_seconds=5)
    return _put(slug, Kept(facts=facts, checked_at=now, asked_at=now, away=True))


def _put(slug: str, page: Kept) -> Kept:
    with _Shelf.lock:
        _Shelf.pages[slug] = page
        _Shelf.pages.move_to_end(slug)
        while len(_Shelf.pages) > MOST_KEPT:
            _Shelf.pages.popitem(last=False)
    return page


def _lock_of(slug: str) -> threading.Lock:
    with _Shelf.lock:
        if slug not in _Shelf.locks and len(_Shelf.locks) > MOST_KEPT * 4:
            _Shelf.locks = {one: lock for one, lock in _Shelf.locks.items() if lock.locked()}
        return _Shelf.locks.setdefault(slug, threading.Lock())


def _logo(facts: PageFacts, name: str) -> Rendered | None:
    if not name or name != facts.logo:
        return None
    with reading() as session:
        logo = session.get(StatusLogo, facts.id)
    if logo is None:
        return None
    policy = {"content-security-policy": "default-src 'none'; sandbox"}
    return Rendered(media_type=logo.media_type, body=logo.content, headers=policy)
