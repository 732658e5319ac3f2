"""The page of remediation: what is allowed, how it went, and the form that allows more."""

from typing import Annotated, Any

from fastapi import Form
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.contracts.health_checks import probes_of
from mainstay_server.kernel.area import MenuEntry
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid, Problem
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.frame import (
    done_or_refused,
    may_administer,
    project_frame,
    redirect_with,
)
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import render

from .models import RemediationAction
from .schemas import ActionBody
from .service import actions, commands, runs
from .settings import RemediationSettings

router = Router(prefix="/dashboard/projects/{slug}/remediation", include_in_schema=False)
menu = MenuEntry(label="Remediation", page="remediation", icon="refresh", group="respond", order=25)

PER_PAGE = 50
KINDS = (("webhook", "Signed webhook"), ("command", "Command on a probe"))
Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Administered = Annotated[ProjectRef, access.project(Role.ADMIN)]
Short = Annotated[str, Form(max_length=2000)]


@router.get("")
def show_remediation(request: Request, session: Session, project: Viewed) -> Response:
    """What is allowed, and what was done."""
    return _page(request, session, project)


@router.post("")
def allow(  # noqa: PLR0913, PLR0917 - the fields of its form
    request: Request,
    session: Session,
    project: Administered,
    name: Short = "",
    kind: Short = "webhook",
    url: Short = "",
    command: Short = "",
    matchers: Short = "",
    most_tries: Short = "3",
    pause_seconds: Short = "30",
    verify_seconds: Short = "60",
    cooldown_seconds: Short = "300",
    automatic: Short = "",
    dry_run: Short = "",
) -> Response:
    """Allow an action; the secret of a webhook is shown this once."""
    probe_id, _, named = command.partition("/")
    try:
        with session.begin_nested():
            wanted = _wanted(
                name=name.strip(),
                kind=kind,
                url=url,
                probe_id=probe_id,
                command=named,
                matchers=matchers,
                automatic=bool(automatic),
                dry_run=bool(dry_run),
                most_tries=most_tries,
                pause_seconds=pause_seconds,
                verify_seconds=verify_seconds,
                cooldown_seconds=cooldown_seconds,
            )
            made = actions.allow_action(session, project, wanted, now=utc_now())
    except Problem as problem:
        return redirect_with(_home(project), problem.detail, "critical")
    return _page(request, session, project, made=made)


@router.post("/{action_id:id}/switch")
def switch(
    session: Session, project: Administered, action_id: str, field: Short = "enabled"
) -> Response:
    """Switch an action on or off, or whether it is a dry run, or begins by itself."""

    def do() -> None:
        if field not in ("enabled", "dry_run", "automatic"):
            raise Invalid("There is nothing of that name to switch.")
        action = actions.get_action(session, project.id, action_id)
        wanted = actions.wanted_of(action)
        changed = wanted.model_copy(update={field: not getattr(wanted, field)})
        actions.change_action(session, action, changed, now=utc_now())

    return done_or_refused(session, do, path=_home(project), done="Switched.")


@router.post("/{action_id:id}/remove")
def remove(session: Session, project: Administered, action_id: str) -> Response:
    """Allow an action no more."""

    def do() -> None:
        action = actions.get_action(session, project.id, action_id)
        actions.remove_action(session, action, now=utc_now())

    return done_or_refused(session, do, path=_home(project), done="It is allowed no more.")


def _page(
    request: Request,
    session: Session,
    project: ProjectRef,
    *,
    made: RemediationAction | None = None,
) -> Response:
    now = utc_now()
    allowed = actions.list_actions(session, project.id)
    page = runs.list_runs(
        session, project.id, limit=PER_PAGE, cursor=request.query_params.get("cursor", "")
    )
    probes = probes_of(session, project.organization_id) if probes_of.is_answered else []
    places = commands.places_of(session, project.organization_id)
    known = [
        (f"{probe.id}/{name}", f"{name} on {probe.name} ({probe.location})")
        for probe in probes
        if probe.id in places
        for name in places[probe.id].commands
    ]
    return render(
        request,
        "remediation/page.html",
        **project_frame(request, session, project, page="remediation", now=now),
        base=_home(project),
        actions=allowed,
        targets={action.id: actions.target_of(action) for action in allowed},
        names={action.id: action.name for action in allowed},
        runs=page.items,
        tries=runs.tries_of(session, [run.id for run in page.items]),
        next_cursor=page.next_cursor,
        known=known,
        KINDS=KINDS,
        made=made,
        limits=of(RemediationSettings),
        may_administer=may_administer(request),
    )


def _wanted(**values: Any) -> ActionBody:  # noqa: ANN401 - what a form holds
    """What the form means. Raises `Invalid` with the first fault in words."""
    try:
        return ActionBody(**values)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        message = str(fault["msg"]).removeprefix("Value error, ")
        where = f"{fault['loc'][0]}: " if fault["loc"] else ""
        raise Invalid(f"{where}{message}.") from error


def _home(project: ProjectRef) -> str:
    return f"/dashboard/projects/{project.slug}/remediation"
