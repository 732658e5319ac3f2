"""Runs as people see them: asked for once, cancelled, kept, listed page by page."""

from pathlib import Path

import pytest
from mainstay_server.areas.backups.models import Backup, BackupKind, BackupStatus, CopyStatus
from mainstay_server.areas.backups.service import runs, targets
from mainstay_server.contracts.backups import BackupAsked, BackupCancelled, BackupKept
from mainstay_server.kernel.problems import Conflict
from sqlalchemy.orm import Session
from tests.conftest import Said
from tests.databases import on_both_stores

from .standing import DAY, HOUR, NOON, a_stored_backup, a_target, an_instance, way_out

__all__ = ["way_out"]

pytestmark = pytest.mark.usefixtures("way_out")


@on_both_stores
def test_asking_twice_makes_one_backup(session: Session, said: Said, tmp_path: Path) -> None:
    target = a_target(session, an_instance(session), tmp_path)
    said()

    first = runs.ask(session, target, asked_by="alice", now=NOON)
    again = runs.ask(session, target, asked_by="alice", now=NOON + HOUR)

    assert again.id == first.id
    assert (first.status, first.kind) == (BackupStatus.QUEUED, BackupKind.MANUAL)
    assert [type(each) for each in said()] == [BackupAsked]


def test_asking_hastens_one_that_waits_for_its_retry(session: Session, tmp_path: Path) -> None:
    target = a_target(session, an_instance(session), tmp_path)
    runs.enqueue(session, target, BackupKind.SCHEDULED, due_at=NOON + HOUR, now=NOON)

    asked = runs.ask(session, target, BackupKind.BEFORE_RESTORE, now=NOON)

    assert (asked.due_at, asked.kind) == (NOON, BackupKind.BEFORE_RESTORE)


def test_one_that_waits_is_cancelled_at_once(session: Session, said: Said, tmp_path: Path) -> None:
    target = a_target(session, an_instance(session), tmp_path)
    backup = runs.ask(session, target, now=NOON)
    said()

    runs.cancel(session, backup, now=NOON)

    assert (backup.status, backup.finished_at) == (BackupStatus.CANCELLED, NOON)
    assert [type(each) for each in said()] == [BackupCancelled]
    with pytest.raises(Conflict, match="ended already"):
        runs.cancel(session, backup, now=NOON)
    assert runs.ask(session, target, now=NOON).id != backup.id


def test_one_that_runs_is_asked_to_end_once(session: Session, said: Said, tmp_path: Path) -> None:
    target = a_target(session, an_instance(session), tmp_path)
    backup = runs.ask(session, target, now=NOON)
    backup.status = BackupStatus.RUNNING
    said()

    runs.cancel(session, backup, now=NOON)
    runs.cancel(session, backup, now=NOON + HOUR)

    assert (backup.status, backup.cancel_asked_at) == (BackupStatus.RUNNING, NOON)
    assert [type(each) for each in said()] == [BackupCancelled]


def test_only_what_is_stored_can_be_kept(session: Session, said: Said, tmp_path: Path) -> None:
    target = a_target(session, an_instance(session), tmp_path)
    stored = a_stored_backup(session, target)
    waiting = runs.ask(session, target, now=NOON)
    said()

    runs.keep(session, stored, is_kept=True, now=NOON)
    runs.keep(session, stored, is_kept=True, now=NOON)
    runs.keep(session, stored, is_kept=False, now=NOON)

    assert [each.changes for each in said() if isinstance(each, BackupKept)] == [
        {"kept": (False, True)},
        {"kept": (True, False)},
    ]
    with pytest.raises(Conflict, match="no copy"):
        runs.keep(session, waiting, is_kept=True, now=NOON)


def test_the_history_comes_page_by_page_newest_first(session: Session, tmp_path: Path) -> None:
    target = a_target(session, an_instance(session), tmp_path)
    made = [a_stored_backup(session, target, at=NOON + n * DAY).id for n in range(5)]
    runs.cancel(session, runs.ask(session, target, now=NOON), now=NOON)

    first = runs.history(session, target_id=target.id, stored_only=True, limit=3)
    rest = runs.history(
        session, target_id=target.id, stored_only=True, limit=3, cursor=first.next_cursor or ""
    )

    assert [each.id for each in (*first.items, *rest.items)] == made[::-1]
    assert rest.next_cursor is None
    assert len(runs.history(session, instance_id=target.instance_id, limit=9).items) == 6


def test_progress_is_told_by_the_size_of_the_last_one(session: Session, tmp_path: Path) -> None:
    target = a_target(session, an_instance(session), tmp_path)
    a_stored_backup(session, target, plain_bytes=1000)
    backup = runs.ask(session, target, now=NOON)
    backup.status, backup.started_at, backup.progress_at = BackupStatus.RUNNING, NOON, NOON
    backup.plain_bytes, backup.bytes_per_second, backup.seconds_left = 250, 25.0, 30.0

    seen = runs.progress(session, backup, now=NOON + HOUR / 360)

    assert (seen.percent, seen.seconds_left, seen.seconds) == (25.0, 20.0, 10.0)
    assert seen.expected_bytes == 1000


def test_a_first_run_knows_no_end(session: Session, tmp_path: Path) -> None:
    target = a_target(session, an_instance(session), tmp_path)
    backup = runs.ask(session, target, now=NOON)

    seen = runs.progress(session, backup, now=NOON)

    assert (seen.percent, seen.expected_bytes, seen.seconds_left) == (None, None, None)


def test_copies_without_a_known_fault_are_read_first(session: Session, tmp_path: Path) -> None:
    instance = an_instance(session)
    target = a_target(session, instance, tmp_path)
    backup = a_stored_backup(session, target)
    (seen,) = runs.readable_copies(session, backup)

    assert seen.destination.name == "This server"
    assert seen.destination.id == targets.destinations_of(session, target.id)[0].id
    seen.copy.status = CopyStatus.REMOVED
    session.flush()
    assert runs.readable_copies(session, session.get_one(Backup, backup.id)) == []
