"""Escalation policies: making and changing them, and which one holds for an alert."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.on_call.models import EscalationPolicy
from mainstay_server.areas.on_call.schemas.policies import StepBody
from mainstay_server.contracts.alerts.severities import Severity, find_severity
from mainstay_server.contracts.on_call import (
    EscalationPolicyChanged,
    EscalationPolicyCreated,
    EscalationPolicyRemoved,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, Page, decode_cursor, page_of
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.tenancy.models import Organization, Project
from mainstay_server.tenancy.subjects import find_instance

from .channels import find_channel
from .people import refuse_strangers
from .schedules import get_schedule

MOST_POLICIES = 100
FACTS = (
    "name",
    "enabled",
    "minimum_severity",
    "steps",
    "repeat",
    "acknowledge_timeout_minutes",
)


def make_policy(
    session: Session, organization_id: str, wanted: Mapping[str, Any], *, now: datetime
) -> EscalationPolicy:
    """Make a policy for an instance, a project, or the whole organization.

    Raises:
        Invalid: what it is for, or somebody in a step, is not of the organization.
        Conflict: the organization has as many as it may.
    """
    session.get_one(Organization, organization_id, with_for_update=True)  # or two go in at once
    counted = sa.select(sa.func.count()).where(EscalationPolicy.organization_id == organization_id)
    if (session.scalar(counted) or 0) >= MOST_POLICIES:
        raise Conflict(f"The organization has {MOST_POLICIES} policies; remove one.")
    project_id, instance_id = _reach_of(session, organization_id, wanted)
    policy = EscalationPolicy(
        id=new_id(),
        organization_id=organization_id,
        project_id=project_id,
        instance_id=instance_id,
        created_at=now,
    )
    _set(session, policy, wanted)
    session.add(policy)
    session.flush()
    changes = changes_between({}, facts_of(policy, FACTS))
    say(session, EscalationPolicyCreated(**_names(policy), changes=changes), now=now)
    return policy


def change_policy(
    session: Session, policy: EscalationPolicy, wanted: Mapping[str, Any], *, now: datetime
) -> EscalationPolicy:
    """Change what is given; alerts that are being escalated go on as they began."""
    before = facts_of(policy, FACTS)
    _set(session, policy, wanted)
    session.flush()
    changes = changes_between(before, facts_of(policy, FACTS))
    if changes:
        say(session, EscalationPolicyChanged(**_names(policy), changes=changes), now=now)
    return policy


def remove_policy(session: Session, policy: EscalationPolicy, *, now: datetime) -> None:
    """Escalate no further alert by it."""
    changes = changes_between(facts_of(policy, FACTS), {})
    say(session, EscalationPolicyRemoved(**_names(policy), changes=changes), now=now)
    session.delete(policy)


def get_policy(session: Session, organization_id: str, policy_id: str) -> EscalationPolicy:
    """One policy of an organization. Raises `NotFound`."""
    found = session.get(EscalationPolicy, policy_id)
    if found is None or found.organization_id != organization_id:
        raise NotFound("There is no such policy; GET /api/escalation-policies lists yours.")
    return found


def list_policies(
    session: Session, organization_id: str, *, limit: int = DEFAULT_PER_PAGE, cursor: str = ""
) -> Page[EscalationPolicy]:
    """The policies of an organization by name."""
    order = (EscalationPolicy.name, EscalationPolicy.id)
    statement = sa.select(EscalationPolicy).where(
        EscalationPolicy.organization_id == organization_id
    )
    after = decode_cursor(cursor, parts=len(order))
    if after is not None:
        statement = statement.where(sa.tuple_(*order) > tuple(map(str, after)))
    found = session.scalars(statement.order_by(*order).limit(limit + 1)).all()
    return page_of(found, limit=limit, key=lambda each: (each.name, each.id))


def policies_of_project(session: Session, project_id: str) -> Sequence[EscalationPolicy]:
    """The policies of a project and of its instances, in one order; at most 100."""
    return session.scalars(
        sa.select(EscalationPolicy)
        .where(EscalationPolicy.project_id == project_id)
        .order_by(EscalationPolicy.instance_id, EscalationPolicy.id)
        .limit(MOST_POLICIES)
    ).all()


def schedules_told_elsewhere(
    session: Session, organization_id: str, project_id: str
) -> frozenset[str]:
    """The ids of schedules that steps tell for other projects than one, or for all of them."""
    others = sa.or_(
        EscalationPolicy.project_id.is_(None), EscalationPolicy.project_id != project_id
    )
    found = session.scalars(
        sa.select(EscalationPolicy.steps).where(
            EscalationPolicy.organization_id == organization_id, others
        )
    )
    return frozenset(
        step.target
        for steps in found
        for step in map(StepBody.model_validate, steps)
        if step.kind == "schedule"
    )


def find_policy_for(
    session: Session, organization_id: str, project_id: str, instance_id: str, *, severity: str
) -> EscalationPolicy | None:
    """The policy that holds for an alert of a severity: the nearest whose least it reaches.

    That of its instance before that of its project, and that before the organization's; of two
    alike, the one that asks for the higher severity, then the one that was made first.
    """
    found = session.scalars(
        sa.select(EscalationPolicy).where(
            EscalationPolicy.organization_id == organization_id,
            EscalationPolicy.enabled,
            sa.or_(
                EscalationPolicy.project_id.is_(None), EscalationPolicy.project_id == project_id
            ),
            sa.or_(
                EscalationPolicy.instance_id.is_(None), EscalationPolicy.instance_id == instance_id
            ),
        )
    ).all()
    reached = [each for each in found if _rank(each.minimum_severity) <= _rank(severity)]
    return min(
        reached,
        key=lambda each: (
            each.instance_id is None,
            each.project_id is None,
            -_rank(each.minimum_severity),
            each.id,
        ),
        default=None,
    )


def _rank(severity: str) -> int:
    """How much a severity weighs; a word that is not known most, so that nobody sleeps through."""
    return (find_severity(severity) or Severity.CRITICAL).rank


def _reach_of(
    session: Session, organization_id: str, wanted: Mapping[str, Any]
) -> tuple[str | None, str | None]:
    project_id, instance_id = wanted.get("project_id") or None, wanted.get("instance_id") or None
    if instance_id:
        instance = find_instance(session, instance_id)
        if instance is None or instance.organization_id != organization_id:
            raise Invalid("instanceId names no instance of yours; GET /api/instances lists them.")
        if project_id not in (None, instance.project_id):
            raise Invalid("instanceId names an instance of another project than projectId.")
        return instance.project_id, instance_id
    if project_id:
        project = session.get(Project, project_id)
        if project is None or project.organization_id != organization_id:
            raise Invalid("projectId names no project of yours; GET /api/projects lists them.")
    return project_id, None


def _set(session: Session, policy: EscalationPolicy, wanted: Mapping[str, Any]) -> None:
    for name in FACTS:
        if name in wanted and name != "steps":
            setattr(policy, name, wanted[name])
    policy.name = " ".join(policy.name.split())
    if not policy.name:
        raise Invalid("name must say something, such as Wake somebody.")
    if "steps" in wanted:
        steps = [StepBody.model_validate(each) for each in wanted["steps"]]
        for step in steps:
            _refuse_strange(session, policy.organization_id, step)
        policy.steps = [step.model_dump() for step in steps]


def _refuse_strange(session: Session, organization_id: str, step: StepBody) -> None:
    if step.kind == "person":
        refuse_strangers(session, organization_id, [step.person_id])
    elif step.kind == "schedule":
        try:
            get_schedule(session, organization_id, step.schedule_id)
        except NotFound as missing:
            raise Invalid(missing.detail) from None
    elif step.kind == "channel" and not find_channel(session, organization_id, step.channel_id):
        raise Invalid.of_field("steps", "channelId names no alert channel of yours that is on.")


def _names(policy: EscalationPolicy) -> dict[str, str]:
    return {
        "organization_id": policy.organization_id,
        "project_id": policy.project_id or "",
        "instance_id": policy.instance_id or "",
        "policy_id": policy.id,
        "name": policy.name,
    }
