"""What of an instance is backed up, and how each stands."""

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.backups.service import targets
from mainstay_server.kernel.web import Router

from .frame import PREFIX, Viewed, frame_of, page_of, views_of

LONGEST_SEARCH = 200

router = Router(prefix=PREFIX, include_in_schema=False)


@router.get("")
def show_targets(request: Request, session: Session, project: Viewed) -> Response:
    """Every target of an instance: its last backup, what is proven, what would be lost."""
    frame = frame_of(request, session, project)
    search = request.query_params.get("q", "")[:LONGEST_SEARCH]
    found = [
        each
        for each in targets.list_targets(session, frame["instance"].id)
        if search.lower() in f"{each.name} {each.shown}".lower()
    ]
    return page_of(request, frame, "overview", targets=views_of(session, found), search=search)
