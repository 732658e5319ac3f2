"""One incident: how it stands, who does what, what belongs to it, and what happened."""

from collections.abc import Sequence

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.incidents.models import Incident, IncidentRole
from mainstay_server.areas.incidents.service import (
    figures,
    incidents,
    joining,
    people,
    postmortems,
    telling,
    timeline,
)
from mainstay_server.areas.incidents.service.people import Staffed
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.frame import may_administer, may_write
from mainstay_server.tenancy.subjects import ProjectRef

from .frame import IN_CHARGE, ONE, Viewed, page_of, shown

router = Router(include_in_schema=False)

PER_PAGE = 100


@router.get(ONE)
def show_incident(
    request: Request, session: Session, project: Viewed, incident_id: str
) -> Response:
    """The page that people have open while they work on it."""
    incident = incidents.get_incident(session, project.id, incident_id)
    return show(request, session, project, incident)


def show(request: Request, session: Session, project: ProjectRef, incident: Incident) -> Response:
    """Render the page of an incident."""
    now = utc_now()
    caller: Caller = request.state.caller
    page = timeline.list_entries(
        session, incident.id, limit=PER_PAGE, cursor=request.query_params.get("cursor", "")
    )
    staff = people.people_of(session, [incident.id])[incident.id]
    pages = {page.id: page for page in telling.pages_of(session, project.organization_id)}
    told = [one.page_id for one in telling.reports_of(session, incident.id)]
    writes = may_write(request)
    return page_of(
        request,
        session,
        project,
        "one",
        incident=incident,
        figures=figures.own_figures(incident, now=now),
        entries=shown(page.items),
        next_cursor=page.next_cursor,
        in_charge={role: _first(staff, role) for role in IN_CHARGE},
        responders=[one for one in staff if one.role is IncidentRole.RESPONDER],
        is_here=any(one.person_id == caller.person_id for one in staff),
        members=people.offered_people(session, project.organization_id) if writes else [],
        alerts=joining.alerts_of(session, incident.id),
        offered=joining.offered_alerts(session, incident, now=now) if writes else [],
        told=[pages[page_id] for page_id in told if page_id in pages],
        pages=list(pages.values()),
        postmortem=postmortems.find_postmortem(session, incident.id),
        may_administer=may_administer(request),
    )


def _first(staff: Sequence[Staffed], role: IncidentRole) -> Staffed | None:
    return next((one for one in staff if one.role is role), None)
