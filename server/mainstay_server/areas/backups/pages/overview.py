"""What of an instance is backed up, and how each stands."""

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.backups.service import targets
from mainstay_server.kernel.web import Router

from .frame import PREFIX, Viewed, frame_of, page_of, views_of

router = Router(prefix=PREFIX, include_in_schema=False)


@router.get("")
def show_targets(request: Request, session: Session, project: Viewed) -> Response:
    """Every target of an instance: its last backup, what is proven, what would be lost."""
    frame = frame_of(request, session, project)
    found = targets.list_targets(session, frame["instance"].id)
    return page_of(request, frame, "overview", targets=views_of(session, found))
