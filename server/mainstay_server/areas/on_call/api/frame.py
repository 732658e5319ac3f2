"""What the API of on call shares: who may, and how rows are told."""

from typing import Annotated

from mainstay_server.areas.on_call.models import (
    Escalation,
    EscalationPolicy,
    EscalationState,
    OnCallOverride,
)
from mainstay_server.areas.on_call.schemas.escalations import EscalationAnswer
from mainstay_server.areas.on_call.schemas.policies import PolicyAnswer, StepBody
from mainstay_server.areas.on_call.schemas.schedules import OverrideAnswer, ShiftAnswer
from mainstay_server.areas.on_call.service.people import Member, name_of
from mainstay_server.areas.on_call.service.rotations import Shift
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role

Seen = Annotated[Caller, access.organization(Role.VIEWER, about="project")]
Written = Annotated[Caller, access.organization(Role.MEMBER, about="project")]


def shift_answer(shift: Shift, members: dict[str, Member]) -> ShiftAnswer:
    """One shift; without a person it is a gap."""
    return ShiftAnswer(
        person_id=shift.person_id or None,
        name=name_of(members, shift.person_id),
        starts_at=shift.started_at,
        ends_at=shift.ended_at,
        source=shift.source,
    )


def override_answer(row: OnCallOverride) -> OverrideAnswer:
    """One override."""
    return OverrideAnswer(
        id=row.id,
        person_id=row.person_id,
        starts_at=row.started_at,
        ends_at=row.ended_at,
        created_at=row.created_at,
    )


def policy_answer(row: EscalationPolicy) -> PolicyAnswer:
    """One policy."""
    return PolicyAnswer(
        id=row.id,
        name=row.name,
        project_id=row.project_id,
        instance_id=row.instance_id,
        enabled=row.enabled,
        minimum_severity=row.minimum_severity,
        steps=[StepBody.model_validate(each) for each in row.steps],
        repeat=row.repeat,
        acknowledge_timeout_minutes=row.acknowledge_timeout_minutes,
        created_at=row.created_at,
    )


def escalation_answer(row: Escalation) -> EscalationAnswer:
    """One escalation, without its log."""
    return EscalationAnswer(
        id=row.id,
        alert_id=row.alert_id,
        project_id=row.project_id,
        instance_id=row.instance_id,
        title=row.title,
        severity=row.severity,
        policy=row.policy_name,
        state=EscalationState(row.state).value,
        round=row.round,
        step=row.position + 1,
        due_at=row.due_at,
        opened_at=row.opened_at,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by,
        ended_at=row.ended_at,
    )
