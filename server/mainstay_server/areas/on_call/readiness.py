"""What the scorecard asks of on call: would somebody be woken tonight?"""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.kernel.readiness import (
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Weight,
    readiness_check,
)
from mainstay_server.kernel.subjects import InstanceRef

from .models import EscalationPolicy, OnCallSchedule
from .schemas.policies import StepBody
from .service import policies
from .service.people import members_of
from .service.schedules import find_person_on_call

PAGE = "/dashboard/organization/on-call"


@readiness_check(
    "on_call.somebody_is_woken",
    "Is somebody on call who is woken when nobody reacts?",
    weight=Weight.SHOULD,
)
def somebody_is_woken(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Passes when a policy holds for critical alerts and reaches somebody at this moment."""
    if instance.environment != "production":
        return NotApplicable(reason="Nobody is woken for what is not production.")
    policy = policies.find_policy_for(
        session,
        instance.organization_id,
        instance.project_id,
        instance.id,
        severity="critical",
    )
    if policy is None:
        return Finding(
            problem="No escalation policy holds for production: who misses a message, misses it.",
            fix="Make an escalation policy that tells who is on call.",
            fix_url=PAGE,
        )
    reached = _reached(session, policy, now)
    if not reached:
        return Finding(
            problem=f"Nobody is on call for production: {policy.name} reaches nobody now.",
            fix="Close the gap in the schedule, or add a step that tells a person.",
            fix_url=PAGE,
        )
    return Passed(evidence=f"{policy.name} would tell {', '.join(reached[:3])}.")


def _reached(session: Session, policy: EscalationPolicy, now: datetime) -> list[str]:
    members = members_of(session, policy.organization_id)
    found: dict[str, None] = {}
    for step in (StepBody.model_validate(each) for each in policy.steps):
        person_id = step.person_id
        schedule = session.get(OnCallSchedule, step.schedule_id) if step.schedule_id else None
        if schedule is not None:
            person_id = find_person_on_call(session, schedule, at=now)
        if person_id in members:
            found[members[person_id].name] = None
    return list(found)
