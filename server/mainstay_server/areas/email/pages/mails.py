"""What a project sent and what became of it, and one mail as its reader sees it."""

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from mainstay_server.areas.email.models import Email, EmailState
from mainstay_server.areas.email.service import listing, secrecy
from mainstay_server.areas.email.service.listing import WEEK, EmailFilter
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import NotFound
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.subjects import ProjectRef

from .frame import IN_A_FRAME, PER_PAGE, PREFIX, Viewed, page_of

router = Router()


@router.get(PREFIX)
def show_mails(request: Request, session: Session, project: Viewed) -> Response:
    """What was sent, newest first, with what did not get through on top."""
    asked = request.query_params
    chosen = EmailFilter(
        state=next((state for state in EmailState if state == asked.get("state")), None),
        text=asked.get("q", "")[:200],
        project_id=project.id,
    )
    page = listing.list_emails(
        session,
        project.organization_id,
        chosen,
        limit=PER_PAGE,
        cursor=asked.get("cursor", ""),
    )
    return page_of(
        request,
        session,
        project,
        "list",
        emails=page.items,
        next_cursor=page.next_cursor,
        chosen=chosen,
        health=listing.health_of(session, project.id, since=utc_now() - WEEK),
        server=base_url(request),
    )


@router.get(PREFIX + "/{email_id:id}")
def show_mail(request: Request, session: Session, project: Viewed, email_id: str) -> Response:
    """One mail: what became of it, and how its reader sees it."""
    email = _mail_of(session, project, email_id)
    html, text = secrecy.shown_html(email), secrecy.shown_text(email)
    return page_of(request, session, project, "one", email=email, html=html, text=text)


@router.get(PREFIX + "/{email_id:id}/html")
def show_html(session: Session, project: Viewed, email_id: str) -> Response:
    """The HTML of one mail, for a frame."""
    html = secrecy.shown_html(_mail_of(session, project, email_id))
    return HTMLResponse(html, headers=IN_A_FRAME)


def _mail_of(session: Session, project: ProjectRef, email_id: str) -> Email:
    email = listing.get_email(session, project.organization_id, email_id)
    if email.project_id != project.id:
        raise NotFound("There is no such mail; go back to the list.")
    return email
