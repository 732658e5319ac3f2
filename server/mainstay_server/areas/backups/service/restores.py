"""Restores as people see them: look first, ask for one, cancel it while nothing has changed yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import (
    STORED,
    Backup,
    BackupKind,
    BackupRestore,
    BackupTarget,
    RestoreStatus,
)
from mainstay_server.areas.backups.providers import ENGINES
from mainstay_server.areas.backups.schemas import EngineFailed
from mainstay_server.contracts.backups import BackupRestoreAsked, BackupRestoreCancelled
from mainstay_server.kernel.copies.crypts import recipient_of
from mainstay_server.kernel.database import new_id, reading
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.problems import Conflict, Invalid

from . import drill_places, point_in_time, runs
from .choosing import LONGEST_SHOWN, checked_config
from .reaching import reached
from .runs import get_backup, readable_copies
from .stored_manifests import read_manifest

UNDER_WAY = (RestoreStatus.QUEUED, RestoreStatus.RUNNING)
# Until one of these is written down nothing has been changed, and the restore can be cancelled.
CHANGING = ("emptying", "restoring", "comparing", "erasing")
NOT_EMPTY = "target-not-empty"
NO_KEY = (
    "A restore needs a secret key that opens the backup (AGE-SECRET-KEY-1…): the target keeps none"
    " for drills, so give one of those that its recipients were made with."
)


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What a restore would meet, asked before anybody wants it.

    `shown` is where it would go, `server` the version there and `backup_server` the backup's.
    `problem` is why it cannot, as a person is told it, with its
    `code`; "" when nothing stands in its way. `is_empty` tells whether something there would have
    to be removed first; None when it could not be asked.
    """

    shown: str
    server: str = ""
    backup_server: str
    problem: str = ""
    code: str = ""
    is_empty: bool | None = None


@dataclass(frozen=True, kw_only=True)
class RestoreChoice:
    """What somebody says of a restore.

    Without a `config` it goes back to the backup's own target. `identity` is a secret key that
    opens the copy, kept sealed until the restore has ended; "" takes the target's drill key.
    `confirmation` must be the target's name (or, with a config, where it goes, as it is shown)
    for what is there to be removed first; "" leaves it alone. `takes_safety_backup` has what is
    there backed up before anything is changed; there is none of a config that is no target.
    """

    config: Mapping[str, Any] | None = field(default=None, repr=False)
    destination_id: str | None = None
    identity: str = field(default="", repr=False)
    confirmation: str = ""
    takes_safety_backup: bool = True


def look(backup_id: str, config: Mapping[str, Any] | None = None) -> Outlook:
    """Compare versions and see what is there, without changing anything.

    It takes as long as the target takes to answer, and opens transactions of its own. Raises
    `NotFound`, and `Invalid` for a config that cannot be.
    """
    with reading() as session:
        backup = get_backup(session, backup_id)
        target = session.get_one(BackupTarget, backup.target_id)
        manifest = read_manifest(session, backup.id)
    kept = target.config if config is None else checked_config(backup.engine, config)
    engine = ENGINES[backup.engine]
    shown = target.shown if config is None else engine.shown(kept)
    seen: dict[str, Any] = {"shown": shown, "backup_server": manifest.server}
    try:
        found = reached(kept)
        seen["server"] = engine.find_versions(found).server
        engine.check_restore(found, manifest.versions)
    except Conflict as refusal:
        if refusal.code == NOT_EMPTY:
            return Outlook(**seen, is_empty=False)
        return Outlook(**seen, problem=refusal.detail, code=refusal.code)
    except EngineFailed as error:
        return Outlook(**seen, problem=str(error), code="target-away")
    return Outlook(**seen, is_empty=True)


