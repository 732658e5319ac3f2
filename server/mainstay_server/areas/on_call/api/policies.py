"""The API of escalation policies."""

from typing import Annotated

from fastapi import Path
from sqlalchemy.orm import Session

from mainstay_server.areas.on_call.schemas.policies import (
    PoliciesAnswer,
    PolicyAnswer,
    PolicyBody,
    PolicyChanges,
)
from mainstay_server.areas.on_call.service import policies
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.web import Cursor, Limit, Router

from .frame import Seen, Written, policy_answer

POLICIES = "/api/escalation-policies"
POLICY = POLICIES + "/{policy_id}"

router = Router()

PolicyId = Annotated[str, Path(description="The id of the policy.", max_length=36)]


@router.get(POLICIES, summary="List escalation policies")
def list_policies(
    session: Session, caller: Seen, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> PoliciesAnswer:
    """The policies of the organization by name."""
    page = policies.list_policies(session, caller.organization_id, limit=limit, cursor=cursor)
    return PoliciesAnswer(
        policies=[policy_answer(each) for each in page.items], next_cursor=page.next_cursor
    )


@router.post(POLICIES, summary="Make an escalation policy", status_code=201)
def make_policy(session: Session, caller: Written, body: PolicyBody) -> PolicyAnswer:
    """Say what happens of an alert until somebody acknowledges it.

    The nearest policy holds whose least severity the alert reaches: of its instance, then of its
    project, then of the organization.
    """
    made = policies.make_policy(session, caller.organization_id, body.model_dump(), now=utc_now())
    return policy_answer(made)


@router.get(POLICY, summary="One escalation policy", operation_id="get_escalation_policy")
def get_policy(session: Session, caller: Seen, policy_id: PolicyId) -> PolicyAnswer:
    """A policy with its steps."""
    return policy_answer(policies.get_policy(session, caller.organization_id, policy_id))


@router.patch(POLICY, summary="Change an escalation policy")
def change_policy(
    session: Session, caller: Written, policy_id: PolicyId, changes: PolicyChanges
) -> PolicyAnswer:
    """Change it for alerts that open from now on; what goes on goes on as it began."""
    found = policies.get_policy(session, caller.organization_id, policy_id)
    given = changes.model_dump(exclude_none=True)
    return policy_answer(policies.change_policy(session, found, given, now=utc_now()))


@router.delete(POLICY, summary="Remove an escalation policy", status_code=204)
def remove_policy(session: Session, caller: Written, policy_id: PolicyId) -> None:
    """Escalate no further alert by it."""
    found = policies.get_policy(session, caller.organization_id, policy_id)
    policies.remove_policy(session, found, now=utc_now())
