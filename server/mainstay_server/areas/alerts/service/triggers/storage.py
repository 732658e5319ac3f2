"""Buckets that are nearly full, as alerts that end when there is room again."""

import hashlib
from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import AlertType, Severity
from mainstay_server.areas.alerts.service.firing import Firing, fire, identity_of, resolve
from mainstay_server.contracts.storage import (
    StorageLimitEnded,
    StorageLimitEvent,
    StorageLimitReached,
)
from mainstay_server.tenancy.subjects import find_instance

THRESHOLDS = (80, 90, 100)
ALL = 100


def record_full(session: Session, event: StorageLimitReached, *, now: datetime) -> None:
    """A bucket, or one owner's part of it, is nearly full: critical when nothing more fits."""
    instance = find_instance(session, event.instance_id)
    if instance is None:
        return
    whose = f"{event.owner[:80]} in the bucket {event.name}" if event.owner else event.name
    firing = Firing(
        type=AlertType.STORAGE_LIMIT,
        about=_about(event, event.percent),
        title=f"{instance.project_slug} {instance.environment}: {event.percent} % of the storage of"
        f" {whose} are used",
        message=(
            f"{event.used:,} of {event.limit:,} {event.what} are used. Delete files, or raise the"
            " quota on the page Storage."
        ),
        severity=Severity.CRITICAL if event.percent >= ALL else None,
    )
    fire(session, instance, firing, now=now)


def record_room(session: Session, event: StorageLimitEnded, *, now: datetime) -> None:
    """There is room again: all alerts about it are over."""
    for percent in THRESHOLDS:
        identity = identity_of(AlertType.STORAGE_LIMIT, _about(event, percent))
        resolve(
            session,
            event.instance_id,
            identity,
            resolution="Less than 75 % are used again.",
            now=now,
        )


def _about(event: StorageLimitEvent, percent: int) -> str:
    """Owners may be long, so a digest stands for them."""
    owner = hashlib.sha256(event.owner.encode()).hexdigest()[:12] if event.owner else ""
    return f"{event.bucket_id}:{owner}:{percent}"
