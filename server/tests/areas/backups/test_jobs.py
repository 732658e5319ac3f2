"""Jobs of backups: what retention takes, and what it never does."""

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from mainstay_server.areas.backups import jobs
from mainstay_server.areas.backups.models import (
    Backup,
    BackupCopy,
    BackupKind,
    BackupStatus,
    BackupTarget,
    CopyStatus,
    DestinationKind,
)
from mainstay_server.areas.backups.service import (
    claims,
    destinations,
    keeping,
    removal,
    runs,
    sweeping,
)
from mainstay_server.areas.backups.service.manifests import manifest_key_of
from mainstay_server.areas.backups.service.schedules import DAILY_AT_TWO
from mainstay_server.contracts.backups import BackupLate, BackupRemoved
from mainstay_server.kernel.copies.opened import open_destination
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import said_events
from mainstay_server.kernel.problems import Conflict
from sqlalchemy.orm import Session
from tests.kernel.copies.test_destinations import lock, locking_bucket
from tests.servers.s3 import S3Server, s3

from .standing import (
    DAY,
    HOUR,
    NOON,
    a_folder,
    a_stored_backup,
    a_target,
    an_instance,
    project_of,
    way_out,
)
from .worlds import allow

__all__ = ["s3", "way_out"]

MINUTE = timedelta(minutes=1)

pytestmark = pytest.mark.usefixtures("way_out", "database", "shared_memory")


def stored_with_files(
    session: Session, tmp_path: Path, ages: list[int], *, verified: int = -1
) -> tuple[list[Backup], Path]:
    """Backups of so many days ago in the folder `disk`, each with its object and its manifest."""
    allow(tmp_path)
    instance = an_instance(session)
    disk = a_folder(session, instance, tmp_path / "disk")
    target = a_target(
        session, instance, tmp_path, destinations=[disk.id], retention={"keep_days": 7}
    )
    made = [
        a_stored_backup(session, target, at=NOON - age * DAY, is_verified=n == verified)
        for n, age in enumerate(ages)
    ]
    for each in made:
        for key in (each.key, manifest_key_of(each.key, backup_id=each.id)):
            path = tmp_path / "disk" / key
            path.parent.mkdir(exist_ok=True)
            path.write_text(each.id)
    return made, tmp_path / "disk" / target.folder


def there(folder: Path) -> set[str]:
    return {each.read_text() for each in folder.iterdir()}


def test_what_the_preview_says_is_what_happens(tmp_path: Path) -> None:
    with transaction() as session:
        made, folder = stored_with_files(session, tmp_path, [40, 30, 20, 3, 1], verified=1)
        target = runs.get_backup(session, made[0].id).target_id
        told = keeping.preview(session, session.get_one(BackupTarget, target), now=NOON)
    stays = {each.backup.id for each in told if each.decision.stays}
    assert stays == {made[1].id, made[3].id, made[4].id}

    jobs.remove_old_backups.function(now=NOON)

    assert there(folder) == stays
    with reading() as session:
        for each in made:
            row = session.get_one(Backup, each.id)
            assert (row.removed_at is None) is (each.id in stays)
        page = runs.history(session, target_id=target, stored_only=True, limit=9)
        assert {each.id for each in page.items} == stays


def test_one_that_is_kept_by_hand_stays(tmp_path: Path) -> None:
    with transaction() as session:
        made, folder = stored_with_files(session, tmp_path, [40, 1])
        runs.keep(session, made[0], is_kept=True, now=NOON)

    jobs.remove_old_backups.function(now=NOON)
    assert there(folder) == {made[0].id, made[1].id}

    with transaction() as session:
        runs.keep(session, session.get_one(Backup, made[0].id), is_kept=False, now=NOON)
    jobs.remove_old_backups.function(now=NOON)
    assert there(folder) == {made[1].id}


