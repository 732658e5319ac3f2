"""The places that copies go to."""

from typing import Annotated

from fastapi import Form
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.backups.models import BackupDestination, DestinationKind
from mainstay_server.areas.backups.service import destinations
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.problems import Invalid, NotFound
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.frame import done_or_refused, redirect_with
from mainstay_server.tenancy.subjects import ProjectRef

from .frame import PREFIX, Administered, Viewed, frame_of, page_of

router = Router(prefix=PREFIX + "/destinations", include_in_schema=False)

Name = Annotated[str, Form(max_length=200)]
Url = Annotated[str, Form(max_length=4000)]


@router.get("")
def show_destinations(request: Request, session: Session, project: Viewed) -> Response:
    """Every destination, with how many copies lie there and whether it can be used."""
    found = destinations.list_destinations(session, project.id)
    return page_of(
        request,
        frame_of(request, session, project),
        "destinations",
        destinations=[(each, destinations.count_copies(session, each.id)) for each in found],
    )


@router.post("")
def create_destination(
    session: Session, project: Administered, name: Name = "", kind: Name = "", url: Url = ""
) -> Response:
    """Make one."""

    def create() -> None:
        if kind not in set(DestinationKind):
            raise Invalid("Choose where the copies go from the list.")
        destinations.create_destination(
            session, project, name=name, kind=DestinationKind(kind), url=url.strip(), now=utc_now()
        )

    return done_or_refused(
        session, create, path=_path(project), done="Made. Try it before you rely on it."
    )


@router.post("/{destination_id:id}/check")
def check_destination(project: Administered, destination_id: str) -> Response:
    """Write, read and remove a small object there."""
    with reading() as session:
        name = _get(session, project, destination_id).name
    problem = destinations.check(destination_id, now=utc_now())
    if problem:
        return redirect_with(_path(project), f"{name}: {problem}", "critical")
    return redirect_with(_path(project), f"{name} takes copies: written, read and removed.")


@router.post("/{destination_id:id}/change")
def change_destination(
    session: Session,
    project: Administered,
    destination_id: str,
    name: Name = "",
    url: Url = "",
) -> Response:
    """Rename it, or give it other keys; an empty URL leaves it as it is."""
    row = _get(session, project, destination_id)
    return done_or_refused(
        session,
        lambda: destinations.change_destination(
            session, row, name=name, url=url.strip() or None, now=utc_now()
        ),
        path=_path(project),
        done="Changed.",
    )


@router.post("/{destination_id:id}/remove")
def remove_destination(
    session: Session, project: Administered, destination_id: str, forget: Name = ""
) -> Response:
    """Remove it; what lies there stays there, and is forgotten when somebody says so."""
    row = _get(session, project, destination_id)
    return done_or_refused(
        session,
        lambda: destinations.remove_destination(
            session, row, forget_copies=forget == "on", now=utc_now()
        ),
        path=_path(project),
        done="Removed. What lies there was not touched.",
    )


def _get(session: Session, project: ProjectRef, destination_id: str) -> BackupDestination:
    row = destinations.get_destination(session, destination_id)
    if row.project_id != project.id:
        raise NotFound("This project has no such destination; go back to the list.")
    return row


def _path(project: ProjectRef) -> str:
    return f"/dashboard/projects/{project.slug}/backups/destinations"
