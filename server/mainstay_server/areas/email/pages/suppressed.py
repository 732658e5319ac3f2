"""Addresses that are kept from mail: the list, adding one by hand, letting one go."""

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.email.service import suppressing
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.frame import done_or_refused

from .frame import PER_PAGE, PREFIX, Text, Viewed, Written, page_of, url_of

router = Router()

SUPPRESSED = PREFIX + "/suppressed"


@router.get(SUPPRESSED)
def show_suppressed(request: Request, session: Session, project: Viewed) -> Response:
    """Who gets no mail of the organization, and why."""
    asked = request.query_params
    text = asked.get("q", "")[:200]
    page = suppressing.list_suppressions(
        session,
        project.organization_id,
        text=text,
        limit=PER_PAGE,
        cursor=asked.get("cursor", ""),
    )
    return page_of(
        request,
        session,
        project,
        "suppressed",
        found=page.items,
        next_cursor=page.next_cursor,
        text=text,
    )


@router.post(SUPPRESSED)
def suppress(session: Session, project: Written, address: Text = "", note: Text = "") -> Response:
    """Keep an address from mail."""
    return done_or_refused(
        session,
        lambda: suppressing.suppress_by_hand(
            session, project.organization_id, address, note=note[:500], now=utc_now()
        ),
        path=url_of(project, "/suppressed"),
        done=f"{address.strip()} gets no mail any more.",
    )


@router.post(SUPPRESSED + "/{suppression_id}/lift")
def lift(session: Session, project: Written, suppression_id: str) -> Response:
    """Let an address have mail again."""
    return done_or_refused(
        session,
        lambda: suppressing.lift(session, project.organization_id, suppression_id, now=utc_now()),
        path=url_of(project, "/suppressed"),
        done="The address gets mail again.",
    )
