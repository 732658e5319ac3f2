"""Incidents over HTTP: list, open, change, take up, remove; and figures over them."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Query
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.incidents.schemas import (
    FiguresAnswer,
    IncidentBody,
    IncidentChanges,
    IncidentQuery,
    IncidentsAnswer,
    OneIncidentAnswer,
)
from mainstay_server.areas.incidents.service import figures, incidents, listing
from mainstay_server.areas.incidents.service.incidents import NewIncident
from mainstay_server.areas.incidents.service.listing import IncidentFilter
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.web import Router, example

from .answers import (
    ALL,
    INCIDENT,
    ONE,
    ONE_INCIDENT,
    Administered,
    Viewed,
    Written,
    answer_of,
    answers_of,
    taken_up,
)

MOST_DAYS = 3660
LOOKED_BACK = timedelta(days=90)
FIGURES = {
    "from": "2026-08-28T12:00:00.000Z",
    "to": "2026-11-26T12:00:00.000Z",
    "opened": 12,
    "open": 1,
    "resolved": 11,
    "acknowledged": 8,
    "neverAcknowledged": 3,
    "mttaSeconds": 140.5,
    "mttrSeconds": 2710.0,
    "longestSeconds": 9120.0,
    "bySeverity": {"minor": 4, "major": 6, "critical": 2},
}

router = Router()


@router.get(
    ALL,
    summary="List incidents",
    responses=example({"incidents": [INCIDENT], "nextCursor": "Wzdd"}),
)
def list_incidents(
    session: Session, project: Viewed, chosen: Annotated[IncidentQuery, Query()]
) -> IncidentsAnswer:
    """The incidents of a project, the newest first."""
    page = listing.list_incidents(
        session,
        project.id,
        IncidentFilter(
            open=None if chosen.status is None else chosen.status == "open",
            severity=chosen.severity,
            instance_id=chosen.instance,
            text=chosen.q,
        ),
        limit=chosen.limit,
        cursor=chosen.cursor,
    )
    return IncidentsAnswer(
        incidents=answers_of(session, page.items, now=utc_now()), next_cursor=page.next_cursor
    )


@router.post(ALL, status_code=201, summary="Open an incident", responses=example(ONE_INCIDENT, 201))
def open_incident(session: Session, project: Written, body: IncidentBody) -> OneIncidentAnswer:
    """Open an incident by hand. Who opens one has taken it up already."""
    now = utc_now()
    wanted = NewIncident(**body.model_dump())
    made = incidents.open_incident(session, project.id, wanted, now=now)
    return answer_of(session, made, now=now)


@router.get(
    "/api/projects/{slug}/incident-figures",
    summary="MTTA and MTTR",
    responses=example(FIGURES),
)
def get_incident_figures(
    session: Session,
    project: Viewed,
    since: Annotated[
        datetime | None, Query(alias="from", description="Default: 90 days before `to`.")
    ] = None,
    until: Annotated[datetime | None, Query(alias="to", description="Default: now.")] = None,
) -> FiguresAnswer:
    """Figures over the incidents that were opened in a range of at most ten years."""
    until = until or utc_now()
    if until.tzinfo is None or (since is not None and since.tzinfo is None):
        raise Invalid("from and to need a time zone, such as a Z at their end.")
    since = since or until - min(LOOKED_BACK, until - datetime.min.replace(tzinfo=until.tzinfo))
    if not timedelta() < until - since <= timedelta(days=MOST_DAYS):
        raise Invalid(f"from must be before to, by at most {MOST_DAYS} days.")
    found = figures.figures_of(session, project.id, since=since, until=until)
    return FiguresAnswer(since=since, until=until, **vars(found))


@router.get(ONE, summary="One incident", responses=example(ONE_INCIDENT))
def get_incident(session: Session, project: Viewed, incident_id: str) -> OneIncidentAnswer:
    """One incident with its people, its alerts and where it is told; by id or by number."""
    found = incidents.get_incident(session, project.id, incident_id)
    return answer_of(session, found, now=utc_now())


@router.patch(ONE, summary="Change an incident", responses=example(ONE_INCIDENT))
def change_incident(
    request: Request,
    session: Session,
    project: Written,
    incident_id: str,
    body: IncidentChanges,
) -> OneIncidentAnswer:
    """Change what it is called, how much it hurts or how far it is.

    `resolved` ends it; another status of one that is over opens it again.
    """
    now = utc_now()
    incident = taken_up(session, request, project, incident_id, now=now)
    given = body.model_dump(exclude_unset=True, exclude={"message"})
    changes = {k: v for k, v in given.items() if v is not None or k == "instance_id"}
    incidents.change_incident(session, incident, changes, message=body.message, now=now)
    return answer_of(session, incident, now=now)


@router.post(ONE + "/acknowledge", summary="Take an incident up", responses=example(ONE_INCIDENT))
def acknowledge_incident(
    request: Request, session: Session, project: Written, incident_id: str
) -> OneIncidentAnswer:
    """Say that you work on it, and acknowledge its alerts; once it is taken, nothing changes."""
    now = utc_now()
    incident = taken_up(session, request, project, incident_id, now=now)
    return answer_of(session, incident, now=now)


@router.delete(ONE, status_code=204, summary="Remove an incident")
def remove_incident(session: Session, project: Administered, incident_id: str) -> None:
    """Remove it with its timeline; alerts and reports on status pages stay."""
    incident = incidents.get_incident(session, project.id, incident_id, locked=True)
    incidents.remove_incident(session, incident, now=utc_now())
