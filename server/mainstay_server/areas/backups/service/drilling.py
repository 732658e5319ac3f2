"""Drilling: restore a backup into a scratch server, compare it with what was dumped, time it.

Where somebody gave a drill place, that is filled instead, and emptied again.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from mainstay_server.areas.backups.models import (
    LONGEST_REASON,
    THERE,
    Backup,
    BackupCopy,
    BackupDestination,
    BackupDrill,
    BackupTarget,
    DrillStatus,
)
from mainstay_server.areas.backups.providers import ENGINES
from mainstay_server.areas.backups.schemas import EngineFailed, Versions
from mainstay_server.contracts.backups import Trouble
from mainstay_server.kernel.copies.destinations import DestinationFailed
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.problems import Problem

from . import filling, holding, troubles
from .checking import has_faulty_newer
from .filling import NotFilled, Source
from .folders import sweep, work_folder
from .holding import Hold, TakenOver
from .lending import lent
from .manifests import manifest_key_of, public_key
from .places import url_of
from .removal import verified_ids
from .runs import readable_copies
from .verifying import Fault, Verdict, find_manifest, verify

MOST_KNOWN = 10_000
NOT_OPENED = (
    "It is as it was written; it was not opened, for no secret key was given for drills. Only a"
    " drill with a key proves that it restores."
)
DIED = "The server ended in the middle of the drill, twice; try it again."


class _Busy(Exception):
    """A drill of the same target runs, or the target is being changed."""


@dataclass(frozen=True, kw_only=True)
class _Task:
    backup: Backup
    target: BackupTarget
    destination: BackupDestination
    known: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """How a drill ended; `verdict` is what is wrong with the copy, and `values` go into the row."""

    reason: str
    passed: bool
    verdict: Verdict | None = None
    values: dict[str, Any]


def run_next(*, now: datetime) -> str | None:
    """Carry out the drill that has waited longest; returns its id, or None when none waits.

    It takes as long as a restore and opens transactions of its own. One whose worker was killed
    is begun again once, and has failed when that is killed, too. What the killed left is removed.
    """
    sweep()
    if not holding.is_there_work(BackupDrill):
        return None
    with transaction() as session:
        _give_up_dead(session, now=now)
    hold = _claimed(now=now)
    if hold is None:
        return None
    with reading() as session:
        task = _task_of(session, hold)
    with suppress(TakenOver):
        with holding.kept(hold):
            outcome = _tried(task, hold)
        with transaction() as session:
            _record(session, hold, outcome, task, now=hold.now)
    return hold.id


def _claimed(*, now: datetime) -> Hold | None:
    """Take the next drill. Of each target one at a time runs, for they may fill the same place."""
    with suppress(_Busy), transaction() as session:
        hold = holding.claim(session, BackupDrill, ~_others_running().exists(), now=now)
        if hold is not None:
            _refuse_second(session, hold)
        return hold
    return None


def _others_running() -> sa.Select[str]:
    other = aliased(BackupDrill)
    return sa.select(other.id).where(
        other.target_id == BackupDrill.target_id,
        other.id != BackupDrill.id,
        other.status == DrillStatus.RUNNING,
    )


def _refuse_second(session: Session, hold: Hold) -> None:
    """Of two workers that took two drills at once, one lets go. Raises `_Busy`."""
    drill = session.get_one(BackupDrill, hold.id)
    target = sa.select(BackupTarget.id).where(BackupTarget.id == drill.target_id)
    # Whoever waits for the target here may hold what its owner waits for: the next turn tries it.
    if session.scalar(target.with_for_update(skip_locked=True)) is None:
        raise _Busy
    mine = sa.select(BackupDrill.id).where(BackupDrill.id == hold.id, _others_running().exists())
    if session.scalar(mine) is not None:
        raise _Busy


def _give_up_dead(session: Session, *, now: datetime) -> None:
    failed = holding.take_back(session, BackupDrill, may_again=sa.true(), reason=DIED, now=now)
    for drill_id in failed:
        drill = session.get_one(BackupDrill, drill_id)
        target = session.get_one(BackupTarget, drill.target_id)
        troubles.record_failed(
            session, target, what="drill", backup_id=drill.backup_id, reason=DIED, now=now
        )


def _task_of(session: Session, hold: Hold) -> _Task | None:
    """What there is to do; None when the copy is gone meanwhile."""
    drill = session.get_one(BackupDrill, hold.id)
    backup = session.get_one(Backup, drill.backup_id)
    copies = readable_copies(session, backup)
    if drill.destination_id is not None:
        copies = [each for each in copies if each.destination.id == drill.destination_id]
    if not copies:
        return None
    return _Task(
        backup=backup,
        target=session.get_one(BackupTarget, backup.target_id),
        destination=copies[0].destination,
        known=known_copies(session, backup),
    )


def known_copies(session: Session, backup: Backup) -> dict[str, str]:
    """The SHA-256 of the newest other copies of the project, with the ids of their backups."""
    others = (
        sa.select(Backup.sha256, Backup.id)
        .where(Backup.project_id == backup.project_id, Backup.id != backup.id, Backup.sha256 != "")
        .order_by(Backup.id.desc())
        .limit(MOST_KNOWN)
    )
    return dict(iter(session.execute(others)))


def _tried(task: _Task | None, hold: Hold) -> _Outcome:
    if task is None:
        return _Outcome(
            reason="Its copies are gone; nothing could be tried.", passed=False, values={}
        )
    try:
        destination = url_of(task.destination)
    except DestinationFailed as error:
        return _Outcome(reason=str(error), passed=False, values={})
    key = manifest_key_of(task.backup.key, backup_id=task.backup.id)
    named = {"destination": destination, "manifest_key": key, "backup_id": task.backup.id}
    if not task.target.drill_key:
        hold.seen["step"] = "reading"
        verdict = verify(**named, trusted=[public_key()], known=task.known)
        reason = NOT_OPENED if verdict.fault is None else verdict.text
        return _Outcome(reason=reason, passed=verdict.fault is None, verdict=verdict, values={})
    manifest = find_manifest(**named, trusted=[public_key()])
    if isinstance(manifest, Verdict):
        return _Outcome(reason=manifest.text, passed=False, verdict=manifest, values={})
    source = Source(
        manifest=manifest,
        destination=destination,
        identities=[task.target.drill_key],
        known=task.known,
    )
    return _drilled(task, source, hold)


def _drilled(task: _Task, source: Source, hold: Hold) -> _Outcome:
    engine, manifest = ENGINES[task.backup.engine], source.manifest
    watch = holding.watching(hold, {"plain_bytes": "plain_bytes", "seconds_left": "seconds_left"})
    seconds, found, problem = 0.0, None, ""
    try:
        hold.seen["step"] = "starting"
        with (
            work_folder() as folder,
            _somewhere(task, manifest.versions, hold, folder=folder) as config,
        ):
            hold.seen["step"] = "restoring"
            seconds = filling.fill(engine, config, source, folder=folder, watch=watch)
            hold.seen |= {"step": "comparing", "seconds_left": None}
            found = filling.compared(engine, config, manifest, folder=folder)
    except NotFilled as error:
        return _Outcome(reason=str(error), passed=False, verdict=error.verdict, values={})
    except (EngineFailed, Problem) as error:
        problem = filling.told(error)
    if found is None:
        return _Outcome(reason=problem, passed=False, values={})
    differences = list(found.differences)
    values = {
        "is_opened": True,
        "restore_seconds": seconds,
        "compare_seconds": found.seconds,
        "tables": found.tables,
        "rows": found.rows,
        "differences": filling.as_json(differences),
    }
    told = [filling.in_words(differences) if differences else "", problem]
    reason = " ".join(each for each in told if each)
    sound = Verdict(None, "", is_opened=True)
    return _Outcome(reason=reason, passed=not reason, verdict=sound, values=values)


def _somewhere(
    task: _Task, versions: Versions, hold: Hold, *, folder: Path
) -> AbstractContextManager[Mapping[str, Any]]:
    """An empty place to restore into: the one that somebody gave, or a scratch server of ours."""
    engine = ENGINES[task.backup.engine]
    if task.target.drill_place is None:
        return engine.scratch(versions, folder=folder)
    return lent(engine, task.target, versions, hold)


def _record(
    session: Session, hold: Hold, outcome: _Outcome, task: _Task | None, *, now: datetime
) -> None:
    status = DrillStatus.PASSED if outcome.passed else DrillStatus.FAILED
    values = {
        "status": status,
        "reason": outcome.reason[:LONGEST_REASON],
        "destination_id": task.destination.id if task else None,
        "seconds_left": None,
        **outcome.values,
    }
    holding.end(session, hold, values, now=now)
    if task is None:
        return
    _judge_copy(session, task, outcome.verdict, now=now)
    target = session.get_one(BackupTarget, task.target.id)
    backup = session.get_one(Backup, task.backup.id, with_for_update=True)
    if (
        outcome.verdict
        and outcome.verdict.fault
        and backup.id not in verified_ids(session, target.id)
    ):
        backup.verified_at = None
    is_proven = outcome.passed and bool(outcome.values.get("is_opened"))
    if is_proven or outcome.values.get("differences"):
        backup.verified_at = now if is_proven else None
    # What a drill with the key found is not over because one without it looked from outside.
    what: Trouble = "drill" if task.target.drill_key else "verification"
    if outcome.passed:
        if is_proven or not has_faulty_newer(session, backup):
            troubles.settle(session, target, what, reason="A drill passed.", now=now)
    else:
        reason = f"{outcome.reason} It was read from {task.destination.name}."
        troubles.record_failed(
            session, target, what=what, backup_id=task.backup.id, reason=reason, now=now
        )


def _judge_copy(session: Session, task: _Task, verdict: Verdict | None, *, now: datetime) -> None:
    """Remember what a copy was found to be; one that could not be reached is not judged."""
    if verdict is None or verdict.fault is Fault.UNREADABLE:
        return
    session.execute(
        sa.update(BackupCopy)
        .where(
            BackupCopy.backup_id == task.backup.id,
            BackupCopy.destination_id == task.destination.id,
            BackupCopy.status.in_(THERE),
        )
        .values(checked_at=now, fault=verdict.fault or "")
    )
