"""One target: its figures, its days, its backups, and what its buttons do."""

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mainstay_server.areas.backups.models import BackupStatus
from mainstay_server.areas.backups.service import drill_places, figures, runs, targets, views
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.frame import redirect_with

from .frame import (
    PREFIX,
    Administered,
    Text,
    Viewed,
    chart_of,
    frame_of,
    page_of,
    refuse_unless_meant,
    target_of,
    views_of,
)

router = Router(prefix=PREFIX + "/targets/{target_id:id}", include_in_schema=False)

PER_PAGE = 50


@router.get("")
def show_target(request: Request, session: Session, project: Viewed, target_id: str) -> Response:
    """Everything about one target but its secrets."""
    instance, target = target_of(session, project, target_id)
    frame = frame_of(request, session, project) | {"instance": instance}
    asked = request.query_params
    status = next((one for one in BackupStatus if one == asked.get("status")), None)
    found = views.list_backups(
        session, target, status=status, limit=PER_PAGE, cursor=asked.get("cursor", "")
    )
    (view,) = views_of(session, [target])
    return page_of(
        request,
        frame,
        "target",
        view=view,
        days=figures.calendar_of(session, target.id, now=frame["now"]),
        chart=chart_of(view),
        backups=found.items,
        next_cursor=found.next_cursor,
        status=status,
        destinations=targets.destinations_of(session, target.id),
        drill_place=drill_places.shown(target),
    )


@router.post("/run")
def run_target(
    request: Request, session: Session, project: Administered, target_id: str
) -> Response:
    """Back it up now, and show how far that is."""
    instance, target = target_of(session, project, target_id)
    asked_by = request.state.caller.person_id
    backup = runs.ask(session, target, asked_by=asked_by, now=utc_now())
    return RedirectResponse(instance.page(f"backups/{backup.id}"), status_code=303)


@router.post("/new-key")
def make_key(
    request: Request, session: Session, project: Administered, target_id: str, kept: Text = ""
) -> Response:
    """Make another key, and show it this once."""
    instance, target = target_of(session, project, target_id)
    try:
        with session.begin_nested():
            secret = targets.make_key(session, target, keeps_key=kept == "on", now=utc_now())
    except Problem as problem:
        path = instance.page(f"backups/targets/{target_id}")
        return redirect_with(path, problem.detail, "critical")
    frame = frame_of(request, session, project) | {"instance": instance}
    return page_of(request, frame, "made", target=target, secret=secret, is_new=False)


@router.post("/remove")
def remove_target(
    session: Session, project: Administered, target_id: str, confirm: Text = ""
) -> Response:
    """Back it up no longer, when its name was typed."""
    instance, target = target_of(session, project, target_id)
    name = target.name
    try:
        refuse_unless_meant(confirm, name)
        with session.begin_nested():
            targets.remove_target(session, target, now=utc_now())
    except Problem as problem:
        return redirect_with(
            instance.page(f"backups/targets/{target_id}"), problem.detail, "critical"
        )
    return redirect_with(instance.page("backups"), f"{name} is backed up no longer.")
