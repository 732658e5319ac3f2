"""Cleaning up one target now: what retention lets go is removed at once, and told."""

from contextlib import suppress
from datetime import datetime

from mainstay_server.areas.backups.service.keeping import Judged, preview
from mainstay_server.areas.backups.service.removal import remove_backup
from mainstay_server.areas.backups.service.targets import get_target
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.problems import Conflict

MOST_AT_ONCE = 500


def clean_up(target_id: str, *, now: datetime) -> list[Judged]:
    """Remove what no rule keeps, at most 500 backups; returns what was decided about each.

    It takes as long as the stores take, and opens transactions of its own. One that is read at
    the moment stays until the next round. Raises `NotFound`.
    """
    with reading() as session:
        judged = preview(session, get_target(session, target_id), now=now)
        going = [each.backup.id for each in judged if not each.decision.stays]
        session.expunge_all()
    for backup_id in going[:MOST_AT_ONCE]:
        with suppress(Conflict):
            remove_backup(backup_id, now=now)
    return judged
