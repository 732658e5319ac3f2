"""What the tests of the doors see: a world with a target that has a past."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mainstay_server.areas import backups
from mainstay_server.areas.backups.models import (
    Backup,
    BackupDrill,
    BackupStatus,
    BackupTarget,
    DrillStatus,
)
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import new_id, transaction
from tests.world import World

from .standing import a_stored_backup, a_target

DAY = timedelta(days=1)


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    """Alice, Bob and Charlie before the doors."""
    return client_for(backups.area)


def target_of(world: World, folder: Path, **said: Any) -> str:
    """The id of a target of Alice's and Bob's project, switched off so that nothing runs."""
    with transaction() as session:
        return a_target(session, world.instance, folder, is_enabled=False, **said).id


def backup_of(target_id: str, *, at: datetime | None = None, **of_it: Any) -> str:
    """The id of a stored backup of a target; now, unless it is said when."""
    with transaction() as session:
        target = session.get_one(BackupTarget, target_id)
        backup = a_stored_backup(session, target, at=at or utc_now(), **of_it)
        return backup.id


def become(backup_id: str, status: BackupStatus, **values: Any) -> None:
    """Let a backup be what a test needs."""
    with transaction() as session:
        backup = session.get_one(Backup, backup_id)
        backup.status = status
        for name, value in values.items():
            setattr(backup, name, value)


def a_drill(backup_id: str, status: DrillStatus = DrillStatus.PASSED, **values: Any) -> str:
    """The id of a drill that has ended."""
    with transaction() as session:
        backup = session.get_one(Backup, backup_id)
        drill = BackupDrill(
            id=new_id(),
            organization_id=backup.organization_id,
            project_id=backup.project_id,
            instance_id=backup.instance_id,
            target_id=backup.target_id,
            backup_id=backup.id,
            status=status,
            queued_at=utc_now(),
            started_at=utc_now(),
            finished_at=utc_now(),
            **{
                "is_opened": True,
                "restore_seconds": 1.5,
                "compare_seconds": 0.5,
                "differences": [],
                **values,
            },
        )
        session.add(drill)
        session.flush()
        return drill.id
