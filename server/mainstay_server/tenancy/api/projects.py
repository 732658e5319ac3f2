"""Projects: the applications that Mainstay looks after."""

from typing import Annotated

from fastapi import Query, Request
from sqlalchemy.orm import Session

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, decode_cursor, page_of
from mainstay_server.kernel.web import Router
from mainstay_server.kernel.web.pagination import Cursor, Limit
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.service import projects
from mainstay_server.tenancy.subjects import ProjectRef

from . import schemas

router = Router()


@router.post("/api/projects", summary="Make a project", status_code=201)
def create_project(
    request: Request,
    session: Session,
    caller: Annotated[Caller, access.organization(Role.MEMBER, about="project")],
    body: schemas.ProjectBody,
) -> schemas.ProjectAnswer:
    """Make a project with a `production` instance and an ingest key.

    Without a slug one is derived from the name; a slug that is asked for and taken is a conflict.
    """
    project = projects.create_project(
        session, caller.organization_id, name=body.name, slug=body.slug, now=utc_now()
    )
    return schemas.project_answer(projects.view_project(session, project), base_url(request))


@router.get("/api/projects", summary="List projects")
def list_projects(
    request: Request,
    session: Session,
    caller: Annotated[Caller, access.organization(Role.VIEWER, about="project")],
    search: Annotated[str, Query(max_length=100, description="Part of a name or slug.")] = "",
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> schemas.ProjectsAnswer:
    """The organization's projects by slug."""
    after = decode_cursor(cursor, parts=1)
    found = projects.list_projects(
        session,
        caller.organization_id,
        search=search,
        after=str(after[0]) if after else "",
        limit=limit + 1,
    )
    page = page_of(found, limit=limit, key=lambda view: (view.project.slug,))
    base = base_url(request)
    return schemas.ProjectsAnswer(
        projects=[schemas.project_answer(view, base) for view in page.items],
        next_cursor=page.next_cursor,
    )


@router.get("/api/projects/{slug}", summary="Show a project")
def get_project(
    request: Request,
    session: Session,
    project: Annotated[ProjectRef, access.project(Role.VIEWER)],
) -> schemas.ProjectAnswer:
    """A project by its slug or id, with its instances and DSN."""
    return schemas.project_answer(projects.view_project(session, project), base_url(request))


@router.patch("/api/projects/{slug}", summary="Rename a project")
def rename_project(
    request: Request,
    session: Session,
    project: Annotated[ProjectRef, access.project(Role.MEMBER)],
    body: schemas.ProjectChange,
) -> schemas.ProjectAnswer:
    """Give a project another name; its slug, number and keys stay."""
    renamed = projects.rename_project(session, project, name=body.name, now=utc_now())
    return schemas.project_answer(projects.view_project(session, renamed), base_url(request))


@router.delete("/api/projects/{slug}", summary="Delete a project", status_code=204)
def delete_project(
    session: Session,
    project: Annotated[ProjectRef, access.project(Role.OWNER)],
    confirm: Annotated[str, Query(description="The project's slug.", examples=["ships"])] = "",
) -> None:
    """Delete a project with its instances and keys for good; repeat its slug in `confirm`."""
    projects.delete_project(session, project, confirm=confirm, now=utc_now())
