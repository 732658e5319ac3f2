"""The way in to public pages: plain ASGI over bytes that are ready, before any framework."""

from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from mainstay_server.kernel.area import PlainTree
from mainstay_server.kernel.clock import utc_now

from .models import Visibility
from .service import keeping
from .service.answering import BASE, chosen, headers_of, matches
from .service.keeping import Document, Kept

PREFIX = "/status/"
READING = ("GET", "HEAD")


async def serve(scope: Scope, receive: Receive, send: Send, rest: ASGIApp) -> None:
    """Answer what is public and ready; hand everything else on, as a path under `/status/`.

    What is handed on is who may see a private page, what was not rendered yet, and every form.
    """
    slug = keeping.slug_at(host_of(scope))
    path: str = scope["path"]
    if slug is not None:
        base = ""
        name = path.strip("/")
        inner = f"{PREFIX}{slug}/{name}".rstrip("/")
        scope = {**scope, "path": inner, "raw_path": inner.encode(), BASE: ""}
    else:
        slug, _, name = path.removeprefix(PREFIX).partition("/")
        base = f"{PREFIX}{slug}"
    if scope["method"] in READING:
        now = utc_now()
        page = keeping.kept(slug, now=now)
        if page is not None and page.facts.access.visibility == Visibility.PUBLIC:
            document = page.known(name.rstrip("/"), base, now=now)
            if document is not None:
                await _send(scope, send, page, document)
                return
    await rest(scope, receive, send)


def host_of(scope: Scope) -> str:
    """The host that was asked, without its port, in lower case; "" when no page has a host."""
    if not keeping.hosts():
        return ""
    host = _header(scope["headers"], b"host").decode("latin-1")
    return host.partition(":")[0].rstrip(".").lower()


async def _send(scope: Scope, send: Send, page: Kept, document: Document) -> None:
    asked = scope["headers"]
    form = chosen(document, _header(asked, b"accept-encoding"))
    headers = headers_of(page, document, form)
    if matches(form.etag, _header(asked, b"if-none-match")):
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    headers.append((b"content-length", str(len(form.body)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else form.body
    await send({"type": "http.response.body", "body": body})


def _header(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bytes:
    for name, value in headers:
        if name == wanted:
            return value
    return b""


trees = (
    PlainTree(
        prefix=PREFIX,
        access="everybody for public pages; the others are handed on to where that is asked",
        hosts=keeping.hosts,
        app=serve,
    ),
)
