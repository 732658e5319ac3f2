"""One backup: how far it is, its copies and drills, and what its buttons do."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from mainstay_server.areas.backups.models import UNDER_WAY, Backup, BackupDrill, DrillStatus
from mainstay_server.areas.backups.providers import ENGINES
from mainstay_server.areas.backups.service import (
    drills,
    rechecking,
    recovery,
    removal,
    runs,
    stored_manifests,
    views,
)
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.problems import Conflict, NotFound, Problem
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.frame import done_or_refused, redirect_with
from mainstay_server.ui import fragment

from .frame import (
    PREFIX,
    Administered,
    Text,
    Viewed,
    backup_of,
    frame_of,
    names_of,
    page_of,
    refuse_unless_meant,
)

router = Router(prefix=PREFIX + "/{backup_id:id}", include_in_schema=False)

DRILLING = (DrillStatus.QUEUED, DrillStatus.RUNNING)
SHOWN_DRILLS = 20
SHOWN_RESTORES = 20


@router.get("")
def show_backup(request: Request, session: Session, project: Viewed, backup_id: str) -> Response:
    """Everything about one backup."""
    instance, backup = backup_of(session, project, backup_id)
    frame = frame_of(request, session, project) | {"instance": instance}
    view = views.view_of(session, backup)
    tried = views.list_drills(session, backup.id, limit=SHOWN_DRILLS).items
    return page_of(
        request,
        frame,
        "backup",
        view=view,
        view_label=ENGINES[backup.engine].LABEL,
        progress=_progress(request, session, frame, backup) if backup.status in UNDER_WAY else "",
        is_drilling=any(each.status in DRILLING for each in tried),
        shown_drills=_drills(request, frame, tried),
        restores=views.list_restores(session, backup.id, limit=SHOWN_RESTORES).items,
        manifest=_manifest(session, backup),
    )


@router.get("/progress")
def show_progress(request: Request, session: Session, project: Viewed, backup_id: str) -> Response:
    """How far it is; once it has ended the whole page is loaded anew."""
    instance, backup = backup_of(session, project, backup_id)
    if backup.status not in UNDER_WAY:
        return HTMLResponse("", headers={"HX-Refresh": "true"})
    frame = frame_of(request, session, project) | {"instance": instance}
    return HTMLResponse(str(_progress(request, session, frame, backup)))


@router.get("/drills")
def show_drills(request: Request, session: Session, project: Viewed, backup_id: str) -> Response:
    """Its drills, the one that runs with how far it is; the page is loaded anew once it ended."""
    instance, backup = backup_of(session, project, backup_id)
    tried = views.list_drills(session, backup.id, limit=SHOWN_DRILLS).items
    if not any(each.status in DRILLING for each in tried):
        return HTMLResponse("", headers={"HX-Refresh": "true"})
    frame = frame_of(request, session, project) | {"instance": instance}
    return HTMLResponse(_drills(request, frame, tried))


@router.post("/drill")
def drill_backup(
    request: Request, session: Session, project: Administered, backup_id: str
) -> Response:
    """Restore it into a scratch server and compare."""
    instance, backup = backup_of(session, project, backup_id)
    asked_by = request.state.caller.person_id
    return done_or_refused(
        session,
        lambda: drills.ask(session, backup, asked_by=asked_by, now=utc_now()),
        path=_path(instance, backup_id),
        done="It is tried as soon as a worker is free; the result stands below.",
    )


@router.post("/verify")
def verify_backup(session: Session, project: Administered, backup_id: str) -> Response:
    """Read every copy again."""
    instance, backup = backup_of(session, project, backup_id)
    return done_or_refused(
        session,
        lambda: rechecking.ask_again(session, backup),
        path=_path(instance, backup_id),
        done="Every copy is read whole within a minute or so; reload the page then.",
    )


@router.post("/cancel")
def cancel_backup(session: Session, project: Administered, backup_id: str) -> Response:
    """Stop it."""
    instance, backup = backup_of(session, project, backup_id)
    return done_or_refused(
        session,
        lambda: runs.cancel(session, backup, now=utc_now()),
        path=_path(instance, backup_id),
        done="It is being stopped; nothing of it stays at any destination.",
    )


@router.post("/keep")
def keep_backup(
    session: Session, project: Administered, backup_id: str, kept: Text = "yes"
) -> Response:
    """Keep it for good, or leave it to retention again."""
    instance, backup = backup_of(session, project, backup_id)
    is_kept = kept == "yes"
    return done_or_refused(
        session,
        lambda: runs.keep(session, backup, is_kept=is_kept, now=utc_now()),
        path=_path(instance, backup_id),
        done="Kept for good." if is_kept else "Retention decides about it again.",
    )


@router.post("/remove")
def remove_backup(project: Administered, backup_id: str, confirm: Text = "") -> Response:
    """Remove its copies everywhere, when the target's name was typed."""
    with reading() as session:
        instance, backup = backup_of(session, project, backup_id)
        name = views.view_of(session, backup).target.name
    try:
        refuse_unless_meant(confirm, name)
        removal.refuse_if_left(removal.remove_backup(backup_id, now=utc_now()))
    except Problem as problem:
        return redirect_with(_path(instance, backup_id), problem.detail, "critical")
    return redirect_with(_path(instance, backup_id), "Its copies are removed, everywhere.")


@router.get("/sheet")
def show_sheet(session: Session, project: Viewed, backup_id: str) -> Response:
    """The recovery sheet, to print."""
    backup_of(session, project, backup_id)
    manifest = stored_manifests.read_manifest(session, backup_id)
    sheet = recovery.as_html(manifest, stored_manifests.where_copies_lie(session, backup_id))
    policy = {"content-security-policy": stored_manifests.sheet_policy()}
    return HTMLResponse(sheet, headers=policy)


@router.get("/manifest")
def download_manifest(session: Session, project: Viewed, backup_id: str) -> Response:
    """The signed manifest as a file."""
    backup_of(session, project, backup_id)
    data = stored_manifests.signed_bytes(session, backup_id)
    named = {"content-disposition": f'attachment; filename="{backup_id}.manifest.json"'}
    return Response(data, media_type="application/json", headers=named)


def _progress(request: Request, session: Session, frame: dict[str, Any], backup: Backup) -> str:
    found = runs.progress(session, backup, now=frame["now"])
    return fragment(
        request,
        "backups/progress.html",
        **names_of(request, frame, "backup"),
        backup=backup,
        found=found,
    )


def _drills(request: Request, frame: dict[str, Any], tried: Sequence[BackupDrill]) -> str:
    names = names_of(request, frame, "backup")
    return fragment(request, "backups/drills.html", **names, drills=tried)


def _manifest(session: Session, backup: Backup) -> Any:  # noqa: ANN401 - a manifest, or none
    try:
        return stored_manifests.read_manifest(session, backup.id)
    except (NotFound, Conflict):  # no copy is stored, or it cannot be believed
        return None


def _path(instance: InstanceRef, backup_id: str) -> str:
    return instance.page(f"backups/{backup_id}")
