"""Logos: pictures that people upload, of kinds that hold no script, and small."""

import hashlib
from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.areas.status_pages.models import StatusLogo, StatusPage
from mainstay_server.contracts.status_pages import StatusPageChanged
from mainstay_server.kernel.events import say
from mainstay_server.kernel.problems import Invalid, TooLarge

from .changing import record_change
from .pages import about

MOST_BYTES = 128 * 1024
# What a file begins with tells its kind, whatever its name says.
KINDS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
WEBP = (b"RIFF", b"WEBP")


def find_logo(session: Session, page_id: str) -> StatusLogo | None:
    """The logo of a page, or None."""
    return session.get(StatusLogo, page_id)


def set_logo(session: Session, page: StatusPage, content: bytes, *, now: datetime) -> None:
    """Put a picture on top of a page, in the place of another.

    Raises:
        TooLarge: over 128 KiB.
        Invalid: neither PNG nor JPEG, GIF or WebP.
    """
    if len(content) > MOST_BYTES:
        raise TooLarge(f"A logo has at most {MOST_BYTES // 1024} KiB; make it smaller.")
    media_type = _kind_of(content)
    logo = find_logo(session, page.id)
    before = logo.digest if logo else None
    if logo is None:
        logo = StatusLogo(page_id=page.id, media_type="", digest="", content=b"")
        session.add(logo)
    logo.media_type, logo.content = media_type, content
    logo.digest = hashlib.sha256(content).hexdigest()[:16]
    session.flush()
    _say(session, page, before, logo.digest, now=now)


def remove_logo(session: Session, page: StatusPage, *, now: datetime) -> None:
    """Take the picture away; without one nothing happens."""
    logo = find_logo(session, page.id)
    if logo is None:
        return
    before = logo.digest
    session.delete(logo)
    _say(session, page, before, None, now=now)


def _say(
    session: Session, page: StatusPage, before: str | None, after: str | None, *, now: datetime
) -> None:
    changed = StatusPageChanged(**about(page), changes={"logo": (before, after)})
    say(session, changed, now=now)
    record_change(session, page.id, now=now)


def _kind_of(content: bytes) -> str:
    for beginning, media_type in KINDS:
        if content.startswith(beginning):
            return media_type
    if content[:4] == WEBP[0] and content[8:12] == WEBP[1]:
        return "image/webp"
    raise Invalid("A logo is a PNG, JPEG, GIF or WebP; an SVG may hold scripts, so convert it.")
