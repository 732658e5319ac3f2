"""The API of what is backed up."""

from typing import Annotated, Any

from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import BackupTarget
from mainstay_server.areas.backups.service import figures, targets, trying, words
from mainstay_server.areas.backups.service.choosing import TargetChoice
from mainstay_server.areas.backups.service.schedules import Schedule
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, page_within
from mainstay_server.kernel.problems import NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Cursor, Limit, Router, example
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role

from .shapes import (
    BackupSummaryAnswer,
    BackupTargetAnswer,
    BackupTargetBase,
    BackupTargetChanges,
    BackupTargetCheck,
    BackupTargetCheckAnswer,
    BackupTargetsAnswer,
    NewBackupKey,
    NewBackupKeyAnswer,
    NewBackupTarget,
    NewBackupTargetAnswer,
)
from .telling import told_summary, told_target

router = Router(prefix="/api/instances/{instance_id}")

Viewed = Annotated[InstanceRef, access.instance(Role.VIEWER)]
Administered = Annotated[InstanceRef, access.instance(Role.ADMIN)]

_TARGET: dict[str, Any] = {
    "id": "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
    "instanceId": "0193a0c2-7e57-7000-8000-000000000002",
    "name": "orders",
    "engine": "postgresql",
    "shown": "reader@db.example:5432/orders",
    "enabled": True,
    "schedule": {"intervalHours": None, "cron": "0 2 * * *", "timeZone": "UTC"},
    "retention": {"days": 30, "count": 0, "daily": 0, "weekly": 0, "monthly": 0, "yearly": 0},
    "recipients": ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"],
    "hasDrillKey": True,
    "drills": "after_each",
    "drillPlaceShown": "drills@db.example:5432/orders_drill",
    "tooSmallPercent": 50,
    "hasHeartbeat": True,
    "heartbeatProblem": "",
    "destinationIds": ["0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c"],
    "createdAt": "2026-11-20T09:41:45.001Z",
    "nextRunAt": "2026-11-22T02:00:00.000Z",
    "figures": {
        "status": "succeeded",
        "lastBackupId": "0199b1b2-9f00-7e4f-8a5b-6c7d8e9f0a1d",
        "lastBackupAt": "2026-11-21T02:00:00.000Z",
        "lastVerifiedAt": "2026-11-21T02:01:12.400Z",
        "wouldBeLostSeconds": 27705.0,
        "restoreSeconds": 41.7,
        "storedCount": 2,
        "storedBytes": 1468006400,
    },
    "troubles": [],
}
_NEW = _TARGET | {"secretKey": "AGE-SECRET-KEY-1" + "…" * 8}
_SUMMARY = {
    "targets": 2,
    "enabled": 2,
    "failing": 0,
    "neverVerified": 0,
    "lastVerifiedAt": "2026-11-21T02:01:12.400Z",
    "wouldBeLostSeconds": 27705.0,
    "restoreSeconds": 41.7,
    "storedCount": 4,
    "storedBytes": 1468006400,
}
_CHECKED = {
    "engine": "postgresql",
    "shown": "reader@db.example:5432/orders",
    "server": "17.2",
    "tools": "17.2",
    "problem": "",
}


