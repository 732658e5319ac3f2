"""The list of incidents, its figures, and opening one by hand."""

from datetime import timedelta

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.incidents.models import Severity
from mainstay_server.areas.incidents.service import figures, incidents, listing, people
from mainstay_server.areas.incidents.service.choices import choices_of
from mainstay_server.areas.incidents.service.incidents import NewIncident
from mainstay_server.areas.incidents.service.listing import IncidentFilter
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.frame import redirect_with

from .frame import PREFIX, IdText, Short, Text, Viewed, Written, home, page_of

router = Router(prefix=PREFIX, include_in_schema=False)

PER_PAGE = 50
DAYS = (("30", "30 d"), ("90", "90 d"), ("365", "1 y"))
OPEN = {"open": True, "resolved": False}


@router.get("")
def show_incidents(request: Request, session: Session, project: Viewed) -> Response:
    """All incidents of a project, to search and filter, and the figures of a range."""
    now = utc_now()
    query = request.query_params
    days = next((value for value, _ in DAYS if value == query.get("days")), "90")
    chosen = IncidentFilter(
        open=OPEN.get(query.get("status", "")),
        severity=next((each for each in Severity if each == query.get("severity")), None),
        text=query.get("q", "").strip()[:200],
    )
    page = listing.list_incidents(
        session, project.id, chosen, limit=PER_PAGE, cursor=query.get("cursor", "")
    )
    ids = [incident.id for incident in page.items]
    since = now - timedelta(days=int(days))
    return page_of(
        request,
        session,
        project,
        "list",
        chosen=chosen,
        incidents=page.items,
        next_cursor=page.next_cursor,
        people=people.people_of(session, ids),
        counts=listing.count_alerts_of(session, ids),
        lasted={each.id: figures.own_figures(each, now=now).open_for for each in page.items},
        figures=figures.figures_of(
            session, project.id, since=since, until=now + timedelta(seconds=1)
        ),
        days=days,
        DAYS=DAYS,
        choices=choices_of(session, project.id),
    )


@router.post("")
def open_incident(
    session: Session,
    project: Written,
    title: Short = "",
    severity: Short = "",
    summary: Text = "",
    instance_id: IdText = "",
) -> Response:
    """Open an incident by hand, and go to its page."""
    chosen = next((each for each in Severity if each == severity), Severity.MAJOR)
    try:
        with session.begin_nested():
            wanted = NewIncident(
                title=title, severity=chosen, summary=summary, instance_id=instance_id or None
            )
            made = incidents.open_incident(session, project.id, wanted, now=utc_now())
    except Problem as problem:
        return redirect_with(home(project), problem.detail, "critical")
    return redirect_with(f"{home(project)}/{made.id}", f"Incident #{made.number} is open.")
