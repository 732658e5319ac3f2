"""The scorecard page: one line a question, what to mend first."""

from typing import Annotated

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.kernel.area import MenuEntry
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.frame import project_frame
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import render

from . import service

router = Router(include_in_schema=False)


@router.get("/dashboard/projects/{slug}/scorecard")
def show_scorecard(
    request: Request,
    session: Session,
    project: Annotated[ProjectRef, access.project(Role.VIEWER)],
) -> Response:
    """Show every question about the chosen instance with its live answer."""
    now = utc_now()
    frame = project_frame(request, session, project, page="scorecard", now=now)
    card = service.score(session, frame["instance"], now=now)
    return render(request, "scorecard/scorecard.html", **frame, card=card)


menu = MenuEntry(label="Scorecard", page="scorecard", icon="scorecard", group="ship", order=10)
