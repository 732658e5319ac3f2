"""The page of a postmortem: reading, writing, taking it along."""

from markupsafe import Markup
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.incidents.models import Incident
from mainstay_server.areas.incidents.service import incidents, postmortems
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.markdown import document_to_html
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.frame import redirect_with
from mainstay_server.tenancy.subjects import ProjectRef

from .frame import ONE, Long, Short, Viewed, Written, home, page_of

router = Router(prefix=ONE + "/postmortem", include_in_schema=False)


@router.get("")
def show_postmortem(
    request: Request, session: Session, project: Viewed, incident_id: str
) -> Response:
    """What was learnt; `?edit=1` opens the editor, which begins with the draft."""
    incident = incidents.get_incident(session, project.id, incident_id)
    found = postmortems.find_postmortem(session, incident.id)
    body = found.body if found else postmortems.draft(session, incident, now=utc_now())
    edits = request.query_params.get("edit") == "1"
    return _page(
        request,
        session,
        project,
        incident,
        body=body,
        version=found.version if found else 0,
        edits=edits,
    )


@router.post("")
def save(
    request: Request,
    session: Session,
    project: Written,
    incident_id: str,
    body: Long = "",
    version: Short = "0",
) -> Response:
    """Keep what was written; what cannot be kept stays in the editor, with the reason."""
    incident = incidents.get_incident(session, project.id, incident_id, locked=True)
    text = body.replace("\r\n", "\n")
    number = int(version) if version.isascii() and version.isdigit() else 0
    try:
        with session.begin_nested():
            postmortems.save(session, incident, text, version=number, now=utc_now())
    except Problem as problem:
        return _page(
            request,
            session,
            project,
            incident,
            body=text,
            version=number,
            edits=True,
            problem=problem.detail,
        )
    path = f"{home(project)}/{incident.id}/postmortem"
    return redirect_with(path, "Saved.")


def _page(  # noqa: PLR0913 - what the page shows
    request: Request,
    session: Session,
    project: ProjectRef,
    incident: Incident,
    *,
    body: str,
    version: int,
    edits: bool,
    problem: str = "",
) -> Response:
    found = postmortems.find_postmortem(session, incident.id)
    return page_of(
        request,
        session,
        project,
        "postmortem",
        incident=incident,
        postmortem=found,
        body=body,
        html=Markup(document_to_html(body)),  # noqa: S704 - sanitised where it is made
        version=version,
        edits=edits,
        problem=problem,
    )
