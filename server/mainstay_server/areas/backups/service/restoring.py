"""Restoring: fill a target from a backup, after all that could go wrong was looked at before.

Nothing is changed until the versions fit, the safety backup is stored, and the copy was read whole
and found sound. From then on a restore goes through to its end, or says that it did not.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import (
    LONGEST_REASON,
    STORED,
    UNDER_WAY,
    Backup,
    BackupDestination,
    BackupRestore,
    BackupStatus,
    BackupTarget,
    RestoreStatus,
)
from mainstay_server.areas.backups.providers import ENGINES
from mainstay_server.areas.backups.schemas import EngineFailed
from mainstay_server.contracts.backups import replay_erasures
from mainstay_server.kernel.copies.destinations import DestinationFailed
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.problems import Conflict, Problem

from . import filling, holding, point_in_time
from .drilling import known_copies
from .filling import NotFilled, Source
from .folders import sweep, work_folder
from .holding import Hold, TakenOver
from .manifests import manifest_key_of, public_key
from .places import url_of
from .point_in_time import Piece
from .reaching import reached
from .restores import CHANGING, NOT_EMPTY
from .runs import readable_copies
from .verifying import Verdict, find_manifest, verify

DIED = (
    "The server ended in the middle of the restore. Look at the target, which may hold a part of"
    " the backup, and restore it again."
)
CANCELLED = "It was cancelled; nothing changed."
PROGRESS = {
    "plain_bytes": "plain_bytes",
    "bytes_per_second": "bytes_per_second",
    "seconds_left": "seconds_left",
}


class _Stopped(Exception):
    """The restore ends here; the text is why, and `values` go into its row."""

    def __init__(self, text: str, **values: Any) -> None:  # noqa: ANN401 - columns
        super().__init__(text)
        self.values = values


@dataclass(frozen=True, kw_only=True)
class _Task:
    restore: BackupRestore
    backup: Backup
    target: BackupTarget
    safety: Backup | None
    destination: BackupDestination | None
    known: dict[str, str]

    @property
    def config(self) -> dict[str, Any]:
        return self.target.config if self.restore.config is None else self.restore.config


def run_next(*, now: datetime) -> str | None:
    """Carry out the restore that has waited longest; returns its id, or None when none is ready.

    One is not whose safety backup is being made, or whose target is. It takes as long as the
    restore and opens transactions of its own. One whose worker was killed is begun again once, if
    nothing had been changed; else it has failed.
    """
    sweep()
    if not holding.is_there_work(BackupRestore):
        return None
    safety = sa.select(Backup.id).where(
        Backup.id == BackupRestore.safety_backup_id, Backup.status.in_(UNDER_WAY)
    )
    made = sa.select(Backup.id).where(
        Backup.target_id == BackupRestore.target_id, Backup.status == BackupStatus.RUNNING
    )
    with transaction() as session:
        _give_up_dead(session, now=now)
        hold = holding.claim(session, BackupRestore, ~safety.exists(), ~made.exists(), now=now)
    if hold is None:
        return None
    with reading() as session:
        task = _task_of(session, hold)
    with suppress(TakenOver):
        with holding.kept(hold):
            values = _carried_out(task, hold)
        with transaction() as session:
            ended = {"identity": "", "seconds_left": None, **values}
            holding.end(session, hold, ended, now=hold.now)
    return hold.id


def _give_up_dead(session: Session, *, now: datetime) -> None:
    untouched = BackupRestore.step.not_in(CHANGING)
    for restore_id in holding.take_back(
        session, BackupRestore, may_again=untouched, reason=DIED, now=now
    ):
        session.get_one(BackupRestore, restore_id).identity = ""


def _task_of(session: Session, hold: Hold) -> _Task:
    restore = session.get_one(BackupRestore, hold.id)
    backup = session.get_one(Backup, restore.backup_id)
    copies = readable_copies(session, backup)
    if restore.destination_id is not None:
        copies = [each for each in copies if each.destination.id == restore.destination_id]
    safety = restore.safety_backup_id
    return _Task(
        restore=restore,
        backup=backup,
        target=session.get_one(BackupTarget, backup.target_id),
        safety=None if safety is None else session.get_one(Backup, safety),
        destination=copies[0].destination if copies else None,
        known=known_copies(session, backup),
    )


def _carried_out(task: _Task, hold: Hold) -> dict[str, Any]:
    """Do it; returns what goes into the row. Raises `TakenOver`."""
    try:
        config = reached(task.config)
        source, log = _checked(task, config, hold), _log_of(task)
        with work_folder() as folder:
            engine = ENGINES[task.backup.engine]
            if _must_be_emptied(task, config, source):
                _begin_to_change(hold, "emptying")
                engine.empty(config)
            _begin_to_change(hold, "restoring")
            watch = holding.watching(hold, PROGRESS)
            filling.fill(engine, config, source, folder=folder, watch=watch)
            hold.seen |= {"step": "comparing", "seconds_left": None}
            found = filling.compared(engine, config, source.manifest, folder=folder)
            if log and not found.differences:
                _add_log(task, log, hold, folder)
        erasures = _erased_again(task, source, hold)
    except _Stopped as stop:
        return {"status": RestoreStatus.FAILED, "reason": str(stop)[:LONGEST_REASON], **stop.values}
    except NotFilled as error:
        return {"status": RestoreStatus.FAILED, "reason": str(error)[:LONGEST_REASON]}
    except (EngineFailed, Problem, DestinationFailed) as error:
        return {"status": RestoreStatus.FAILED, "reason": filling.told(error)[:LONGEST_REASON]}
    differences = list(found.differences)
    return {
        "status": RestoreStatus.FAILED if differences else RestoreStatus.SUCCEEDED,
        "reason": filling.in_words(differences)[:LONGEST_REASON] if differences else "",
        "differences": filling.as_json(differences),
        "erasures": erasures,
    }


def _log_of(task: _Task) -> Sequence[Piece]:
    """What else it takes to reach the time that somebody wants. Raises `Problem`."""
    to_time = point_in_time.wanted_time(task.config)
    if not to_time:
        return ()
    with reading() as session:
        return point_in_time.pieces(session, task.backup, to_time)


def _add_log(task: _Task, log: Sequence[Piece], hold: Hold, folder: Path) -> None:
    """Bring a restored cluster's log, by which it reaches its time."""
    hold.seen["step"] = "restoring"
    point_in_time.complete(
        log,
        task.config,
        identities=[task.restore.identity],
        known=task.known,
        folder=folder,
        watch=holding.watching(hold, PROGRESS),
    )


