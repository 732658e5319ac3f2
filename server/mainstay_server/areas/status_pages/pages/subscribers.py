"""Who is told of what is said on a page, and the badges that others may show."""

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.status_pages.models import StatusPage
from mainstay_server.areas.status_pages.service import addresses, pages, subscribers
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.mailing import why_no_mail
from mainstay_server.kernel.web import Router

from .frame import ONE, Administered, Viewed, act, show

router = Router(include_in_schema=False)
PER_PAGE = 100
LONGEST_ID = 36


@router.get(f"{ONE}/subscribers")
def show_subscribers(request: Request, session: Session, page_id: Administered) -> Response:
    """The subscribers in the order they came, with masked addresses."""
    page = pages.get_page(session, page_id)
    after = request.query_params.get("after", "")[:LONGEST_ID]
    found = subscribers.list_subscribers(session, page.id, limit=PER_PAGE + 1, after=after)
    return show(
        request,
        session,
        page,
        "subscribers",
        now=utc_now(),
        subscribers=[(each, subscribers.shown(each)) for each in found[:PER_PAGE]],
        more=found[PER_PAGE - 1].id if len(found) > PER_PAGE else "",
        why_no_mail=why_no_mail(),
    )


@router.post(f"{ONE}/subscribers/{{subscriber_id:id}}/remove")
def remove_subscriber(session: Session, page_id: Administered, subscriber_id: str) -> Response:
    """End somebody's subscription."""

    def do(page: StatusPage) -> None:
        subscribers.remove_subscriber(session, page, subscriber_id, now=utc_now())

    return act(session, page_id, do, tab="subscribers", done="They are told nothing more.")


@router.get(f"{ONE}/badges")
def show_badges(request: Request, session: Session, page_id: Viewed) -> Response:
    """The badges of the page and of its components, with the lines to copy."""
    page = pages.get_page(session, page_id)
    return show(
        request,
        session,
        page,
        "badges",
        now=utc_now(),
        badges=addresses.badges_of(session, page),
    )


@router.post(f"{ONE}/badges/renew")
def renew_badges(session: Session, page_id: Administered) -> Response:
    """Give every badge another address."""
    return act(
        session,
        page_id,
        lambda page: pages.renew_badges(session, page, now=utc_now()),
        tab="badges",
        done="Every badge has another address now; the old ones answer 404.",
    )
