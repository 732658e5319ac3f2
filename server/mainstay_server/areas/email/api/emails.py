"""Sending mail and seeing what became of it, over HTTP."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Header, Query
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from mainstay_server.areas.email.models import Email, EmailState
from mainstay_server.areas.email.schemas.api import (
    AcceptedAnswer,
    AcceptedEmail,
    EmailAnswer,
    EmailBody,
    EmailsAnswer,
    OneEmail,
    ResendEvent,
)
from mainstay_server.areas.email.service import listing, resend, secrecy, sending
from mainstay_server.areas.email.service.listing import EmailFilter
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.web import Cursor, Limit, Router
from mainstay_server.kernel.web.incoming import read_incoming
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role

router = Router()

MOST_EVENT_BYTES = 256 * 1024
BY_SIGNATURE = access.public("the webhook's signature is checked by the endpoint")
Viewer = Annotated[Caller, access.organization(Role.VIEWER, about="project")]
Member = Annotated[Caller, access.organization(Role.MEMBER, about="project")]
Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        max_length=sending.LONGEST_KEY,
        description="The same key within 24 hours sends nothing twice and answers as before.",
        examples=["order-1042-paid"],
    ),
]


@router.post("/api/emails", summary="Send mail", operation_id="send_email", status_code=202)
def send_email(caller: Member, body: EmailBody, idempotency_key: Key = "") -> AcceptedAnswer:
    """Store a mail for each address; 202 means stored, and that each is tried until it is decided.

    Whoever reads one sees no other address. An address that is kept from mail is told as
    `suppressed` at once.
    """
    with reading() as session:
        project = sending.chosen_project(session, caller.organization_id, body.project)
    emails = sending.accept(
        project,
        body,
        key=idempotency_key,
        made_by=caller.token_name or caller.person_name,
        now=utc_now(),
    )
    return _accepted(emails)


@router.get("/api/emails", summary="List mails", operation_id="list_emails")
def list_emails(  # noqa: PLR0913 - what can be chosen
    session: Session,
    caller: Viewer,
    *,
    state: Annotated[EmailState | None, Query(description="In this state.")] = None,
    project: Annotated[str, Query(max_length=60, description="Of this project.")] = "",
    q: Annotated[str, Query(max_length=200, description="In the address or subject.")] = "",
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> EmailsAnswer:
    """What was taken in, newest first, and what became of it."""
    organization_id = caller.organization_id
    project_id = None
    if project:
        project_id = sending.chosen_project(session, organization_id, project).id
    chosen = EmailFilter(state=state, text=q, project_id=project_id)
    page = listing.list_emails(session, organization_id, chosen, limit=limit, cursor=cursor)
    slugs = listing.slugs_of(session, organization_id)
    return EmailsAnswer(
        emails=[EmailAnswer(**_told(email, slugs[email.project_id])) for email in page.items],
        next_cursor=page.next_cursor,
    )


@router.get("/api/emails/{email_id}", summary="One mail", operation_id="get_email")
def get_email(session: Session, caller: Viewer, email_id: str) -> OneEmail:
    """One mail, with what it says as long as that is kept; of a password's reset never."""
    email = listing.get_email(session, caller.organization_id, email_id)
    slugs = listing.slugs_of(session, caller.organization_id)
    html, text = secrecy.shown_html(email), secrecy.shown_text(email)
    return OneEmail(**_told(email, slugs[email.project_id]), html=html, text=text)


@router.post(
    "/api/emails/webhooks/resend",
    summary="Be told of bounces",
    operation_id="receive_resend_event",
    dependencies=[BY_SIGNATURE],
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"type": "object"},
                    "example": {
                        "type": "email.bounced",
                        "data": {
                            "email_id": "56761188-7520-42d8-8898-ff6fc54ce618",
                            "to": ["gone@example.com"],
                            "bounce": {"type": "Permanent", "message": "550 5.1.1 no such user"},
                        },
                    },
                }
            },
        }
    },
)
async def receive_resend_event(request: Request) -> ResendEvent:
    """Take what Resend tells by webhook, signed by `MAINSTAY_RESEND_WEBHOOK_SECRET`.

    A permanent bounce and a complaint keep the address from further mail; the rest is ignored.
    """
    body = await read_incoming(request.scope, request.receive, most_bytes=MOST_EVENT_BYTES)
    return await run_in_threadpool(_record, body, dict(request.headers))


def _accepted(emails: Sequence[Email]) -> AcceptedAnswer:
    stored = [AcceptedEmail.model_validate(email) for email in emails]
    return AcceptedAnswer(id=stored[0].id, emails=stored)


def _record(body: bytes, headers: dict[str, str]) -> ResendEvent:
    with transaction() as session:
        recorded = resend.receive(session, body, headers, now=utc_now())
    return ResendEvent(outcome="recorded" if recorded else "ignored")


def _told(email: Email, slug: str) -> dict[str, object]:
    return {
        "id": email.id,
        "project": slug,
        "to": email.recipient,
        "subject": email.subject,
        "template": email.template,
        "kind": email.kind,
        "state": email.state,
        "reason": email.reason,
        "attempts": email.attempts,
        "made_by": email.made_by,
        "created_at": email.created_at,
        "sent_at": email.sent_at,
    }
