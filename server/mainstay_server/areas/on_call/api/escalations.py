"""The API of escalations: what goes on, what happened, and taking an alert in hand."""

from typing import Annotated, Literal

from fastapi import Path, Query
from sqlalchemy.orm import Session

from mainstay_server.areas.on_call.models import Escalation
from mainstay_server.areas.on_call.schemas.escalations import (
    EscalationsAnswer,
    EscalationWithLog,
    LineAnswer,
)
from mainstay_server.areas.on_call.service import escalating
from mainstay_server.areas.on_call.service.people import Hand
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.problems import Conflict
from mainstay_server.kernel.web import Cursor, Limit, Router

from .frame import Seen, Written, escalation_answer

ESCALATIONS = "/api/escalations"
ESCALATION = ESCALATIONS + "/{escalation_id}"

router = Router()

EscalationId = Annotated[str, Path(description="The id of the escalation.", max_length=36)]


@router.get(ESCALATIONS, summary="List escalations")
def list_escalations(
    session: Session,
    caller: Seen,
    *,
    status: Annotated[
        Literal["open"] | None, Query(description="Those whose alert lasts. Default: all.")
    ] = None,
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> EscalationsAnswer:
    """Alerts on their way through the steps of a policy, the newest first."""
    page = escalating.list_escalations(
        session,
        caller.organization_id,
        only_open=status == "open",
        limit=limit,
        cursor=cursor,
    )
    return EscalationsAnswer(
        escalations=[escalation_answer(each) for each in page.items],
        next_cursor=page.next_cursor,
    )


@router.get(ESCALATION, summary="One escalation with its log")
def get_escalation(
    session: Session, caller: Seen, escalation_id: EscalationId
) -> EscalationWithLog:
    """Every step that was taken, whom it told, who acknowledged, and how it ended."""
    return _with_log(
        session, escalating.get_escalation(session, caller.organization_id, escalation_id)
    )


@router.post(ESCALATION + "/acknowledge", summary="Acknowledge an escalation")
def acknowledge_escalation(
    session: Session, caller: Written, escalation_id: EscalationId
) -> EscalationWithLog:
    """Take the alert in hand, so that nobody else is woken; 409 when that came too late."""
    found = escalating.get_escalation(session, caller.organization_id, escalation_id)
    hand = Hand(person_id=caller.person_id, name=caller.person_name, how="by the API")
    if not escalating.acknowledge(session, found, hand, now=utc_now()):
        by = f" by {found.acknowledged_by}" if found.acknowledged_by else ""
        raise Conflict(f"It is {found.state}{by}; there is nothing to acknowledge.")
    return _with_log(session, found)


def _with_log(session: Session, found: Escalation) -> EscalationWithLog:
    return EscalationWithLog(
        **escalation_answer(found).model_dump(),
        log=[
            LineAnswer(at=line.at, text=line.text) for line in escalating.list_lines(session, found)
        ],
    )
