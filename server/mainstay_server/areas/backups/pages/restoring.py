"""Restoring: choose where to, look at both sides, mean it, and see it through."""

from typing import Any

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from mainstay_server.areas.backups.models import BackupRestore
from mainstay_server.areas.backups.providers import ENGINES
from mainstay_server.areas.backups.service import restores, views
from mainstay_server.areas.backups.service.restores import Outlook, RestoreChoice
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.problems import Invalid, Problem
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.frame import done_or_refused, redirect_with
from mainstay_server.ui import fragment

from . import forms
from .frame import PREFIX, Administered, Viewed, backup_of, frame_of, names_of, page_of
from .sent import Sent

router = Router(prefix=PREFIX + "/{backup_id:id}", include_in_schema=False)

ELSEWHERE = "elsewhere"


@router.get("/restore")
def show_wizard(
    request: Request, session: Session, project: Administered, backup_id: str
) -> Response:
    """Choose where to; nothing happens before somebody looked and meant it."""
    instance, backup = backup_of(session, project, backup_id)
    frame = frame_of(request, session, project) | {"instance": instance}
    view = views.view_of(session, backup)
    return page_of(
        request,
        frame,
        "restore",
        view=view,
        label=ENGINES[backup.engine].LABEL,
        config_field=forms.restore_field(backup.engine),
        tables_field=forms.TABLES if forms.asks_for_tables(backup.engine) else None,
        has_key=bool(view.target.drill_key),
        recipients=view.target.recipients,
    )


@router.post("/restore/look")
def look(request: Request, project: Administered, backup_id: str, form: Sent) -> Response:
    """Ask both sides, without changing anything; answers with the next part of the form."""
    with reading() as session:
        instance, backup = backup_of(session, project, backup_id)
        view = views.view_of(session, backup)
        frame = frame_of(request, session, project) | {"instance": instance}
        name, engine = view.target.name, backup.engine
    seen, problem = None, ""
    try:
        config = _config_of(engine, form)
        seen = restores.look(backup_id, config)
        problem = seen.problem
    except Problem as refusal:
        config, problem = None, refusal.detail
    part = fragment(
        request,
        "backups/looked.html",
        **names_of(request, frame, "restore"),
        seen=seen,
        problem=problem,
        label=ENGINES[engine].LABEL,
        to_type=_to_type(seen, name) if seen and config is not None else name,
        is_own=config is None,
    )
    return HTMLResponse(str(part))


@router.post("/restore")
def restore(
    request: Request, session: Session, project: Administered, backup_id: str, form: Sent
) -> Response:
    """Have it restored, and show how far that is."""
    instance, backup = backup_of(session, project, backup_id)
    try:
        choice = RestoreChoice(
            config=_config_of(backup.engine, form),
            identity=_identity_of(form),
            confirmation=forms.text_of(form, "confirm"),
            takes_safety_backup=forms.text_of(form, "safety") == "on",
        )
        with session.begin_nested():
            asked_by = request.state.caller.person_id
            made = restores.ask(session, backup, choice, asked_by=asked_by, now=utc_now())
    except Problem as problem:
        path = instance.page(f"backups/{backup_id}/restore")
        return redirect_with(path, problem.detail, "critical")
    path = instance.page(f"backups/{backup_id}/restores/{made.id}")
    return RedirectResponse(path, status_code=303)


@router.get("/restores/{restore_id:id}")
def show_restore(
    request: Request, session: Session, project: Viewed, backup_id: str, restore_id: str
) -> Response:
    """One restore: its steps, how far, and at its end what differs."""
    instance, backup = backup_of(session, project, backup_id)
    frame = frame_of(request, session, project) | {"instance": instance}
    row = views.get_restore(session, backup.id, restore_id)
    return page_of(
        request,
        frame,
        "restoring",
        view=views.view_of(session, backup),
        row=row,
        is_under_way=row.status in restores.UNDER_WAY,
        is_changing=row.step in restores.CHANGING,
        progress=_progress(request, frame, row),
    )


@router.get("/restores/{restore_id:id}/progress")
def show_progress(
    request: Request, session: Session, project: Viewed, backup_id: str, restore_id: str
) -> Response:
    """How far it is; once it has ended the whole page is loaded anew."""
    instance, backup = backup_of(session, project, backup_id)
    row = views.get_restore(session, backup.id, restore_id)
    if row.status not in restores.UNDER_WAY:
        return HTMLResponse("", headers={"HX-Refresh": "true"})
    frame = frame_of(request, session, project) | {"instance": instance}
    return HTMLResponse(_progress(request, frame, row))


@router.post("/restores/{restore_id:id}/cancel")
def cancel_restore(
    session: Session, project: Administered, backup_id: str, restore_id: str
) -> Response:
    """Stop it, as long as nothing was changed."""
    instance, backup = backup_of(session, project, backup_id)
    row = views.get_restore(session, backup.id, restore_id)
    return done_or_refused(
        session,
        lambda: restores.cancel(session, row, now=utc_now()),
        path=instance.page(f"backups/{backup_id}/restores/{restore_id}"),
        done="It is being stopped; nothing was changed.",
    )


def _config_of(engine: str, form: Any) -> dict[str, Any] | None:  # noqa: ANN401 - what a form sent
    """Where to: None for the backup's own target. Raises `Invalid`."""
    if forms.text_of(form, "where") != ELSEWHERE:
        return None
    config = forms.config_of(engine, form)
    if config is None:
        raise Invalid(f"{forms.config_field(engine).label} is empty; fill it in.")
    return config


def _identity_of(form: Any) -> str:  # noqa: ANN401 - what a form sent
    """The secret key, alone or with the comments of the file that it was downloaded as."""
    lines = forms.text_of(form, "identity").splitlines()
    keys = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    return keys[0] if keys else ""


def _to_type(seen: Outlook, name: str) -> str:
    return seen.shown or name


def _progress(request: Request, frame: dict[str, Any], row: BackupRestore) -> str:
    names = names_of(request, frame, "restore")
    return str(fragment(request, "backups/restore_progress.html", **names, row=row))
