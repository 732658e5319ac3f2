"""Addresses that are kept from mail, over HTTP."""

from typing import Annotated

from fastapi import Query
from sqlalchemy.orm import Session

from mainstay_server.areas.email.schemas.api import (
    SuppressionAnswer,
    SuppressionBody,
    SuppressionsAnswer,
)
from mainstay_server.areas.email.service import suppressing
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.web import Cursor, Limit, Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role

router = Router()

Viewer = Annotated[Caller, access.organization(Role.VIEWER, about="project")]
Member = Annotated[Caller, access.organization(Role.MEMBER, about="project")]


@router.get(
    "/api/email-suppressions",
    summary="List suppressed addresses",
    operation_id="list_email_suppressions",
)
def list_email_suppressions(
    session: Session,
    caller: Viewer,
    *,
    q: Annotated[str, Query(max_length=200, description="In the address.")] = "",
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> SuppressionsAnswer:
    """Addresses that get no mail, newest first, each with the reason."""
    page = suppressing.list_suppressions(
        session, caller.organization_id, text=q, limit=limit, cursor=cursor
    )
    return SuppressionsAnswer(
        suppressions=[SuppressionAnswer.model_validate(each) for each in page.items],
        next_cursor=page.next_cursor,
    )


@router.post(
    "/api/email-suppressions",
    summary="Suppress an address",
    operation_id="create_email_suppression",
    status_code=201,
)
def create_email_suppression(
    session: Session, caller: Member, body: SuppressionBody
) -> SuppressionAnswer:
    """Keep an address from all of the organization's mails."""
    made = suppressing.suppress_by_hand(
        session, caller.organization_id, body.address, note=body.note, now=utc_now()
    )
    return SuppressionAnswer.model_validate(made)


@router.delete(
    "/api/email-suppressions/{suppression_id}",
    summary="Lift a suppression",
    operation_id="remove_email_suppression",
    status_code=204,
)
def remove_email_suppression(session: Session, caller: Member, suppression_id: str) -> None:
    """Let an address have mail again, such as a mailbox that was mended."""
    suppressing.lift(session, caller.organization_id, suppression_id, now=utc_now())
