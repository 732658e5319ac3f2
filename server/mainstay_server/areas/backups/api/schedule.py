"""The schedule of all backups of an instance, over HTTP (REQUIREMENTS P9)."""

from typing import Annotated, Any

from pydantic import Field
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.service import alarms, due, targets
from mainstay_server.areas.backups.service.schedules import LONGEST_INTERVAL_HOURS
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Answer, Body, Router, example
from mainstay_server.kernel.web.bodies import Instant
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role

router = Router(prefix="/api/instances/{instance_id}")

Viewed = Annotated[InstanceRef, access.instance(Role.VIEWER)]
Administered = Annotated[InstanceRef, access.instance(Role.ADMIN)]
Hours = Annotated[int, Field(ge=1, le=LONGEST_INTERVAL_HOURS, examples=[6])]
Days = Annotated[int, Field(ge=1, le=due.MOST_DAYS, examples=[30])]

_SCHEDULE: dict[str, Any] = {
    "enabled": True,
    "intervalHours": 6,
    "retentionDays": 30,
    "targets": 2,
    "late": 0,
    "lastBackupAt": "2026-11-21T02:00:00.000Z",
    "nextRunAt": "2026-11-21T08:00:00.000Z",
}


class BackupScheduleBody(Body):
    """What to change; what is left out stays as it is."""

    enabled: bool | None = Field(None, examples=[True])
    interval_hours: Hours | None = None
    retention_days: Days | None = None


class BackupScheduleAnswer(Answer):
    """The schedule, and what comes of it: `late` are targets whose backup should be there."""

    enabled: bool
    interval_hours: int
    retention_days: int
    targets: int
    late: int
    last_backup_at: Instant | None
    next_run_at: Instant | None


@router.get(
    "/backup-schedule",
    summary="The backup schedule of an instance",
    operation_id="get_backup_schedule",
    responses=example(_SCHEDULE),
)
def get_schedule(session: Session, instance: Viewed) -> BackupScheduleAnswer:
    """What was said of all backups of the instance, or holds by default: every 6 hours, 30 days."""
    return _told(session, instance)


@router.post(
    "/backup-schedule",
    summary="Set the backup schedule of an instance",
    operation_id="set_backup_schedule",
    responses=example(_SCHEDULE),
)
def set_schedule(
    session: Session, instance: Administered, body: BackupScheduleBody
) -> BackupScheduleAnswer:
    """Set it for all targets of the instance and for those to come.

    Targets with a cron expression keep that, and take the rest.
    """
    before = due.find_schedule(session, instance)
    said = due.Said(
        enabled=before.enabled if body.enabled is None else body.enabled,
        interval_hours=body.interval_hours or before.interval_hours,
        retention_days=body.retention_days or before.retention_days,
    )
    due.set_schedule(session, instance, said, now=utc_now())
    return _told(session, instance)


def _told(session: Session, instance: InstanceRef) -> BackupScheduleAnswer:
    said, found = due.find_schedule(session, instance), targets.list_targets(session, instance.id)
    seen = [alarms.punctuality(session, each, now=utc_now()) for each in found]
    return BackupScheduleAnswer(
        enabled=said.enabled,
        interval_hours=said.interval_hours,
        retention_days=said.retention_days,
        targets=len(found),
        late=sum(each.is_late for each in seen),
        last_backup_at=max((each.last_at for each in seen if each.last_at), default=None),
        next_run_at=min((each.next_run_at for each in found if each.next_run_at), default=None),
    )
