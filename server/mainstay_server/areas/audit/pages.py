"""What people see of the audit log: a panel, a page of the project, and the organization's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.kernel.area import MenuEntry, OrganizationEntry, Panel, PanelRequest
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.frame import organization_frame, project_frame, redirect_with
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.service.sessions import list_organizations
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import fragment, render

from .models import AuditLog
from .schemas import LONGEST_FILTER, Row, RowFilter, parse_time
from .service import checkpoints, signing, verifying
from .service import reading as rows

router = Router(include_in_schema=False)

Admin = Annotated[Caller, access.organization(Role.ADMIN)]
Read = Annotated[ProjectRef, access.project(Role.MEMBER)]

PATH = "/dashboard/organization/audit"
PER_PAGE = 50
IN_PANEL = 10
LONGEST_POSITION = 18  # digits that a database can compare
WRITTEN = {word: word.upper() for word in ("api", "cors", "id", "ip", "url")}  # initials
FILTERS = ("q", "action", "actor", "from", "to")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row as pages show it."""

    row: Row
    at: datetime
    words: str
    facts: Sequence[tuple[str, str]]


@router.get(PATH)
def show_log(request: Request, session: Session, caller: Admin) -> Response:
    """Everything that was administered in the organization, and whether the log verifies."""
    organization_id = caller.organization_id
    return render(
        request,
        "audit/organization.html",
        **organization_frame(request, page="organization/audit", now=utc_now()),
        **_found(request, session, organization_id, RowFilter(), exports="/api/audit-logs"),
        organizations=list_organizations(session, caller),
        log=session.get(AuditLog, organization_id),
        newest=next(iter(checkpoints.list_checkpoints(session, organization_id, limit=1)), None),
        destinations=checkpoints.list_destinations(session, organization_id),
        public_key=signing.public_key(organization_id),
    )


@router.post(f"{PATH}/verify")
def verify(caller: Admin) -> Response:
    """Look at every row now, and keep what was found."""
    faults = verifying.verify_and_keep(caller.organization_id, now=utc_now()).faults
    if faults:
        return redirect_with(PATH, f"The log was changed: {faults[0].text}", "critical")
    return redirect_with(PATH, "Every row is in its place, and every signature fits.")


@router.get("/dashboard/projects/{slug}/audit")
def show_project(request: Request, session: Session, project: Read) -> Response:
    """What was administered in the chosen instance, and in its project as a whole."""
    frame = project_frame(request, session, project, page="audit", now=utc_now())
    instance = frame["instance"]
    about = RowFilter(project_id=project.id, instance_id=instance.id)
    exports = f"/api/instances/{instance.id}/audit-logs"
    found = _found(request, session, project.organization_id, about, exports=exports)
    return render(request, "audit/project.html", **frame, **found)


def draw_panel(asked: PanelRequest) -> str:
    """The newest rows about an instance and its project, for those who may read them."""
    caller: Caller = asked.request.state.caller
    about = RowFilter(project_id=asked.instance.project_id, instance_id=asked.instance.id)
    organization_id = asked.instance.organization_id
    may_read = caller.role.covers(Role.MEMBER)
    return fragment(
        asked.request,
        "audit/panel.html",
        instance=asked.instance,
        may_read=may_read,
        lines=_lines(rows.list_rows(asked.session, organization_id, about, limit=IN_PANEL))
        if may_read
        else (),
        path=f"/dashboard/projects/{asked.instance.project_slug}/audit",
    )


def _found(
    request: Request, session: Session, organization_id: str, about: RowFilter, *, exports: str
) -> dict[str, Any]:
    """The rows that the address asks for, what it asks, and where they are taken away."""
    asked = {name: request.query_params.get(name, "")[:LONGEST_FILTER] for name in FILTERS}
    problem = ""
    try:
        wanted = _filter(asked, about)
    except Invalid as refused:
        wanted, problem = about, refused.detail
    before = request.query_params.get("before", "")
    found = rows.list_rows(
        session,
        organization_id,
        wanted,
        limit=PER_PAGE + 1,
        before=int(before) if before.isdecimal() and len(before) <= LONGEST_POSITION else 0,
    )
    kept = {name: value for name, value in asked.items() if value}
    if "q" in kept:
        kept["search"] = kept.pop("q")
    return {
        "lines": _lines(found[:PER_PAGE]),
        "older": found[PER_PAGE - 1].row.position if len(found) > PER_PAGE else 0,
        "asked": asked,
        "problem": problem,
        "actions": {each: _sentence(each) for each in rows.actions_of(session, organization_id)},
        "export": {
            form: f"{exports}?{urlencode({**kept, 'export': form})}" for form in ("csv", "jsonl")
        },
    }


def _filter(asked: dict[str, str], about: RowFilter) -> RowFilter:
    return RowFilter(
        project_id=about.project_id,
        instance_id=about.instance_id,
        action=asked["action"].strip(),
        actor=asked["actor"].strip(),
        search=asked["q"].strip(),
        since=parse_time(asked["from"], "from", end=False),
        until=parse_time(asked["to"], "to", end=True),
    )


def _lines(found: Sequence[rows.Found]) -> list[Line]:
    return [
        Line(
            row=each.row,
            at=datetime.fromisoformat(each.row.at),
            words=_sentence(each.row.action),
            facts=list(_facts(each)),
        )
        for each in found
    ]


def _facts(found: rows.Found) -> Iterator[tuple[str, str]]:
    """What else a row says, and what proves it."""
    row = found.row
    yield "Action", row.action
    if row.actor.email:
        yield "E-mail address", row.actor.email
    if row.client:
        yield "Program", row.client
    if row.target.id:
        yield _words(row.target.kind) or "Target", row.target.id
    for name, value in row.details.items():
        yield _words(name), str(value)
    yield "Time", row.at
    yield f"Hash of row {row.position:,}", found.hash


def _sentence(action: str) -> str:
    """An action as people read it: `api_key.created` is "API key created"."""
    return _words(action.replace(".", " "))


def _words(name: str) -> str:
    """A name of the log as a sentence begins: `api_key` is "API key"."""
    first, *others = (WRITTEN.get(word, word) for word in name.replace("_", " ").split(" "))
    return " ".join((first[:1].upper() + first[1:], *others))


panel = Panel(page="security", name="audit", title="Audit log", order=90, draw=draw_panel)
menu = MenuEntry(label="Audit log", page="audit", icon="audit", group="guard", order=90)
organization_entry = OrganizationEntry(
    label="Audit log", page="organization/audit", icon="audit", order=10, role=Role.ADMIN
)
