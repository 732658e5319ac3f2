"""The API of single backups: ask for one, follow it, read it, keep it, remove it."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import Query
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from mainstay_server.areas.backups.models import BackupStatus
from mainstay_server.areas.backups.service import (
    keeping,
    rechecking,
    recovery,
    removal,
    runs,
    stored_manifests,
    targets,
    views,
)
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.web import Cursor, Limit, Router, example
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role

from .run_shapes import (
    BackupAnswer,
    BackupFate,
    BackupRetentionAnswer,
    BackupRetentionQuery,
    BackupsAnswer,
    KeepBackup,
)
from .telling import told_backup

router = Router(prefix="/api")

ViewedTarget = Annotated[str, access.via(targets.owner_of, "target_id", Role.VIEWER)]
AdministeredTarget = Annotated[str, access.via(targets.owner_of, "target_id", Role.ADMIN)]
Viewed = Annotated[str, access.via(runs.owner_of, "backup_id", Role.VIEWER)]
Administered = Annotated[str, access.via(runs.owner_of, "backup_id", Role.ADMIN)]

_BACKUP: dict[str, Any] = {
    "id": "0199b1b2-9f00-7e4f-8a5b-6c7d8e9f0a1d",
    "targetId": "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
    "targetName": "orders",
    "instanceId": "0193a0c2-7e57-7000-8000-000000000002",
    "engine": "postgresql",
    "kind": "scheduled",
    "status": "succeeded",
    "reason": "",
    "queuedAt": "2026-11-21T02:00:00.000Z",
    "startedAt": "2026-11-21T02:00:00.412Z",
    "finishedAt": "2026-11-21T02:00:31.007Z",
    "plainBytes": 4294967296,
    "sealedBytes": 734003200,
    "verifiedAt": "2026-11-21T02:01:12.400Z",
    "kept": False,
    "notes": [],
    "copies": [
        {
            "destinationId": "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c",
            "destinationName": "Other region",
            "kind": "s3",
            "status": "stored",
            "reason": "",
            "fault": "",
            "storedAt": "2026-11-21T02:00:30.900Z",
            "checkedAt": "2026-11-21T02:01:12.400Z",
        }
    ],
}
_WAITING = _BACKUP | {
    "kind": "manual",
    "status": "running",
    "finishedAt": None,
    "verifiedAt": None,
    "copies": [],
    "progress": {
        "plainBytes": 1073741824,
        "sealedBytes": 183500800,
        "bytesPerSecond": 143165576.5,
        "secondsLeft": 22.5,
        "at": "2026-11-21T02:00:08.000Z",
    },
}
_STAYS = {
    "id": _BACKUP["id"],
    "finishedAt": _BACKUP["finishedAt"],
    "bytes": _BACKUP["sealedBytes"],
    "reasons": ["newest", "days"],
}
_GOES = _STAYS | {"id": "0199b1b2-7000-7e4f-8a5b-6c7d8e9f0a1e", "reasons": []}
_TEXT = {"type": "string"}
_MANIFEST = {"format": "mainstay-backup/1", "id": _BACKUP["id"], "engine": "postgresql"}


@router.get(
    "/backup-targets/{target_id:id}/backups",
    summary="List backups",
    operation_id="list_backups",
    responses=example({"backups": [_BACKUP]}),
)
def list_backups(
    session: Session,
    target_id: ViewedTarget,
    status: Annotated[BackupStatus | None, Query(description="Only backups that are this.")] = None,
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> BackupsAnswer:
    """The backups of a target, newest first, those under way and those that failed as well."""
    target = targets.get_target(session, target_id)
    page = views.list_backups(session, target, status=status, limit=limit, cursor=cursor)
    return BackupsAnswer(
        backups=[told_backup(each) for each in page.items], next_cursor=page.next_cursor
    )


@router.post(
    "/backup-targets/{target_id:id}/backups",
    status_code=201,
    summary="Back up now",
    operation_id="create_backup",
    responses=example(_WAITING, 201),
)
def create_backup(
    request: Request, session: Session, target_id: AdministeredTarget
) -> BackupAnswer:
    """Make a backup as soon as a worker is free. One that waits already is the one that you get."""
    target = targets.get_target(session, target_id)
    asked_by = request.state.caller.person_id
    made = runs.ask(session, target, asked_by=asked_by, now=utc_now())
    return told_backup(views.view_of(session, made))


@router.get(
    "/backup-targets/{target_id:id}/retention",
    summary="Preview what retention removes",
    operation_id="preview_backup_retention",
    responses=example({"backups": [_STAYS, _GOES]}),
)
def preview_retention(
    session: Session, target_id: ViewedTarget, tried: Annotated[BackupRetentionQuery, Query()]
) -> BackupRetentionAnswer:
    """What would stay and go now, by the rules of the target or by those that are given.

    The removal asks the same function, so that it does what this says.
    """
    target = targets.get_target(session, target_id)
    policy = tried.policy(target.time_zone)
    return _told_fates(keeping.preview(session, target, policy=policy, now=utc_now()))


@router.post(
    "/backup-targets/{target_id:id}/cleanup",
    summary="Remove what retention lets go",
    operation_id="clean_up_backups",
    responses=example({"backups": [_STAYS, _GOES]}),
)
def clean_up(target_id: AdministeredTarget) -> BackupRetentionAnswer:
    """Do now what happens every hour by itself; tells what was decided about each backup."""
    return _told_fates(keeping.clean_up(target_id, now=utc_now()))


@router.get(
    "/backups/{backup_id:id}",
    summary="Show a backup",
    operation_id="get_backup",
    responses=example(_WAITING),
)
def get_backup(session: Session, backup_id: Viewed) -> BackupAnswer:
    """One backup: how far it is while it is under way, and its copies."""
    return told_backup(views.view_of(session, runs.get_backup(session, backup_id)))


@router.post(
    "/backups/{backup_id:id}/cancel",
    summary="Cancel a backup",
    operation_id="cancel_backup",
    responses=example(_BACKUP | {"status": "cancelled", "verifiedAt": None, "copies": []}),
)
def cancel_backup(session: Session, backup_id: Administered) -> BackupAnswer:
    """Stop one that is under way, within seconds; nothing of it stays at any destination."""
    backup = runs.get_backup(session, backup_id)
    runs.cancel(session, backup, now=utc_now())
    return told_backup(views.view_of(session, backup))


@router.post(
    "/backups/{backup_id:id}/keep",
    summary="Keep a backup for good",
    operation_id="keep_backup",
    responses=example(_BACKUP | {"kept": True}),
)
def keep_backup(session: Session, backup_id: Administered, wanted: KeepBackup) -> BackupAnswer:
    """Keep it whatever retention says, or leave it to retention again."""
    backup = runs.get_backup(session, backup_id)
    runs.keep(session, backup, is_kept=wanted.kept, now=utc_now())
    return told_backup(views.view_of(session, backup))


@router.post(
    "/backups/{backup_id:id}/verify",
    summary="Check the copies of a backup",
    operation_id="verify_backup",
    responses=example(_BACKUP),
)
def verify_backup(session: Session, backup_id: Administered) -> BackupAnswer:
    """Read every copy whole and compare it with its signed manifest, within about a minute.

    Until then `checkedAt` of the copies is left out; then `fault` names what was found.
    """
    backup = runs.get_backup(session, backup_id)
    rechecking.ask_again(session, backup)
    return told_backup(views.view_of(session, backup))


@router.delete(
    "/backups/{backup_id:id}",
    status_code=204,
    summary="Remove a backup",
    operation_id="remove_backup",
)
def remove_backup(
    backup_id: Administered,
    *,
    even_the_last: Annotated[
        bool,
        Query(alias="evenTheLast", description="Also the newest one that is known to restore."),
    ] = False,
) -> None:
    """Remove its copies from every destination; it stays in the history without them."""
    outcomes = removal.remove_backup(backup_id, even_the_last=even_the_last, now=utc_now())
    removal.refuse_if_left(outcomes)


@router.get(
    "/backups/{backup_id:id}/manifest",
    summary="Read a backup's manifest",
    operation_id="get_backup_manifest",
    response_class=Response,
    responses={
        200: {"content": {"application/json": {"schema": {"type": "object"}, "example": _MANIFEST}}}
    },
)
def get_manifest(session: Session, backup_id: Viewed) -> Response:
    """The signed manifest as it lies beside each copy, byte for byte."""
    data = stored_manifests.signed_bytes(session, backup_id)
    return Response(data, media_type="application/json")


@router.get(
    "/backups/{backup_id:id}/recovery-sheet",
    summary="Get the recovery sheet",
    operation_id="get_recovery_sheet",
    response_class=Response,
    responses={
        200: {
            "content": {
                "text/plain": {"schema": _TEXT, "example": "How to restore orders of 2026-11-21\n"},
                "text/html": {"schema": _TEXT, "example": "<!doctype html>\n"},
            }
        }
    },
)
def get_sheet(
    session: Session,
    backup_id: Viewed,
    format: Annotated[  # noqa: A002 - the parameter's name outside
        Literal["text", "html"], Query(description="Plain text, or a page to print.")
    ] = "text",
) -> Response:
    """How to restore this backup without Mainstay, with common tools and the secret key."""
    manifest = stored_manifests.read_manifest(session, backup_id)
    places = stored_manifests.where_copies_lie(session, backup_id)
    if format == "html":
        policy = {"content-security-policy": stored_manifests.sheet_policy()}
        return HTMLResponse(recovery.as_html(manifest, places), headers=policy)
    return PlainTextResponse(recovery.as_text(manifest, places))


def _told_fates(judged: Sequence[keeping.Judged]) -> BackupRetentionAnswer:
    return BackupRetentionAnswer(
        backups=[
            BackupFate(
                id=each.backup.id,
                finished_at=each.backup.finished_at or each.backup.queued_at,
                bytes=each.backup.sealed_bytes,
                reasons=list(each.decision.reasons),
            )
            for each in judged
        ]
    )
