"""What people do on the page of an incident."""

from collections.abc import Callable

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.incidents.models import (
    Incident,
    IncidentRole,
    IncidentStatus,
    Severity,
)
from mainstay_server.areas.incidents.service import incidents, joining, notes, people, telling
from mainstay_server.areas.incidents.service.telling import Telling
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.frame import done_or_refused
from mainstay_server.tenancy.subjects import ProjectRef

from .frame import (
    IN_CHARGE,
    ONE,
    Administered,
    Ids,
    IdText,
    Short,
    Text,
    Written,
    home,
)

router = Router(prefix=ONE, include_in_schema=False)


@router.post("/take")
def take(request: Request, session: Session, project: Written, incident_id: str) -> Response:
    """Take an incident up: whoever does is one of those who respond, and its alerts know."""
    caller: Caller = request.state.caller

    def do(incident: Incident) -> None:
        role = IncidentRole.RESPONDER
        people.assign(session, incident, role, caller.person_id, now=utc_now())

    return _act(request, session, project, incident_id, do, done="It is yours.")


@router.post("/update")
def update(  # noqa: PLR0913, PLR0917 - the fields of its form
    request: Request,
    session: Session,
    project: Written,
    incident_id: str,
    status: Short = "",
    severity: Short = "",
    message: Text = "",
    page: Ids = [],  # noqa: B006 - FastAPI copies it
    notify: Short = "",
) -> Response:
    """Say how it goes: a new state, a note, and the same on status pages if wanted."""

    def do(incident: Incident) -> None:
        now = utc_now()
        changes: dict[str, str] = {}
        if status in tuple(IncidentStatus) and status != incident.status:
            changes["status"] = status
        if severity in tuple(Severity) and severity != incident.severity:
            changes["severity"] = severity
        if not changes and not message.strip() and not page:
            raise Invalid("Nothing is different; choose another state, or write what you found.")
        if message.strip() and "status" not in changes:
            notes.add_note(session, incident, message, now=now)
        incidents.change_incident(
            session, incident, _typed(changes), message=message.strip(), now=now
        )
        for page_id in page:
            wanted = Telling(page_id=page_id[:36], body=message[:10_000], notify=bool(notify))
            telling.tell(session, incident, wanted, now=now)

    return _act(request, session, project, incident_id, do, done="Written down.")


@router.post("/edit")
def edit(  # noqa: PLR0913, PLR0917 - the fields of its form
    request: Request,
    session: Session,
    project: Written,
    incident_id: str,
    title: Short = "",
    summary: Text = "",
    instance_id: IdText = "",
) -> Response:
    """Say what it is about."""

    def do(incident: Incident) -> None:
        changes = {
            "title": title,
            "summary": summary.strip()[: incidents.LONGEST_SUMMARY],
            "instance_id": instance_id or None,
        }
        incidents.change_incident(session, incident, changes, now=utc_now())

    return _act(request, session, project, incident_id, do, done="Changed.")


@router.post("/people")
def staff(  # noqa: PLR0913, PLR0917 - the fields of its form
    request: Request,
    session: Session,
    project: Written,
    incident_id: str,
    commander: IdText = "",
    communications: IdText = "",
    operations: IdText = "",
    scribe: IdText = "",
    responder: IdText = "",
) -> Response:
    """Say who does what: nobody chosen is nobody; one more who responds."""
    chosen = dict(zip(IN_CHARGE, (commander, communications, operations, scribe), strict=True))

    def do(incident: Incident) -> None:
        now = utc_now()
        for role, person_id in chosen.items():
            holder = people.holder_of(session, incident, role)
            if person_id:
                people.assign(session, incident, role, person_id, now=now)
            elif holder is not None:
                people.give_up(session, incident, role, holder, now=now)
        if responder:
            people.assign(session, incident, IncidentRole.RESPONDER, responder, now=now)

    return _act(request, session, project, incident_id, do, done="Everybody knows who does what.")


@router.post("/people/{person_id:id}/leave")
def leave(
    request: Request, session: Session, project: Written, incident_id: str, person_id: str
) -> Response:
    """Somebody does not respond any more."""

    def do(incident: Incident) -> None:
        role = IncidentRole.RESPONDER
        people.give_up(session, incident, role, person_id, now=utc_now())

    return _act(request, session, project, incident_id, do, done="They need not respond any more.")


@router.post("/alerts")
def join_alert(
    request: Request, session: Session, project: Written, incident_id: str, alert_id: IdText = ""
) -> Response:
    """Put an alert to it."""

    def do(incident: Incident) -> None:
        joining.join_alert(session, incident, alert_id, now=utc_now())

    return _act(request, session, project, incident_id, do, done="The alert is part of it now.")


@router.post("/alerts/{alert_id:id}/leave")
def take_alert_out(
    request: Request, session: Session, project: Written, incident_id: str, alert_id: str
) -> Response:
    """Take an alert out of it."""

    def do(incident: Incident) -> None:
        joining.leave_alert(session, incident, alert_id, now=utc_now())

    return _act(request, session, project, incident_id, do, done="The alert was taken out.")


@router.post("/tell")
def tell(  # noqa: PLR0913, PLR0917 - the fields of its form
    request: Request,
    session: Session,
    project: Written,
    incident_id: str,
    page_id: IdText = "",
    body: Text = "",
    component: Ids = [],  # noqa: B006 - FastAPI copies it
    notify: Short = "",
) -> Response:
    """Tell it on a status page."""

    def do(incident: Incident) -> None:
        wanted = Telling(
            page_id=page_id,
            body=body[:10_000],
            component_ids=[each[:36] for each in component],
            notify=bool(notify),
        )
        telling.tell(session, incident, wanted, now=utc_now())

    return _act(request, session, project, incident_id, do, done="It is on the status page now.")


@router.post("/notes/{note_id:id}/remove")
def remove_note(
    request: Request, session: Session, project: Written, incident_id: str, note_id: str
) -> Response:
    """Take a note out of the timeline."""

    def do(incident: Incident) -> None:
        notes.remove_note(session, incident, note_id, now=utc_now())

    return _act(request, session, project, incident_id, do, done="The note is gone.")


@router.post("/remove")
def remove(session: Session, project: Administered, incident_id: str) -> Response:
    """Remove it with its timeline."""

    def do() -> None:
        incident = incidents.get_incident(session, project.id, incident_id, locked=True)
        incidents.remove_incident(session, incident, now=utc_now())

    return done_or_refused(session, do, path=home(project), done="The incident is gone.")


def _act(
    request: Request,
    session: Session,
    project: ProjectRef,
    incident_id: str,
    do: Callable[[Incident], None],
    *,
    done: str,
) -> Response:
    """Do something with an incident, which takes it up, and go back to its page."""
    caller: Caller = request.state.caller
    incidents.get_incident(session, project.id, incident_id)

    def act() -> None:
        incident = incidents.get_incident(session, project.id, incident_id, locked=True)
        incidents.acknowledge(
            session, incident, person_id=caller.person_id, name=caller.person_name, now=utc_now()
        )
        do(incident)

    path = f"{home(project)}/{incident_id}"
    return done_or_refused(session, act, path=path, done=done)


def _typed(changes: dict[str, str]) -> dict[str, object]:
    """What a form chose, in the kinds that rules know."""
    kinds = {"status": IncidentStatus, "severity": Severity}
    return {name: kinds[name](value) for name, value in changes.items()}
