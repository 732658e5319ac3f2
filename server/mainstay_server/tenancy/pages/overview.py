"""The overview of all projects, a new project, and its first steps."""

from typing import Annotated

from fastapi import Query
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import decode_cursor, page_of
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url, dsn
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.frame import organization_frame, project_frame
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.seen import has_sent
from mainstay_server.tenancy.service import projects, sessions
from mainstay_server.tenancy.service.folding import tiles_of
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import fragment, render

from .forms import Text, faults

router = Router()

PROJECTS_PER_PAGE = 25

Viewer = Annotated[Caller, access.organization(Role.VIEWER)]
Member = Annotated[Caller, access.organization(Role.MEMBER)]
ViewedProject = Annotated[ProjectRef, access.project(Role.VIEWER)]


@router.get("/dashboard")
def show_overview(
    request: Request,
    session: Session,
    caller: Viewer,
    q: Annotated[str, Query(max_length=100)] = "",
    cursor: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Every project with its instances, and what each area says about them in one figure."""
    now = utc_now()
    after = decode_cursor(cursor, parts=1)
    found = projects.list_projects(
        session,
        caller.organization_id,
        search=q,
        after=str(after[0]) if after else "",
        limit=PROJECTS_PER_PAGE + 1,
    )
    page = page_of(found, limit=PROJECTS_PER_PAGE, key=lambda view: (view.project.slug,))
    ids = [instance.id for view in page.items for instance in view.instances]
    return render(
        request,
        "tenancy/overview.html",
        **organization_frame(request, page="", now=now),
        organizations=sessions.list_organizations(session, caller),
        projects=page.items,
        next_cursor=page.next_cursor,
        tiles=tiles_of(session, ids, now=now),
        query=q,
        base=base_url(request),
    )


@router.get("/dashboard/new-project", dependencies=[access.organization(Role.MEMBER)])
def show_new_project(request: Request) -> Response:
    """The form of a new project."""
    return _new_project_page(request)


@router.post("/dashboard/new-project")
def create_project(
    request: Request, session: Session, caller: Member, name: Text = "", slug: Text = ""
) -> Response:
    """Make a project and lead to its first steps."""
    try:
        with session.begin_nested():
            made = projects.create_project(
                session, caller.organization_id, name=name, slug=slug or None, now=utc_now()
            )
    except Problem as problem:
        return _new_project_page(request, name=name, slug=slug, problem=problem)
    return RedirectResponse(f"/dashboard/projects/{made.slug}/start", status_code=303)


@router.get("/dashboard/projects/{slug}/start")
def show_start(request: Request, session: Session, project: ViewedProject) -> Response:
    """Exact lines that make this project's first event arrive, and whether it has."""
    view = projects.view_project(session, project)
    base = base_url(request)
    return render(
        request,
        "tenancy/start.html",
        **project_frame(request, session, project, page="start", now=utc_now()),
        dsn=dsn(base, view.ingest_key, project.number),
        base=base,
        arrived=has_sent(project.id),
    )


@router.get("/dashboard/projects/{slug}/start/arrived")
def show_arrived(request: Request, project: ViewedProject) -> Response:
    """The live part of the first steps: waiting, or the way on."""
    inside = fragment(
        request, "tenancy/arrived.html", project=project, arrived=has_sent(project.id)
    )
    return Response(str(inside), media_type="text/html")


def _new_project_page(
    request: Request, *, name: str = "", slug: str = "", problem: Problem | None = None
) -> Response:
    return render(
        request,
        "tenancy/new_project.html",
        status_code=problem.status if problem else 200,
        **organization_frame(request, page="", now=utc_now()),
        name=name,
        slug=slug,
        errors=faults(problem) if problem else {},
        error=problem.detail if problem and not problem.errors else "",
    )
