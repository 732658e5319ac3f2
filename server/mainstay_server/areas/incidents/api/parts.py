"""What belongs to an incident, over HTTP: timeline, notes, people, alerts, status pages."""

from typing import Annotated

from fastapi import Path
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.incidents.models import IncidentRole
from mainstay_server.areas.incidents.schemas import (
    A_TIME,
    AN_ID,
    EntryAnswer,
    JoinBody,
    NoteBody,
    OneIncidentAnswer,
    RoleBody,
    TellBody,
    TimelineAnswer,
)
from mainstay_server.areas.incidents.service import (
    incidents,
    joining,
    notes,
    people,
    telling,
    timeline,
)
from mainstay_server.areas.incidents.service.telling import Telling
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.web import Cursor, Limit, Router, example

from .answers import ONE, ONE_INCIDENT, Viewed, Written, answer_of, taken_up

ENTRY = {
    "id": AN_ID,
    "kind": "note",
    "at": A_TIME,
    "actor": "Ada",
    "title": "Note",
    "body": "Turned the importer off: load falls.",
}
PersonId = Annotated[str, Path(max_length=36, description="The id of a member.")]

router = Router(prefix=ONE)


@router.get(
    "/timeline",
    summary="List the timeline of an incident",
    responses=example({"entries": [ENTRY], "nextCursor": "Wzdd"}),
)
def list_timeline(
    session: Session,
    project: Viewed,
    incident_id: str,
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> TimelineAnswer:
    """What happened, the newest first."""
    incident = incidents.get_incident(session, project.id, incident_id)
    page = timeline.list_entries(session, incident.id, limit=limit, cursor=cursor)
    return TimelineAnswer(
        entries=[EntryAnswer.model_validate(entry) for entry in page.items],
        next_cursor=page.next_cursor,
    )


@router.post("/notes", status_code=201, summary="Note something", responses=example(ENTRY, 201))
def add_incident_note(
    request: Request, session: Session, project: Written, incident_id: str, body: NoteBody
) -> EntryAnswer:
    """Write a note into the timeline, in Markdown."""
    now = utc_now()
    incident = taken_up(session, request, project, incident_id, now=now)
    return EntryAnswer.model_validate(notes.add_note(session, incident, body.body, now=now))


@router.delete("/notes/{note_id}", status_code=204, summary="Remove a note")
def remove_incident_note(
    session: Session, project: Written, incident_id: str, note_id: str
) -> None:
    """Take a note out of the timeline; what wrote itself stays."""
    incident = incidents.get_incident(session, project.id, incident_id, locked=True)
    notes.remove_note(session, incident, note_id, now=utc_now())


@router.put("/roles/{role}", summary="Give a role of an incident", responses=example(ONE_INCIDENT))
def give_incident_role(
    request: Request,
    session: Session,
    project: Written,
    incident_id: str,
    role: IncidentRole,
    body: RoleBody,
) -> OneIncidentAnswer:
    """Give a role to a member. Of responders there may be many, of all else one."""
    now = utc_now()
    incident = taken_up(session, request, project, incident_id, now=now)
    people.assign(session, incident, role, body.person_id, now=now)
    return answer_of(session, incident, now=now)


@router.delete(
    "/roles/{role}/{person_id}", status_code=204, summary="Take a role of an incident away"
)
def take_incident_role(
    session: Session, project: Written, incident_id: str, role: IncidentRole, person_id: PersonId
) -> None:
    """Take a role from the one who has it."""
    incident = incidents.get_incident(session, project.id, incident_id, locked=True)
    people.give_up(session, incident, role, person_id, now=utc_now())


@router.post("/alerts", summary="Join an alert to an incident", responses=example(ONE_INCIDENT))
def join_incident_alert(
    request: Request, session: Session, project: Written, incident_id: str, body: JoinBody
) -> OneIncidentAnswer:
    """Put an alert of the project to it, out of another incident if it is in one."""
    now = utc_now()
    incident = taken_up(session, request, project, incident_id, now=now)
    joining.join_alert(session, incident, body.alert_id, now=now)
    return answer_of(session, incident, now=now)


@router.delete("/alerts/{alert_id}", status_code=204, summary="Take an alert out of an incident")
def take_out_incident_alert(
    session: Session, project: Written, incident_id: str, alert_id: str
) -> None:
    """Take an alert out; it stays an alert."""
    incident = incidents.get_incident(session, project.id, incident_id, locked=True)
    joining.leave_alert(session, incident, alert_id, now=utc_now())


@router.post(
    "/reports", summary="Tell an incident on a status page", responses=example(ONE_INCIDENT)
)
def tell_incident(
    request: Request, session: Session, project: Written, incident_id: str, body: TellBody
) -> OneIncidentAnswer:
    """Open a report on a status page, or say there how it goes on; its status is the incident's."""
    now = utc_now()
    incident = taken_up(session, request, project, incident_id, now=now)
    telling.tell(session, incident, Telling(**body.model_dump()), now=now)
    return answer_of(session, incident, now=now)
