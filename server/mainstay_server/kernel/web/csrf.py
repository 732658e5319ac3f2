"""Forged requests: a page of another site must not act with a person's cookie."""

import hashlib
import hmac
from urllib.parse import urlsplit

from starlette.requests import Request

from mainstay_server.kernel.problems import Forbidden
from mainstay_server.kernel.settings import ServerSettings, of, secret_key

HEADER = "x-csrf-token"
FIELD = "csrf_token"
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


def csrf_token(session_id: str) -> str:
    """The token that pages put into their forms and headers, bound to one session."""
    return hmac.new(secret_key(), b"csrf:" + session_id.encode(), hashlib.sha256).hexdigest()


def refuse_foreign(request: Request) -> None:
    """Refuse what another site sent, by the browser's own word.

    Over https that is `Sec-Fetch-Site`. Over http browsers only name the page's origin, which must
    then be ours: another site could sign people in as somebody else. Enough alone where there is no
    session yet to bind a token to: a client that names neither is no browser.

    Raises:
        Forbidden: with the next step.
    """
    said, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if said is None and origin is not None:
        ours = (request.headers.get("host", ""), urlsplit(of(ServerSettings).base_url).netloc)
        is_ours = urlsplit(origin).netloc.lower() in [host.lower() for host in ours if host]
        said = "same-origin" if is_ours else "cross-site"
    if said not in (None, "same-origin", "none"):
        raise Forbidden("This came from another site; open our own page and act there.")


async def refuse_forged(request: Request, session_id: str) -> None:
    """Refuse a changing request that carries a cookie but not the token of its page.

    The browser's own word is asked first; then the token, in the header `X-CSRF-Token` or the form
    field `csrf_token`.

    Raises:
        Forbidden: with the next step.
    """
    refuse_foreign(request)
    given = request.headers.get(HEADER, "")
    if not given and request.headers.get("content-type", "").startswith(FORM_TYPES):
        field = (await request.form()).get(FIELD, "")
        given = field if isinstance(field, str) else ""
    if not hmac.compare_digest(given.encode(), csrf_token(session_id).encode()):
        raise Forbidden("The page is out of date; reload it and try again.", code="csrf")
