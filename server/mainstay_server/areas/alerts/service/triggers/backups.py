"""What backups say, as alerts: of each target one that is grave or mild, until all is well."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import AlertType, Severity
from mainstay_server.areas.alerts.service.firing import (
    Firing,
    find_active,
    fire,
    identity_of,
    resolve,
)
from mainstay_server.areas.alerts.service.rules import rule_for
from mainstay_server.contracts.backups import (
    BackupFailed,
    BackupLate,
    BackupRecovered,
    BackupTold,
    BackupTooSmall,
    has_backup_trouble,
)
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import find_instance

KIND = AlertType.BACKUP_FAILED
MILD = "mild"
HEADS = {
    "run": "the backup of {} failed",
    "destination": "the backup of {} is not stored everywhere",
    "verification": "a copy of {} is damaged",
    "drill": "a backup of {} did not restore",
}


def record_failed(session: Session, event: BackupFailed, *, now: datetime) -> None:
    """A backup cannot be relied on; one that only lacks a copy somewhere is a warning."""
    title = HEADS[event.what].format(event.name)
    _fire(session, event, title, event.reason, is_mild=event.what == "destination", now=now)


def record_late(session: Session, event: BackupLate, *, now: datetime) -> None:
    """A backup should be there and is not."""
    last = (
        f"The last good one began at {event.last_at:%Y-%m-%d %H:%M} UTC."
        if event.last_at
        else "There never was one."
    )
    message = (
        f"It should have been there by {event.expected_at:%Y-%m-%d %H:%M} UTC. {last}"
        " See that a worker runs, and what became of its last runs."
    )
    _fire(session, event, f"the backup of {event.name} is late", message, now=now)


def record_too_small(session: Session, event: BackupTooSmall, *, now: datetime) -> None:
    """A backup is so small that something may have been lost before it was made: a warning."""
    message = (
        f"The dump has {event.plain_bytes:,} bytes, and the last ones had {event.usual_bytes:,}."
        " See whether something is missing while older backups still hold it."
    )
    title = f"the backup of {event.name} is much smaller than usual"
    _fire(session, event, title, message, is_mild=True, now=now)


def record_recovered(session: Session, event: BackupRecovered, *, now: datetime) -> None:
    """Nothing is wrong with a target's backups any more."""
    for about in (event.target_id, f"{event.target_id}:{MILD}"):
        identity = identity_of(KIND, about)
        resolve(session, event.instance_id, identity, resolution=event.reason, now=now)


def _fire(
    session: Session,
    event: BackupTold,
    title: str,
    message: str,
    *,
    is_mild: bool = False,
    now: datetime,
) -> None:
    """Open or count the target's alert; a grave one takes the place of a mild one.

    Trouble and recovery are heard by different reactions, so that trouble may be heard after its
    end: whether it lasts is asked.
    """
    instance = find_instance(session, event.instance_id)
    if instance is None or _is_over(session, event):
        return
    grave, mild = event.target_id, f"{event.target_id}:{MILD}"
    if is_mild and find_active(session, instance.id, identity_of(KIND, grave)) is not None:
        return
    before = None if is_mild else find_active(session, instance.id, identity_of(KIND, mild))
    firing = Firing(
        type=KIND,
        about=mild if is_mild else grave,
        title=f"{instance.project_slug} {instance.environment}: {title}",
        message=message,
        severity=_milder(session, instance) if is_mild else None,
        supersedes=before.id if before else "",
    )
    alert_id = fire(session, instance, firing, now=now)
    if before is not None and alert_id is not None:
        resolve(
            session,
            instance.id,
            identity_of(KIND, mild),
            resolution="It became worse.",
            superseded_by=alert_id,
            now=now,
        )


def _is_over(session: Session, event: BackupTold) -> bool:
    return has_backup_trouble.is_answered and not has_backup_trouble(session, event.target_id)


def _milder(session: Session, instance: InstanceRef) -> Severity:
    severity = rule_for(session, instance.project_id, instance.id, KIND).severity
    return min(severity, Severity.WARNING, key=lambda each: each.rank)
