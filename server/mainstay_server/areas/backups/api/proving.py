"""The API that proves and restores backups: drills, and restores."""

from typing import Annotated, Any

from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.backups.service import drills, restores, runs, views
from mainstay_server.areas.backups.service.restores import RestoreChoice
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.web import Cursor, Limit, Router, example
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role

from .run_shapes import (
    BackupDrillAnswer,
    BackupDrillsAnswer,
    BackupRestoreAnswer,
    BackupRestoresAnswer,
    NewBackupDrill,
    NewBackupRestore,
    RestoreCheck,
    RestoreCheckAnswer,
)
from .telling import told_drill, told_restore

router = Router(prefix="/api/backups/{backup_id:id}")

Viewed = Annotated[str, access.via(runs.owner_of, "backup_id", Role.VIEWER)]
Administered = Annotated[str, access.via(runs.owner_of, "backup_id", Role.ADMIN)]

_BACKUP_ID = "0199b1b2-9f00-7e4f-8a5b-6c7d8e9f0a1d"
_DRILL: dict[str, Any] = {
    "id": "0199b1b3-1c00-7e4f-8a5b-6c7d8e9f0a1f",
    "backupId": _BACKUP_ID,
    "destinationId": "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c",
    "status": "passed",
    "step": "",
    "queuedAt": "2026-11-21T02:00:31.007Z",
    "startedAt": "2026-11-21T02:00:31.400Z",
    "finishedAt": "2026-11-21T02:01:12.400Z",
    "opened": True,
    "restoreSeconds": 33.1,
    "compareSeconds": 7.9,
    "tables": 41,
    "rows": 9120334,
    "differences": [],
    "reason": "",
}
_FAILED = _DRILL | {
    "status": "failed",
    "differences": [
        {"name": "public.orders", "what": "rows", "rowsBefore": 120034, "rowsAfter": 120033}
    ],
    "reason": "One table differs.",
}
_RESTORE: dict[str, Any] = {
    "id": "0199b1b4-1c00-7e4f-8a5b-6c7d8e9f0a20",
    "backupId": _BACKUP_ID,
    "to": "reader@db.example:5432/orders",
    "status": "running",
    "step": "restoring",
    "progress": {
        "plainBytes": 1073741824,
        "sealedBytes": 0,
        "bytesPerSecond": 143165576.5,
        "secondsLeft": 22.5,
    },
    "queuedAt": "2026-11-21T09:41:45.001Z",
    "startedAt": "2026-11-21T09:42:00.412Z",
    "safetyBackupId": "0199b1b4-1b00-7e4f-8a5b-6c7d8e9f0a21",
    "differences": [],
    "reason": "",
}
_LOOK = {
    "to": "reader@db.example:5432/orders",
    "server": "17.2",
    "backupServer": "17.2",
    "problem": "",
    "empty": False,
}


@router.get(
    "/drills",
    summary="List restore drills",
    operation_id="list_backup_drills",
    responses=example({"drills": [_FAILED, _DRILL]}),
)
def list_drills(
    session: Session, backup_id: Viewed, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> BackupDrillsAnswer:
    """When a backup was restored into a scratch server to be compared, newest first."""
    page = views.list_drills(session, backup_id, limit=limit, cursor=cursor)
    return BackupDrillsAnswer(
        drills=[told_drill(each) for each in page.items], next_cursor=page.next_cursor
    )


@router.post(
    "/drills",
    status_code=201,
    summary="Try a restore",
    operation_id="create_backup_drill",
    responses=example(_DRILL | {"status": "queued", "finishedAt": None}, 201),
)
def create_drill(
    request: Request, session: Session, backup_id: Administered, wanted: NewBackupDrill
) -> BackupDrillAnswer:
    """Restore it into a scratch server and compare every table, as soon as a worker is free.

    Without a key for drills copies are checked from outside only, and `opened` stays false.
    """
    backup = runs.get_backup(session, backup_id)
    made = drills.ask(
        session,
        backup,
        destination_id=wanted.destination_id,
        asked_by=request.state.caller.person_id,
        now=utc_now(),
    )
    return told_drill(made)


@router.get(
    "/drills/{drill_id:id}",
    summary="Show a restore drill",
    operation_id="get_backup_drill",
    responses=example(_FAILED),
)
def get_drill(session: Session, backup_id: Viewed, drill_id: str) -> BackupDrillAnswer:
    """One drill: how far it is, how long it took, and what differs."""
    return told_drill(views.get_drill(session, backup_id, drill_id))


@router.post(
    "/restores/check",
    summary="Look before a restore",
    operation_id="check_backup_restore",
    responses=example(_LOOK),
)
def check_restore(backup_id: Administered, wanted: RestoreCheck) -> RestoreCheckAnswer:
    """Compare the versions of both sides and see whether something is there; changes nothing."""
    seen = restores.look(backup_id, wanted.config)
    return RestoreCheckAnswer(
        to=seen.shown,
        server=seen.server,
        backup_server=seen.backup_server,
        problem=seen.problem,
        empty=seen.is_empty,
    )


@router.get(
    "/restores",
    summary="List restores",
    operation_id="list_backup_restores",
    responses=example({"restores": [_RESTORE]}),
)
def list_restores(
    session: Session, backup_id: Viewed, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> BackupRestoresAnswer:
    """What was restored from a backup, newest first."""
    page = views.list_restores(session, backup_id, limit=limit, cursor=cursor)
    return BackupRestoresAnswer(
        restores=[told_restore(each) for each in page.items], next_cursor=page.next_cursor
    )


@router.post(
    "/restores",
    status_code=201,
    summary="Restore a backup",
    operation_id="create_backup_restore",
    responses=example(_RESTORE | {"status": "queued", "startedAt": None}, 201),
)
def create_restore(
    request: Request, session: Session, backup_id: Administered, wanted: NewBackupRestore
) -> BackupRestoreAnswer:
    """Fill a target from a backup as soon as a worker is free; one restore of a target at a time.

    What is there is backed up first, and removed only when `confirm` names it. Every table is
    compared with the fingerprints at the end.
    """
    backup = runs.get_backup(session, backup_id)
    choice = RestoreChoice(
        config=wanted.config,
        destination_id=wanted.destination_id,
        identity=wanted.identity,
        confirmation=wanted.confirm,
        takes_safety_backup=wanted.safety_copy,
    )
    asked_by = request.state.caller.person_id
    return told_restore(restores.ask(session, backup, choice, asked_by=asked_by, now=utc_now()))


@router.get(
    "/restores/{restore_id:id}",
    summary="Show a restore",
    operation_id="get_backup_restore",
    responses=example(_RESTORE),
)
def get_restore(session: Session, backup_id: Viewed, restore_id: str) -> BackupRestoreAnswer:
    """One restore: which step it is at, how far, and at its end what differs."""
    return told_restore(views.get_restore(session, backup_id, restore_id))


@router.post(
    "/restores/{restore_id:id}/cancel",
    summary="Cancel a restore",
    operation_id="cancel_backup_restore",
    responses=example(_RESTORE | {"status": "cancelled", "step": "", "progress": None}),
)
def cancel_restore(
    session: Session, backup_id: Administered, restore_id: str
) -> BackupRestoreAnswer:
    """Stop a restore as long as nothing was changed; later it is refused."""
    restore = views.get_restore(session, backup_id, restore_id)
    return told_restore(restores.cancel(session, restore, now=utc_now()))
