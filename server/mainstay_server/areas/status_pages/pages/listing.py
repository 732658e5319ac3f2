"""The status pages of an organization, and making one."""

from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import Form
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.status_pages.models import StatusComponent, StatusReport
from mainstay_server.areas.status_pages.schemas.bodies import NewStatusPage
from mainstay_server.areas.status_pages.service import pages, reading
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.frame import organization_frame, project_frame, redirect_with
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import render

from .frame import PATH, made

router = Router(include_in_schema=False)

Viewer = Annotated[Caller, access.organization(Role.VIEWER, about="project")]
Member = Annotated[Caller, access.organization(Role.MEMBER, about="project")]
OfProject = Annotated[ProjectRef, access.project(Role.VIEWER)]
LONGEST_SEARCH = 100


@router.get(PATH)
def show_pages(request: Request, session: Session, caller: Viewer, q: str = "") -> Response:
    """All status pages of the organization."""
    frame = organization_frame(request, page="status-pages", now=utc_now())
    return _listed(request, session, caller.organization_id, q, "organization", frame)


@router.get("/dashboard/projects/{slug}/status-pages")
def show_pages_in_project(
    request: Request, session: Session, project: OfProject, q: str = ""
) -> Response:
    """The same within a project, where people look for them."""
    frame = project_frame(request, session, project, page="status-pages", now=utc_now())
    return _listed(request, session, project.organization_id, q, "project", frame)


@router.post(PATH)
def create(
    session: Session,
    caller: Member,
    name: Annotated[str, Form(max_length=200)] = "",
    slug: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Make a page and go there."""
    try:
        wanted = made(NewStatusPage, name=name, slug=slug or None)
        with session.begin_nested():
            page = pages.create_page(
                session,
                caller.organization_id,
                name=wanted.name,
                slug=wanted.slug,
                description="",
                now=utc_now(),
            )
    except Problem as problem:
        return redirect_with(PATH, problem.detail, "critical")
    said = f"{page.name} is a draft. Add components, look at the preview, then publish it."
    return redirect_with(f"{PATH}/{page.id}", said)


def _listed(
    request: Request,
    session: Session,
    organization_id: str,
    search: str,
    layout: str,
    frame: dict[str, Any],
) -> Response:
    search = search[:LONGEST_SEARCH]
    found = pages.list_pages(session, organization_id, search=search)
    ids = [page.id for page in found]
    return render(
        request,
        f"status_pages/list_in_{layout}.html",
        **frame,
        status_pages=found,
        search=search,
        urls={page.id: reading.page_url(page) for page in found},
        component_counts=_counts(session, StatusComponent, ids),
        open_counts=_counts(session, StatusReport, ids, StatusReport.resolved_at.is_(None)),
        create_path=PATH,
        list_path=request.url.path,
    )


def _counts(
    session: Session,
    kind: type[StatusComponent] | type[StatusReport],
    page_ids: list[str],
    *conditions: sa.ColumnElement[bool],
) -> dict[str, int]:
    rows = session.execute(
        sa.select(kind.page_id, sa.func.count())
        .where(kind.page_id.in_(page_ids), *conditions)
        .group_by(kind.page_id)
    )
    return {page_id: count for page_id, count in rows}  # noqa: C416 - rows are not pairs to mypy
