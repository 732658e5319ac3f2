"""The page of an escalation: its log, and the button that takes the alert in hand."""

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.on_call.service import escalating
from mainstay_server.areas.on_call.service.people import Hand
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.frame import redirect_with
from mainstay_server.tenancy.subjects import find_instance

from .frame import ESCALATIONS, Seen, Written, page_of

PER_PAGE = 50

router = Router()


@router.get(ESCALATIONS)
def show_escalations(request: Request, session: Session, caller: Seen) -> Response:
    """All of them, the newest first."""
    page = escalating.list_escalations(
        session,
        caller.organization_id,
        limit=PER_PAGE,
        cursor=request.query_params.get("cursor", ""),
    )
    return page_of(
        request,
        session,
        caller,
        "escalations",
        escalations=page.items,
        next_cursor=page.next_cursor,
    )


@router.get(ESCALATIONS + "/{escalation_id:id}")
def show_escalation(
    request: Request, session: Session, caller: Seen, escalation_id: str
) -> Response:
    """Every step that was taken, whom it told, who acknowledged, and how it ended."""
    found = escalating.get_escalation(session, caller.organization_id, escalation_id)
    return page_of(
        request,
        session,
        caller,
        "escalation",
        escalation=found,
        steps=escalating.steps_of(found),
        instance=find_instance(session, found.instance_id),
        lines=escalating.list_lines(session, found)[::-1],
    )


@router.post(ESCALATIONS + "/{escalation_id:id}/acknowledge")
def acknowledge(session: Session, caller: Written, escalation_id: str) -> Response:
    """Take the alert in hand."""
    found = escalating.get_escalation(session, caller.organization_id, escalation_id)
    hand = Hand(person_id=caller.person_id, name=caller.person_name, how="on its page")
    path = f"{ESCALATIONS}/{escalation_id}"
    if not escalating.acknowledge(session, found, hand, now=utc_now()):
        by = f" by {found.acknowledged_by}" if found.acknowledged_by else ""
        return redirect_with(path, f"It is {found.state}{by} already.", "info")
    return redirect_with(path, "It is yours; nobody else is woken.")
