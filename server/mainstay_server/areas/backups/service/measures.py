"""The age of backups as a number that rules compare."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import STORED, Backup, BackupTarget
from mainstay_server.kernel.measures import Measure, MeasureFamily, Reading

AGE = "backups.age"
HOUR_SECONDS = 3600


def read(session: Session, *, since: datetime, until: datetime, by_part: bool) -> Sequence[Reading]:
    """The hours since each target's last good backup began, or those of the oldest one.

    Without any, they count from when the first one was expected.
    """
    _ = since  # as it is now
    newest = sa.func.max(
        sa.func.coalesce(Backup.started_at, Backup.queued_at, BackupTarget.expected_since)
    )
    good = sa.and_(
        Backup.target_id == BackupTarget.id,
        Backup.status.in_(STORED),
        Backup.removed_at.is_(None),
    )
    rows = session.execute(
        sa.select(BackupTarget.instance_id, BackupTarget.name, newest)
        .outerjoin(Backup, good)
        .where(BackupTarget.is_enabled)
        .group_by(BackupTarget.id, BackupTarget.instance_id, BackupTarget.name)
    )
    ages: dict[str, dict[str, float]] = {}
    for instance_id, name, last in rows:
        hours = (until - last).total_seconds() / HOUR_SECONDS
        ages.setdefault(instance_id, {})[name] = max(hours, 0.0)
    return [
        Reading(instance_id=instance_id, values={AGE: hours}, part=part, count=len(by_target))
        for instance_id, by_target in ages.items()
        for part, hours in (by_target.items() if by_part else (("", max(by_target.values())),))
    ]


BACKUPS = MeasureFamily(
    measures=(
        Measure(
            name=AGE,
            title="Age of the last good backup",
            unit="hours",
            description="Since the last stored backup began; of several targets the oldest one's.",
        ),
    ),
    read=read,
    part="backup target",
    windowed=False,
)
