"""A project's monitoring page: the panels that areas declare, each refreshing by itself."""

from datetime import datetime
from typing import Annotated

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mainstay_server.kernel.area import Panel, PanelRequest, installed
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import NotFound
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.frame import (
    chosen_hours,
    chosen_instance,
    may_administer,
    may_write,
    project_frame,
)
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.seen import has_sent
from mainstay_server.tenancy.subjects import ProjectRef, instances_of_project
from mainstay_server.ui import render

router = Router()

MOST_AT_A_GLANCE = 3

ViewedProject = Annotated[ProjectRef, access.project(Role.VIEWER)]


@router.get("/dashboard/projects/{slug}")
def show_project(project: ViewedProject) -> Response:
    """Lead to the monitoring page."""
    return RedirectResponse(f"/dashboard/projects/{project.slug}/monitoring", status_code=303)


@router.get("/dashboard/projects/{slug}/monitoring")
def show_monitoring(request: Request, session: Session, project: ViewedProject) -> Response:
    """Alerts, health, requests and what else areas show of an instance, over one time range."""
    return _panels_page(request, session, project, page="monitoring", title="Monitoring")


@router.get("/dashboard/projects/{slug}/security")
def show_security(request: Request, session: Session, project: ViewedProject) -> Response:
    """Who may in and who did what: the allowlist and the audit log of a project."""
    return _panels_page(request, session, project, page="security", title="Security")


@router.get("/dashboard/projects/{slug}/panels/{name}")
def show_panel(request: Request, session: Session, project: ViewedProject, name: str) -> Response:
    """The inside of one panel, which fetches itself again every ten seconds."""
    panel = next((p for area in installed() for p in area.panels if p.name == name), None)
    if panel is None:
        raise NotFound(f"There is no panel {name[:60]!r}; reload the page.")
    return Response(_drawn(panel, request, session, project, utc_now()), media_type="text/html")


def _panels_page(
    request: Request, session: Session, project: ProjectRef, *, page: str, title: str
) -> Response:
    now = utc_now()
    panels = sorted(
        (panel for area in installed() for panel in area.panels if panel.page == page),
        key=lambda panel: (panel.order, panel.name),
    )
    jumps = [(panel.title, f"#panel-{panel.name}", False) for panel in panels]
    return render(
        request,
        "tenancy/panels.html",
        **project_frame(request, session, project, page=page, now=now),
        heading=title,
        panels=[(panel, _drawn(panel, request, session, project, now)) for panel in panels],
        jumps=jumps if len(jumps) > MOST_AT_A_GLANCE else [],
        arrived=has_sent(project.id),
    )


def _drawn(
    panel: Panel, request: Request, session: Session, project: ProjectRef, now: datetime
) -> str:
    instances = instances_of_project(session, project.id)
    return panel.draw(
        PanelRequest(
            request=request,
            session=session,
            instance=chosen_instance(request, instances),
            hours=chosen_hours(request),
            now=now,
            may_write=may_write(request),
            may_administer=may_administer(request),
        )
    )
