"""Backups as doors tell them: each with its target's name and its copies, in a few statements."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import (
    THERE,
    Backup,
    BackupDrill,
    BackupRestore,
    BackupStatus,
    BackupTarget,
)
from mainstay_server.areas.backups.service.runs import CopySeen, copies_of
from mainstay_server.kernel.pagination import Page, decode_cursor, decode_moment, page_of
from mainstay_server.kernel.problems import NotFound

MOST_DRILLS = 50


@dataclass(frozen=True)
class BackupView:
    """A backup, the target that it is of, and its copies."""

    backup: Backup
    target: BackupTarget
    copies: Sequence[CopySeen]

    @property
    def stored(self) -> int:
        """How many of its copies can be read."""
        return sum(each.copy.status in THERE for each in self.copies)

    @property
    def seconds(self) -> float | None:
        """How long it took, or takes already at the time of its last progress."""
        backup = self.backup
        ended = backup.finished_at or backup.progress_at
        if backup.started_at is None or ended is None:
            return None
        return (ended - backup.started_at).total_seconds()


def list_backups(
    session: Session,
    target: BackupTarget,
    *,
    status: BackupStatus | None = None,
    limit: int,
    cursor: str = "",
) -> Page[BackupView]:
    """The backups of a target, newest first, those under way and those that failed too."""
    statement = sa.select(Backup).where(Backup.target_id == target.id)
    if status is not None:
        statement = statement.where(Backup.status == status)
    if position := decode_cursor(cursor, parts=2):
        after = (decode_moment(position[0]), str(position[1]))
        statement = statement.where(sa.tuple_(Backup.queued_at, Backup.id) < after)
    found = session.scalars(
        statement.order_by(Backup.queued_at.desc(), Backup.id.desc()).limit(limit + 1)
    ).all()
    page = page_of(found, limit=limit, key=lambda each: (each.queued_at.isoformat(), each.id))
    return Page(views_of(session, page.items, {target.id: target}), page.next_cursor)


def view_of(session: Session, backup: Backup) -> BackupView:
    """One backup that is at hand."""
    target = session.get_one(BackupTarget, backup.target_id)
    (view,) = views_of(session, [backup], {target.id: target})
    return view


def views_of(
    session: Session, backups: Iterable[Backup], targets: Mapping[str, BackupTarget]
) -> list[BackupView]:
    """Backups with their copies, by the name of the destination."""
    backups = list(backups)
    copies = copies_of(session, [each.id for each in backups])
    return [BackupView(each, targets[each.target_id], copies[each.id]) for each in backups]


def list_drills(
    session: Session, backup_id: str, *, limit: int = MOST_DRILLS, cursor: str = ""
) -> Page[BackupDrill]:
    """The drills of a backup, newest first."""
    statement = sa.select(BackupDrill).where(BackupDrill.backup_id == backup_id)
    if position := decode_cursor(cursor, parts=1):
        statement = statement.where(BackupDrill.id < str(position[0]))
    found = session.scalars(statement.order_by(BackupDrill.id.desc()).limit(limit + 1)).all()
    return page_of(found, limit=limit, key=lambda each: (each.id,))


def list_restores(
    session: Session, backup_id: str, *, limit: int, cursor: str = ""
) -> Page[BackupRestore]:
    """The restores from a backup, newest first."""
    statement = sa.select(BackupRestore).where(BackupRestore.backup_id == backup_id)
    if position := decode_cursor(cursor, parts=1):
        statement = statement.where(BackupRestore.id < str(position[0]))
    found = session.scalars(statement.order_by(BackupRestore.id.desc()).limit(limit + 1)).all()
    return page_of(found, limit=limit, key=lambda each: (each.id,))


def get_drill(session: Session, backup_id: str, drill_id: str) -> BackupDrill:
    """One drill of a backup. Raises `NotFound`."""
    drill = session.get(BackupDrill, drill_id)
    if drill is None or drill.backup_id != backup_id:
        raise NotFound("This backup has no such drill; go back to it.")
    return drill


def get_restore(session: Session, backup_id: str, restore_id: str) -> BackupRestore:
    """One restore from a backup. Raises `NotFound`."""
    restore = session.get(BackupRestore, restore_id)
    if restore is None or restore.backup_id != backup_id:
        raise NotFound("There is no such restore from this backup; go back to it.")
    return restore
