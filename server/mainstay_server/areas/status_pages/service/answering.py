"""Answering: the headers of a document, the form that a client takes, whether it has it already."""

from collections.abc import Mapping
from email.utils import format_datetime

from mainstay_server.areas.status_pages.models import Visibility
from mainstay_server.kernel.settings import ServerSettings, of
from mainstay_server.kernel.web.headers import ALWAYS, STRICT_TRANSPORT_SECURITY

from .keeping import Document, Encoded, Kept

# In the scope of a request that came to a page's own host: the path of the page there.
BASE = "mainstay.status_base"
OPEN = b"public, no-cache"
CLOSED = b"private, no-store"

_ALWAYS = {name.encode(): value.encode() for name, value in ALWAYS.items()}


def headers_of(page: Kept, document: Document, form: Encoded) -> list[tuple[bytes, bytes]]:
    """The headers of a document in one of its forms, without its length."""
    if not form.head:
        form.head = tuple(_head(page, document, form))
    return list(form.head)


def _head(page: Kept, document: Document, form: Encoded) -> list[tuple[bytes, bytes]]:
    is_open = page.facts.access.visibility == Visibility.PUBLIC
    own = {name.encode(): value.encode() for name, value in document.headers.items()}
    headers = {
        **_always(),
        b"content-type": document.media_type,
        b"etag": form.etag,
        b"last-modified": format_datetime(page.facts.made_at, usegmt=True).encode(),
        b"cache-control": OPEN if is_open else CLOSED,
        b"vary": b"accept-encoding",
        **own,
    }
    if form.encoding:
        headers[b"content-encoding"] = form.encoding
    if is_open and b"access-control-allow-origin" in own:
        headers[b"cross-origin-resource-policy"] = b"cross-origin"
    return list(headers.items())


def chosen(document: Document, accepted: bytes) -> Encoded:
    """The smallest form that the client takes."""
    if document.brotli is not None and _takes(accepted, b"br"):
        return document.brotli
    if document.gzip is not None and _takes(accepted, b"gzip"):
        return document.gzip
    return document.plain


def matches(etag: bytes, asked: bytes) -> bool:
    """Whether `If-None-Match` names the tag (RFC 9110, 13.1.2), weakly compared."""
    return bool(asked) and (
        asked.strip() == b"*"
        or any(one.strip().removeprefix(b"W/") == etag for one in asked.split(b","))
    )


def _takes(accepted: bytes, encoding: bytes) -> bool:
    for one in accepted.split(b","):
        name, _, quality = one.partition(b";")
        if name.strip() == encoding:
            return quality.replace(b" ", b"") not in (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000")
    return False


def _always() -> Mapping[bytes, bytes]:
    """The security headers of every page of ours."""
    if of(ServerSettings).base_url.startswith("https://"):
        return {**_ALWAYS, b"strict-transport-security": STRICT_TRANSPORT_SECURITY.encode()}
    return _ALWAYS