def test_the_last_verified_one_is_not_removed_by_hand_without_a_word(tmp_path: Path) -> None:
    with transaction() as session:
        made, folder = stored_with_files(session, tmp_path, [3, 1], verified=0)

    with pytest.raises(Conflict, match="known to restore"):
        removal.remove_backup(made[0].id, now=NOON)
    removal.remove_backup(made[1].id, now=NOON)
    assert there(folder) == {made[0].id}

    (outcome,) = removal.remove_backup(made[0].id, even_the_last=True, now=NOON)
    assert outcome.is_removed
    assert there(folder) == set()
    with reading() as session:
        said = [each for _, each in said_events(session) if isinstance(each, BackupRemoved)]
    assert [each.backup_id for each in said] == [made[1].id, made[0].id]


def test_a_store_that_is_away_keeps_the_row_and_the_next_round_finishes(tmp_path: Path) -> None:
    with transaction() as session:
        made, folder = stored_with_files(session, tmp_path, [40, 1])
    away = tmp_path / "away"
    folder.parent.rename(away)
    folder.parent.write_text("in the way")

    (outcome,) = removal.remove_backup(made[0].id, by_hand=False, now=NOON)

    assert not outcome.is_removed
    with reading() as session:
        copy = session.scalars(sa.select(BackupCopy)).first()
        assert copy is not None
        assert copy.status == CopyStatus.STORED
        assert copy.reason == outcome.reason != ""
    folder.parent.unlink()
    away.rename(folder.parent)
    jobs.remove_old_backups.function(now=NOON)
    assert there(folder) == {made[1].id}


def test_what_is_not_finished_is_not_removed(tmp_path: Path) -> None:
    with transaction() as session:
        target = a_target(session, an_instance(session), tmp_path)
        waiting = runs.ask(session, target, now=NOON)

    with pytest.raises(Conflict, match="cancel it first"):
        removal.remove_backup(waiting.id, now=NOON)


def test_runs_of_long_ago_without_a_copy_are_forgotten(tmp_path: Path) -> None:
    with transaction() as session:
        target = a_target(session, an_instance(session), tmp_path)
        old, new = NOON - 401 * DAY, NOON - 399 * DAY
        ids = {}
        for name, at in (("old", old), ("new", new)):
            failed = runs.enqueue(session, target, BackupKind.SCHEDULED, due_at=at, now=at)
            assert failed is not None
            failed.status = BackupStatus.FAILED
            session.flush()
            ids[name] = failed.id
        stored = a_stored_backup(session, target, at=old)

        jobs.forget_old_runs.function(session, now=NOON)

        left = {each.id for each in runs.history(session, target_id=target.id, limit=9).items}
        assert left == {ids["new"], stored.id}


def test_a_frozen_scheduler_is_told_after_twenty_five_hours_and_once(tmp_path: Path) -> None:
    with transaction() as session:
        target = a_target(session, an_instance(session), tmp_path, schedule=DAILY_AT_TWO)
        at_two = NOON.replace(hour=2)
        target.expected_since = at_two
        a_stored_backup(session, target, at=at_two)
        jobs.tell_late_backups.function(session, now=at_two + 25 * HOUR)
        assert told_late(session) == []

        jobs.tell_late_backups.function(session, now=at_two + 25 * HOUR + 10 * MINUTE)
        jobs.tell_late_backups.function(session, now=at_two + 40 * HOUR)

        (event,) = told_late(session)
        assert (event.target_id, event.last_at) == (target.id, at_two)


def test_one_that_was_never_made_is_late_as_well(tmp_path: Path) -> None:
    with transaction() as session:
        a_target(session, an_instance(session), tmp_path)
        jobs.tell_late_backups.function(session, now=NOON + 2 * HOUR)

        (event,) = told_late(session)
        assert (event.expected_at, event.last_at) == (NOON + HOUR, None)


def told_late(session: Session) -> list[BackupLate]:
    return [each for _, each in said_events(session) if isinstance(each, BackupLate)]