def _checked(task: _Task, config: Mapping[str, Any], hold: Hold) -> Source:
    """Everything that may be found out before anything is changed. Raises `_Stopped`."""
    if task.safety is not None and task.safety.status not in STORED:
        raise _Stopped(
            f"What is there could not be backed up before ({task.safety.reason.rstrip('.')}), and"
            " so nothing was changed. Decline that backup if there is nothing left to save."
        )
    hold.seen["step"] = "checking"
    if task.destination is None:
        raise _Stopped("Its copies are gone; nothing was changed.")
    try:
        destination = url_of(task.destination)
    except DestinationFailed as error:
        raise _Stopped(f"{error} Nothing was changed.") from None
    key = manifest_key_of(task.backup.key, backup_id=task.backup.id)
    named = {"destination": destination, "manifest_key": key, "backup_id": task.backup.id}
    manifest = find_manifest(**named, trusted=[public_key()])
    if isinstance(manifest, Verdict):
        raise _Stopped(f"{manifest.text} Nothing was changed.")
    identities = [task.restore.identity]
    source = Source(
        manifest=manifest, destination=destination, identities=identities, known=task.known
    )
    _must_be_emptied(task, config, source)
    hold.seen["step"] = "reading"
    verdict = verify(**named, trusted=[public_key()], identities=identities, known=task.known)
    if verdict.fault is not None:
        raise _Stopped(f"{verdict.text} Nothing was changed.")
    return source


def _must_be_emptied(task: _Task, config: Mapping[str, Any], source: Source) -> bool:
    """Whether something there is to be removed first. Raises `Conflict` for what is in the way."""
    try:
        ENGINES[task.backup.engine].check_restore(config, source.manifest.versions)
    except Conflict as refusal:
        if refusal.code == NOT_EMPTY and task.restore.empties:
            return True
        raise
    return False


def _begin_to_change(hold: Hold, step: str) -> None:
    """From here on nobody cancels it. Raises `_Stopped` when somebody just did."""
    with transaction() as session:
        if holding.change(session, hold, BackupRestore.cancel_asked_at.is_(None), step=step):
            hold.seen["step"] = step
            return
        row = session.get_one(BackupRestore, hold.id)
        if row.fence != hold.fence or row.status != RestoreStatus.RUNNING:
            raise TakenOver(hold.id)
    raise _Stopped(CANCELLED, status=RestoreStatus.CANCELLED)


def _erased_again(task: _Task, source: Source, hold: Hold) -> int | None:
    if not replay_erasures.is_answered:
        return None
    hold.seen["step"] = "erasing"
    return replay_erasures(
        task.backup.instance_id,
        engine=task.backup.engine,
        config=task.config,
        taken_at=source.manifest.started_at,
        now=hold.now,
    )
