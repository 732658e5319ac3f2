"""Where readers end what they no longer want: a page with a button, and one click (RFC 8058)."""

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.email.service import looks, unsubscribing
from mainstay_server.areas.email.service.unsubscribing import Subscription
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.ui import render

router = Router()

PATH = "/email/unsubscribe/{token}"
BY_LINK = access.public("who has the signed link of a mail may end what it is one of")
NOT_FOUND = 404


@router.get(PATH, dependencies=[BY_LINK])
def show_unsubscribe(request: Request, session: Session, token: str) -> Response:
    """A button, since programs that look into mails follow links, but press no buttons."""
    return _page(request, session, unsubscribing.find_by_token(token), ended=False)


@router.post(PATH, dependencies=[BY_LINK])
def unsubscribe(request: Request, session: Session, token: str) -> Response:
    """End it: by the button of the page, or by a mailbox's one click. Again changes nothing."""
    subscription = unsubscribing.find_by_token(token)
    if subscription is not None:
        unsubscribing.unsubscribe(session, subscription, now=utc_now())
    return _page(request, session, subscription, ended=True)


def _page(
    request: Request, session: Session, subscription: Subscription | None, *, ended: bool
) -> Response:
    found = subscription is not None
    return render(
        request,
        "email/unsubscribe.html",
        status_code=200 if found else NOT_FOUND,
        subscription=subscription,
        sender=looks.brand_of(session, subscription.organization_id).name if subscription else "",
        ended=ended,
        action=request.url.path,
    )
