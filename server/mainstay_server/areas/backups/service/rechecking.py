"""Checking again: somebody wants to know now whether the copies are still as they were written."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import THERE, Backup, BackupCopy
from mainstay_server.kernel.database import rows_changed
from mainstay_server.kernel.problems import Conflict


def ask_again(session: Session, backup: Backup) -> int:
    """Have every copy of a backup read whole, within a minute or as soon as others were read.

    Until then it has not been checked. Returns how many. Raises `Conflict` when there is none.
    """
    there = sa.update(BackupCopy).where(
        BackupCopy.backup_id == backup.id, BackupCopy.status.in_(THERE)
    )
    asked = rows_changed(session, there.values(checked_at=None))
    if not asked:
        raise Conflict("There is no copy of this backup to check; choose another backup.")
    session.expire_all()
    return asked