@router.get(
    "/backup-targets",
    summary="List backup targets",
    operation_id="list_backup_targets",
    responses=example({"backupTargets": [_TARGET]}),
)
def list_targets(
    session: Session, instance: Viewed, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> BackupTargetsAnswer:
    """What of an instance is backed up, by name, with how it stands."""
    found = targets.list_targets(session, instance.id)
    page = page_within(found, limit=limit, cursor=cursor, key=lambda each: (each.name, each.id))
    return BackupTargetsAnswer(
        backup_targets=_told(session, page.items), next_cursor=page.next_cursor
    )


@router.post(
    "/backup-targets",
    status_code=201,
    summary="Have something backed up",
    operation_id="create_backup_target",
    responses=example(_NEW, 201),
)
def create_target(
    session: Session, instance: Administered, wanted: NewBackupTarget
) -> NewBackupTargetAnswer:
    """Have something backed up; the first backup begins at once, unless it is made switched off.

    Without `destinationIds` copies go to this server. A secret key that was made is shown in this
    answer only.
    """
    made = targets.create_target(
        session,
        instance,
        engine=wanted.engine,
        choice=_choice(wanted, name=wanted.name, config=wanted.config),
        new_key=wanted.new_key,
        now=utc_now(),
    )
    (told,) = _told(session, [made.target])
    return NewBackupTargetAnswer(**told.model_dump(), secret_key=made.identity)


@router.post(
    "/backup-targets/check",
    summary="Try a backup target",
    operation_id="check_backup_target",
    responses=example(_CHECKED),
)
def check_target(_instance: Administered, wanted: BackupTargetCheck) -> BackupTargetCheckAnswer:
    """Ask a database or folder, before it is kept, whether it can be backed up; nothing is kept."""
    found = trying.try_config(wanted.engine, wanted.config)
    return BackupTargetCheckAnswer(engine=wanted.engine, **vars(found))


@router.get(
    "/backup-targets/{target_id:id}",
    summary="Show a backup target",
    operation_id="get_backup_target",
    responses=example(_TARGET),
)
def get_target(session: Session, instance: Viewed, target_id: str) -> BackupTargetAnswer:
    """One target, without its secrets."""
    (told,) = _told(session, [_get(session, instance, target_id)])
    return told


@router.patch(
    "/backup-targets/{target_id:id}",
    summary="Change a backup target",
    operation_id="change_backup_target",
    responses=example(_TARGET),
)
def change_target(
    session: Session, instance: Administered, target_id: str, changes: BackupTargetChanges
) -> BackupTargetAnswer:
    """Change what is given. Backups that are there stay as they are, sealed for whom they were."""
    row = _get(session, instance, target_id)
    choice = _choice(changes, name=changes.name, config=changes.config, drill_key=changes.drill_key)
    (told,) = _told(session, [targets.change_target(session, row, choice, now=utc_now())])
    return told


@router.post(
    "/backup-targets/{target_id:id}/check",
    summary="Try a backup target that is there",
    operation_id="check_present_backup_target",
    responses=example(_CHECKED),
)
def check_present(instance: Administered, target_id: str) -> BackupTargetCheckAnswer:
    """Ask the database or folder of a target whether it still answers, and by which version."""
    with reading() as session:
        row = _get(session, instance, target_id)
        engine, config = row.engine, row.config
    return BackupTargetCheckAnswer(engine=engine, **vars(trying.try_kept(engine, config)))


@router.post(
    "/backup-targets/{target_id:id}/keys",
    status_code=201,
    summary="Make another key of a target",
    operation_id="create_backup_key",
    responses=example({"secretKey": _NEW["secretKey"], "recipient": _TARGET["recipients"][0]}, 201),
)
def create_key(
    session: Session, instance: Administered, target_id: str, wanted: NewBackupKey
) -> NewBackupKeyAnswer:
    """Make a pair of keys beside those that are there; the secret one is in this answer only.

    It opens the backups that are made from now on.
    """
    row = _get(session, instance, target_id)
    secret = targets.make_key(session, row, keeps_key=wanted.keep_for_drills, now=utc_now())
    return NewBackupKeyAnswer(secret_key=secret, recipient=row.recipients[-1])


@router.delete(
    "/backup-targets/{target_id:id}",
    status_code=204,
    summary="Back something up no longer",
    operation_id="remove_backup_target",
)
def remove_target(session: Session, instance: Administered, target_id: str) -> None:
    """Stop backing something up, and forget its history; copies stay where they lie."""
    targets.remove_target(session, _get(session, instance, target_id), now=utc_now())


@router.get(
    "/backups/summary",
    summary="Sum up the backups of an instance",
    operation_id="get_backup_summary",
    responses=example(_SUMMARY),
)
def get_summary(session: Session, instance: Viewed) -> BackupSummaryAnswer:
    """How the backups of an instance stand: the worst of its targets, the sum of what is stored.

    `lastVerifiedAt` and `wouldBeLostSeconds` are left out while a target has none.
    """
    found = targets.list_targets(session, instance.id)
    seen = figures.figures_of(session, [each.id for each in found])
    return told_summary(found, seen, now=utc_now())


def _get(session: Session, instance: InstanceRef, target_id: str) -> BackupTarget:
    row = targets.get_target(session, target_id)
    if row.instance_id != instance.id:
        raise NotFound("There is no such target, or it is not yours; list them first.")
    return row


def _choice(given: BackupTargetBase, **own: Any) -> TargetChoice:  # noqa: ANN401 - as the fields are
    schedule, retention = given.schedule, given.retention
    return TargetChoice(
        destinations=given.destination_ids,
        is_enabled=given.enabled,
        schedule=Schedule(**schedule.model_dump()) if schedule else None,
        retention={f"keep_{name}": value for name, value in retention.model_dump().items()}
        if retention
        else None,
        recipients=given.recipients,
        drills=given.drills,
        drill_place=given.drill_place,
        too_small_percent=given.too_small_percent,
        heartbeat_url=given.heartbeat_url,
        **own,
    )


def _told(session: Session, rows: Any) -> list[BackupTargetAnswer]:  # noqa: ANN401 - a sequence
    now = utc_now()
    seen = figures.figures_of(session, [row.id for row in rows])
    return [
        told_target(
            row,
            figures=seen[row.id],
            destination_ids=[each.id for each in targets.destinations_of(session, row.id)],
            troubles=words.troubles_of(row),
            now=now,
        )
        for row in rows
    ]
