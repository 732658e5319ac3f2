"""Sweeping: what runs that ended without a word left behind, here and at their destinations."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import (
    STORED,
    THERE,
    UNDER_WAY,
    Backup,
    BackupCopy,
    BackupDestination,
    BackupTarget,
)
from mainstay_server.kernel.copies.destinations import Locked, reason_of
from mainstay_server.kernel.copies.opened import open_destination
from mainstay_server.kernel.database import reading, transaction

from . import claims, folders
from .places import url_of
from .targets import destinations_of

log = logging.getLogger(__name__)

MOST_AT_ONCE = 50


@dataclass(frozen=True)
class _Order:
    backup_id: str
    folder: str
    destinations: Sequence[BackupDestination]
    with_copies: frozenset[str]


def mend(*, now: datetime) -> int:
    """End runs of dead processes, sweep up what they left unfinished; returns how many ended."""
    with transaction() as session:
        broken = len(claims.fail_broken(session, now=now))
    sweep_unfinished(now=now)
    return broken


def sweep_unfinished(*, now: datetime) -> None:
    """Sweep up what runs that have ended left, at most 50 of them.

    It may run anywhere and again: only what was never shown is removed, and what was shown without
    a word in the history. A destination that is away is asked once, and again by the next round.
    """
    with reading() as session:
        unswept = session.scalars(
            sa.select(Backup.id)
            .where(Backup.is_swept.is_(False), Backup.status.not_in(UNDER_WAY))
            .order_by(sa.func.random())  # those of stores that are away are not always the first
            .limit(MOST_AT_ONCE)
        ).all()
    if unswept:
        folders.sweep()
    away: set[str] = set()
    for backup_id in unswept:
        sweep_one(backup_id, away=away, now=now)


def sweep_one(backup_id: str, *, away: set[str] | None = None, now: datetime) -> bool:
    """Remove whatever an ended run left that is no copy; whether nothing can be left any more.

    Destinations that are `away` are left out, and those that turn out to be are added to them.
    """
    with reading() as session:
        order = _order(session, backup_id)
    if order is None:
        return True
    away = set() if away is None else away
    for each in order.destinations:
        if each.id not in away and not _sweep_at(each, order, now=now):
            away.add(each.id)
    is_clean = away.isdisjoint(each.id for each in order.destinations)
    if is_clean:
        with transaction() as session:
            session.execute(sa.update(Backup).where(Backup.id == backup_id).values(is_swept=True))
    return is_clean


def _order(session: Session, backup_id: str) -> _Order | None:
    backup = session.get(Backup, backup_id)
    if backup is None or backup.is_swept or backup.status in UNDER_WAY:
        return None
    target = session.get_one(BackupTarget, backup.target_id)
    there = sa.select(BackupCopy.destination_id).where(
        BackupCopy.backup_id == backup_id, BackupCopy.status.in_(THERE)
    )
    with_copies = session.scalars(there).all() if backup.status in STORED else []
    return _Order(
        backup_id,
        target.folder,
        destinations_of(session, target.id),
        frozenset(with_copies),
    )


def _sweep_at(destination: BackupDestination, order: _Order, *, now: datetime) -> bool:
    """Sweep one destination; False when it has to be tried again."""
    try:
        place = open_destination(url_of(destination))
        place.sweep(order.folder, of=order.backup_id)
        if destination.id in order.with_copies:
            return True
        for key in place.keys(order.folder):
            # The name holds the run's id: what it showed before it was killed is no backup.
            if order.backup_id in key:
                place.remove(key, now=now)
    except Locked as error:
        log.warning("something of the failed backup %s is left: %s", order.backup_id, error)
        return True
    except Exception as error:  # noqa: BLE001 - the store is away; the next round tries again
        log.info("%s could not be swept: %s", destination.name, reason_of(error))
        return False
    return True