def test_what_is_due_waits_once_and_a_turn_under_way_leaves_the_next_out(tmp_path: Path) -> None:
    with transaction() as session:
        target = a_target(session, an_instance(session), tmp_path)
        for hours in (0, 6, 12):
            jobs.queue_due_backups.function(session, now=NOON + hours * HOUR)

        (waiting,) = runs.history(session, target_id=target.id, limit=9).items
        assert (waiting.kind, waiting.queued_at) == (BackupKind.SCHEDULED, NOON)
        assert target.next_run_at == NOON + 18 * HOUR


@pytest.mark.slow
def test_a_locked_copy_is_left_where_it_is_and_that_is_said(tmp_path: Path, s3: S3Server) -> None:
    url = locking_bucket(s3)
    with transaction() as session:
        instance = an_instance(session)
        place = destinations.create_destination(
            session,
            project_of(session, instance),
            name="vault",
            kind=DestinationKind.S3,
            url=url,
            now=NOON,
        )
        target = a_target(
            session, instance, tmp_path, destinations=[place.id], retention={"keep_days": 1}
        )
        old = a_stored_backup(session, target, at=NOON - 40 * DAY)
        a_stored_backup(session, target, at=NOON)
    bucket = open_destination(url)
    for key in (old.key, manifest_key_of(old.key, backup_id=old.id)):
        bucket.put(key, b"kept")
    until = lock(s3, url, old.key, until=NOON + 30 * DAY)

    jobs.remove_old_backups.function(now=NOON)
    with reading() as session:
        (seen,) = runs.copies_of(session, [old.id])[old.id]
        assert (seen.copy.status, seen.copy.locked_until) == (CopyStatus.LOCKED, until)
        assert "is locked until" in seen.copy.reason
        assert session.get_one(Backup, old.id).removed_at is None
    assert len(bucket.keys("")) == 2

    jobs.remove_old_backups.function(now=NOON + 31 * DAY)
    assert bucket.keys("") == []
    with reading() as session:
        assert session.get_one(Backup, old.id).removed_at == NOON + 31 * DAY


def test_a_place_that_is_away_is_asked_once_a_round_and_swept_when_it_is_back(
    tmp_path: Path,
) -> None:
    with transaction() as session:
        made, folder = stored_with_files(session, tmp_path, [3, 2, 1])
        for each in made:
            each.status, each.is_swept = BackupStatus.FAILED, False
            (folder / f".unfinished-00ff-{each.id}.tar.zst.age").write_text("?")
    away = tmp_path / "away"
    folder.parent.rename(away)
    folder.parent.write_text("in the way")
    known: set[str] = set()
    assert not sweeping.sweep_one(made[0].id, away=known, now=NOON)
    assert len(known) == 1

    jobs.sweep_unfinished.function(now=NOON)
    folder.parent.unlink()
    away.rename(folder.parent)
    assert len(list(folder.iterdir())) == 9
    jobs.sweep_unfinished.function(now=NOON)

    assert list(folder.iterdir()) == [], "what was shown without a word in the history goes, too"
    with reading() as session:
        assert session.scalars(sa.select(Backup.is_swept)).all() == [True] * 3


def test_a_run_whose_lease_is_over_ends_and_is_tried_again(tmp_path: Path) -> None:
    with transaction() as session:
        target = a_target(session, an_instance(session), tmp_path)
        jobs.queue_due_backups.function(session, now=NOON)
        claim = claims.claim_next(session, now=NOON, lease=MINUTE)
        assert claim is not None

        jobs.end_broken_runs.function(session, now=NOON + MINUTE / 2)
        assert runs.get_backup(session, claim.backup_id).status == BackupStatus.RUNNING
        jobs.end_broken_runs.function(session, now=NOON + 2 * MINUTE)

        retry, broken = runs.history(session, target_id=target.id, limit=9).items
        assert (broken.status, broken.owner) == (BackupStatus.FAILED, "")
        assert (retry.status, retry.attempt) == (BackupStatus.QUEUED, 2)
        assert retry.due_at == NOON + 3 * MINUTE