def ask(
    session: Session, backup: Backup, choice: RestoreChoice, *, asked_by: str, now: datetime
) -> BackupRestore:
    """Have a target filled from a backup as soon as a worker is free; one at a time runs.

    First the safety backup, when there is to be one; without it nothing is changed.

    Raises:
        Invalid: the key does not open it, the config cannot be, or the confirmation is another.
        Conflict: there is no copy to read, a restore of this target is under way, or it would go
            where drills fill and empty.
    """
    target = session.get_one(BackupTarget, backup.target_id, with_for_update=True)
    _refuse_without_copy(session, backup, choice.destination_id)
    _refuse_second(session, target)
    config, shown = _where(session, target, backup, choice)
    if to_time := point_in_time.wanted_time(config):
        point_in_time.pieces(session, backup, to_time)
    if choice.confirmation and choice.confirmation != (shown if config else target.name):
        raise Invalid(
            f"To have what is there removed, type {shown if config else target.name} exactly.",
            code="not-confirmed",
        )
    restore = BackupRestore(
        id=new_id(),
        organization_id=backup.organization_id,
        project_id=backup.project_id,
        instance_id=backup.instance_id,
        target_id=target.id,
        backup_id=backup.id,
        destination_id=choice.destination_id,
        config=config,
        shown=shown[:LONGEST_SHOWN],
        empties=bool(choice.confirmation),
        identity=_opening(session, target, backup, choice.identity),
        status=RestoreStatus.QUEUED,
        asked_by=asked_by,
        queued_at=now,
        differences=[],
    )
    if config is None and choice.takes_safety_backup:
        safety = runs.ask(session, target, BackupKind.BEFORE_RESTORE, asked_by=asked_by, now=now)
        restore.safety_backup_id, restore.step = safety.id, "safety backup"
    session.add(restore)
    session.flush()
    is_saved = restore.safety_backup_id is not None
    facts = {"status": restore.status, "empties": restore.empties, "safety_backup": is_saved}
    names, changes = ids_of(restore, target), changes_between({}, facts)
    say(session, BackupRestoreAsked(**names, changes=changes), now=now)
    return restore


def cancel(session: Session, restore: BackupRestore, *, now: datetime) -> BackupRestore:
    """Want a restore no longer. Raises `Conflict` once the target is being changed."""
    session.refresh(restore, with_for_update=True)
    if restore.status not in UNDER_WAY:
        raise Conflict(f"The restore has ended already ({restore.status}); nothing is cancelled.")
    if restore.step in CHANGING:
        raise Conflict(
            "The target is being changed already, and half a restore helps nobody; wait for its"
            " end.",
            code="already-changing",
        )
    if restore.cancel_asked_at is not None:
        return restore
    before = {"status": restore.status}
    restore.cancel_asked_at = now
    if restore.status == RestoreStatus.QUEUED:
        restore.status, restore.finished_at = RestoreStatus.CANCELLED, now
        restore.reason, restore.identity, restore.step = (
            "It was cancelled; nothing changed.",
            "",
            "",
        )
    session.flush()
    target = session.get_one(BackupTarget, restore.target_id)
    changes = changes_between(before, {"status": RestoreStatus.CANCELLED})
    say(session, BackupRestoreCancelled(**ids_of(restore, target), changes=changes), now=now)
    return restore


def ids_of(restore: BackupRestore, target: BackupTarget) -> dict[str, str]:
    """What every audited event about a restore carries."""
    return {
        "organization_id": restore.organization_id,
        "project_id": restore.project_id,
        "instance_id": restore.instance_id,
        "restore_id": restore.id,
        "backup_id": restore.backup_id,
        "name": target.name,
        "shown": restore.shown,
    }


def _refuse_without_copy(session: Session, backup: Backup, destination_id: str | None) -> None:
    copies = readable_copies(session, backup)
    if destination_id is not None:
        copies = [each for each in copies if each.destination.id == destination_id]
    if backup.status not in STORED or not copies:
        raise Conflict("There is no copy of this backup to restore; choose another backup.")


def _refuse_second(session: Session, target: BackupTarget) -> None:
    others = sa.select(BackupRestore.id).where(
        BackupRestore.target_id == target.id, BackupRestore.status.in_(UNDER_WAY)
    )
    if session.scalar(others.limit(1)) is not None:
        raise Conflict("A restore of this target is under way; wait for it, or cancel it first.")


def _where(
    session: Session, target: BackupTarget, backup: Backup, choice: RestoreChoice
) -> tuple[dict[str, Any] | None, str]:
    if choice.config is None:
        return None, target.shown
    config = checked_config(backup.engine, choice.config)
    drill_places.refuse_into(session, target.organization_id, config)
    return config, ENGINES[backup.engine].shown(config)


def _opening(session: Session, target: BackupTarget, backup: Backup, identity: str) -> str:
    """The secret key that the copy is opened with, which must be one that it was sealed for."""
    chosen = identity.strip() or target.drill_key
    if not chosen:
        raise Invalid(NO_KEY, code="key-missing")
    recipient = recipient_of(chosen)
    if recipient is None:
        raise Invalid("The key is no secret key of age; it begins by AGE-SECRET-KEY-1.")
    if recipient not in read_manifest(session, backup.id).recipients:
        raise Invalid(
            f"The backup was not sealed for this key (its public one is {recipient}); give the one"
            " that belongs to a recipient in the manifest.",
            code="key-other",
        )
    return chosen
