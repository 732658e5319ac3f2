"""Instances: where projects run, and how each place is asked."""

from typing import Annotated

from fastapi import Query
from sqlalchemy.orm import Session

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, decode_cursor, page_of
from mainstay_server.kernel.problems import NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.kernel.web.pagination import Cursor, Limit
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.service import instances
from mainstay_server.tenancy.service.folding import summaries_of
from mainstay_server.tenancy.service.instances import Asking
from mainstay_server.tenancy.subjects import find_project, instances_of_organization

from . import schemas

router = Router()

Viewed = Annotated[InstanceRef, access.instance(Role.VIEWER)]
Viewer = Annotated[Caller, access.organization(Role.VIEWER, about="project")]


@router.get("/api/instances", summary="List instances")
def list_instances(
    session: Session,
    caller: Viewer,
    project: Annotated[str, Query(max_length=60, description="A project's slug.")] = "",
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> schemas.InstancesAnswer:
    """The organization's instances by project and environment."""
    after = decode_cursor(cursor, parts=2) or ["", ""]
    found = instances.list_instances(
        session,
        caller.organization_id,
        project=project,
        after=(str(after[0]), str(after[1])),
        limit=limit + 1,
    )
    page = page_of(found, limit=limit, key=lambda row: (row[1], row[0].environment))
    return schemas.InstancesAnswer(
        instances=[schemas.instance_answer(instance, slug) for instance, slug in page.items],
        next_cursor=page.next_cursor,
    )


@router.post("/api/instances", summary="Make an instance", status_code=201)
def create_instance(
    session: Session,
    caller: Annotated[Caller, access.organization(Role.MEMBER, about="project")],
    body: schemas.InstanceBody,
) -> schemas.InstanceAnswer:
    """Make an instance by hand; data that names a new environment makes one by itself."""
    project = find_project(session, body.project)
    if project is None or project.organization_id != caller.organization_id:
        raise NotFound(f"There is no project {body.project[:60]!r}; /api/projects lists yours.")
    made = instances.create_instance(
        session, project.id, body.environment, _asking(body), now=utc_now()
    )
    return schemas.instance_answer(made, project.slug)


@router.get("/api/instances/{instance_id}", summary="Show an instance")
def get_instance(session: Session, instance: Viewed) -> schemas.InstanceAnswer:
    """Where an instance runs and how it is asked."""
    found = instances.get_instance(session, instance.id)
    return schemas.instance_answer(found, instance.project_slug)


@router.patch("/api/instances/{instance_id}", summary="Change an instance")
def change_instance(
    session: Session,
    instance: Annotated[InstanceRef, access.instance(Role.MEMBER)],
    body: schemas.InstanceChange,
) -> schemas.InstanceAnswer:
    """Say where an instance runs and how it is asked; what is left out stays as it is."""
    changed = instances.change_instance(session, instance.id, _asking(body), now=utc_now())
    return schemas.instance_answer(changed, instance.project_slug)


@router.delete("/api/instances/{instance_id}", summary="Delete an instance", status_code=204)
def delete_instance(
    session: Session, instance: Annotated[InstanceRef, access.instance(Role.ADMIN)]
) -> None:
    """Remove an instance; a project keeps at least one."""
    instances.delete_instance(session, instance.id, now=utc_now())


@router.get(
    "/api/instances/{instance_id}/summary",
    summary="How an instance is",
    operation_id="get_instance_summary",
)
def get_summary(session: Session, instance: Viewed) -> schemas.SummaryAnswer:
    """What every area has to say about an instance: alerts, health, requests of the last day."""
    parts = summaries_of(session, [instance.id], now=utc_now())
    return schemas.instance_summary(instance, parts[instance.id])


@router.get("/api/summaries", summary="How all instances are")
def list_summaries(
    session: Session, caller: Viewer, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> schemas.SummariesAnswer:
    """The summaries of the organization's instances, by project and environment."""
    after = decode_cursor(cursor, parts=2) or ["", ""]
    found = instances_of_organization(
        session,
        caller.organization_id,
        after=(str(after[0]), str(after[1])),
        limit=limit + 1,
    )
    page = page_of(found, limit=limit, key=lambda one: (one.project_slug, one.environment))
    parts = summaries_of(session, [instance.id for instance in page.items], now=utc_now())
    return schemas.SummariesAnswer(
        summaries=[
            schemas.instance_summary(instance, parts[instance.id]) for instance in page.items
        ],
        next_cursor=page.next_cursor,
    )


def _asking(body: schemas.InstanceBody | schemas.InstanceChange) -> Asking:
    return Asking(
        url=body.url,
        health_path=body.health_path,
        interval_seconds=body.interval_seconds,
        timeout_seconds=body.timeout_seconds,
        degraded_after_ms=body.degraded_after_ms,
    )
