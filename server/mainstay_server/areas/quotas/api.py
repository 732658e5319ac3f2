"""Plans and use over HTTP (REQUIREMENTS O4)."""

from typing import Annotated

from fastapi import Query
from sqlalchemy.orm import Session

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role

from .schemas import HistoryAnswer, PlanBody, PlansAnswer, UsageAnswer, UseAnswer, UseBody
from .service import plans, telling

router = Router()

OfOrganization = Annotated[Caller, access.organization(Role.VIEWER)]
Viewed = Annotated[InstanceRef, access.instance(Role.VIEWER)]
Written = Annotated[InstanceRef, access.instance(Role.MEMBER)]
Administered = Annotated[InstanceRef, access.instance(Role.ADMIN)]
Months = Annotated[int, Query(ge=1, le=36, description="How many months back.", examples=[12])]
Owner = Annotated[
    str, Query(max_length=200, description="An owner of API keys, else all.", examples=["acme"])
]


@router.get("/api/v1/usage", summary="What the organization used", operation_id="get_usage")
def get_usage(session: Session, caller: OfOrganization) -> UsageAnswer:
    """Each meter in the present period against the plan, with warnings from 80 percent on."""
    subject = plans.organization_subject(session, caller.organization_id)
    return telling.usage_of(session, subject, now=utc_now())


@router.get(
    "/api/v1/usage/history",
    summary="What the organization used month by month",
    operation_id="get_usage_history",
)
def get_history(session: Session, caller: OfOrganization, months: Months = 12) -> HistoryAnswer:
    """The months in which anything was used, newest first."""
    subject = plans.organization_subject(session, caller.organization_id)
    return telling.history_of(session, subject, months=months, now=utc_now())


@router.get("/api/v1/plans", summary="Plans and the present one", operation_id="list_plans")
def list_plans(session: Session, caller: OfOrganization) -> PlansAnswer:
    """All plans with their limits, the smallest first."""
    current = plans.organization_subject(session, caller.organization_id).plan
    return PlansAnswer(plans=telling.list_plans(), current=current)


@router.put("/api/v1/plan", summary="Put the organization on a plan", operation_id="change_plan")
def change_plan(
    session: Session,
    caller: Annotated[Caller, access.organization(Role.OWNER)],
    body: PlanBody,
) -> UsageAnswer:
    """Change the plan or the time zone of its months; what was used stays used."""
    now = utc_now()
    plans.change_plan(
        session, caller.organization_id, plan=body.plan, time_zone=body.time_zone, now=now
    )
    subject = plans.organization_subject(session, caller.organization_id)
    return telling.usage_of(session, subject, now=now)


@router.get(
    "/api/instances/{instance_id}/usage",
    summary="What an owner of API keys used",
    operation_id="get_instance_usage",
)
def get_instance_usage(session: Session, instance: Viewed, owner: Owner = "") -> UsageAnswer:
    """The present period of one owner of the project's keys, or of the organization."""
    now = utc_now()
    return telling.usage_of(session, telling.subject_of(session, instance, owner, now=now), now=now)


@router.post(
    "/api/instances/{instance_id}/usage",
    summary="Use some of a meter",
    operation_id="use_meter",
)
def use_meter(session: Session, instance: Written, body: UseBody) -> UseAnswer:
    """Count a named operation of the app; 429 `quota-exceeded` at a hard limit."""
    left, counted = telling.use_once(session, instance, body, now=utc_now())
    return UseAnswer(
        meter=body.meter,
        counted=counted,
        used=left.used,
        limit=left.limit,
        remaining=left.left,
        resets_at=left.resets_at,
    )


@router.put(
    "/api/instances/{instance_id}/owners/{owner}/plan",
    summary="Put an owner of API keys on a plan",
    operation_id="change_owner_plan",
)
def change_owner_plan(
    session: Session, instance: Administered, owner: str, body: PlanBody
) -> UsageAnswer:
    """Change the plan or time zone of one owner of the project's keys."""
    now = utc_now()
    name = owner[:200]
    plans.change_plan(
        session,
        instance.organization_id,
        project_id=instance.project_id,
        owner=name,
        plan=body.plan,
        time_zone=body.time_zone,
        now=now,
    )
    return telling.usage_of(session, telling.subject_of(session, instance, name, now=now), now=now)
