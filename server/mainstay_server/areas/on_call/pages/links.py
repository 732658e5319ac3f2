"""What is reached without signing in: the links of messages, and the calendars that others read."""

from typing import Annotated

from fastapi import Path
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.on_call.models import EscalationState
from mainstay_server.areas.on_call.service import escalating, feeds, links
from mainstay_server.contracts.alerts.severities import TONES
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import Origin, spoken_by
from mainstay_server.kernel.problems import Gone, NotFound
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.ui import render

BY_LINK = access.public("who has the signed link of a message was told of the alert by it")
BY_KEY = access.public("whoever has the private address of a calendar may read it")

MOST_SHOWN = 100

router = Router()

Token = Annotated[str, Path(max_length=links.LONGEST)]


@router.get(links.PREFIX + "/{token}", dependencies=[BY_LINK])
def show_link(request: Request, token: Token) -> Response:
    """A button, since programs that look into mails follow links, but press no buttons."""
    now = utc_now()
    links.refuse_guesses(token, address=_address(request), now=now)
    try:
        with reading() as session:
            linked = links.get_linked(session, token, now=now)
    except (Gone, NotFound) as refused:
        return _page(request, status_code=refused.status, refused=refused.detail)
    return _page(request, linked=linked, token=token)


@router.post(links.PREFIX + "/{token}", dependencies=[BY_LINK])
def acknowledge(request: Request, token: Token) -> Response:
    """The reader takes all that the link is about in hand, each as far as it is there to take.

    The link of a mail proves who its reader is, and works once.
    """
    now = utc_now()
    links.refuse_guesses(token, address=_address(request), now=now)
    try:
        with transaction() as session:
            linked = links.get_linked(session, token, locked=True, now=now)
            hand = linked.hand
            with spoken_by(
                Origin(
                    actor=linked.actor,
                    name=hand.name,
                    email=linked.email,
                    address=_address(request),
                    client=request.headers.get("user-agent", ""),
                )
            ):
                taken = {
                    each.id
                    for each in linked.escalations
                    if escalating.acknowledge(session, each, hand, now=now)
                }
            for notice in linked.notices:
                if notice.escalation_id in taken:
                    notice.link_used_at = now
    except (Gone, NotFound) as refused:
        return _page(request, status_code=refused.status, refused=refused.detail)
    return _page(request, linked=linked, taken=taken)


@router.get("/on-call/feeds/{key}.ics", dependencies=[BY_KEY])
def read_feed(
    request: Request, session: Session, key: Annotated[str, Path(max_length=100)]
) -> Response:
    """The shifts as a calendar (RFC 5545)."""
    return Response(
        feeds.written(session, key, address=_address(request), now=utc_now()),
        media_type="text/calendar",
        headers={"cache-control": "private, max-age=300", "x-robots-tag": "noindex"},
    )


def _page(request: Request, *, status_code: int = 200, **context: object) -> Response:
    answer = render(
        request,
        "on_call/link.html",
        status_code=status_code,
        **{
            "refused": "",
            "linked": None,
            "token": "",
            "taken": None,
            "STATES": EscalationState,
            "WAITING": links.WAITING,
            "TONES": TONES,
            "MOST_SHOWN": MOST_SHOWN,
            "now": utc_now(),
            **context,
        },
    )
    answer.headers["cache-control"] = "no-store"
    answer.headers["referrer-policy"] = "no-referrer"
    answer.headers["x-robots-tag"] = "noindex"
    return answer


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
