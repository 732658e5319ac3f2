"""Drills are asked for by people, after each backup, or weekly, and never pile up."""

from datetime import timedelta
from pathlib import Path

import pytest
from mainstay_server.areas.backups import jobs, reactions
from mainstay_server.areas.backups.models import BackupDrill, Drills, DrillStatus
from mainstay_server.areas.backups.service import drills, troubles
from mainstay_server.contracts.backups import BackupDrillAsked, BackupSucceeded
from mainstay_server.kernel.problems import Conflict
from sqlalchemy.orm import Session
from tests.conftest import Said
from tests.databases import on_both_stores

from .standing import DAY, HOUR, NOON, a_stored_backup, a_target, an_instance, way_out

__all__ = ["way_out"]

pytestmark = pytest.mark.usefixtures("way_out")


@on_both_stores
def test_asking_twice_makes_one_drill_and_only_people_are_audited(
    session: Session, said: Said, tmp_path: Path
) -> None:
    backup = a_stored_backup(session, a_target(session, an_instance(session), tmp_path))
    said()

    first = drills.ask(session, backup, asked_by="alice", now=NOON)
    again = drills.ask(session, backup, asked_by="bob", now=NOON + HOUR)

    assert again.id == first.id
    assert [type(each) for each in said()] == [BackupDrillAsked]


def test_of_those_that_nobody_asked_for_one_waits_for_the_newest_backup(
    session: Session, tmp_path: Path
) -> None:
    target = a_target(session, an_instance(session), tmp_path)
    backups = [a_stored_backup(session, target, at=NOON + n * HOUR) for n in range(4)]

    drills.ask(session, backups[0], asked_by="alice", now=NOON)
    for each in backups[1:]:
        drills.ask_after(session, each.id, now=NOON)

    assert [each.backup_id for each in session.query(BackupDrill).order_by(BackupDrill.id)] == [
        backups[0].id,
        backups[3].id,
    ]


def test_what_has_no_copy_cannot_be_tried(session: Session, tmp_path: Path) -> None:
    backup = a_stored_backup(session, a_target(session, an_instance(session), tmp_path))
    with pytest.raises(Conflict, match="no copy of this backup to try"):
        drills.ask(session, backup, destination_id="another", now=NOON)


def test_a_weekly_one_is_planned_once_a_week(session: Session, tmp_path: Path) -> None:
    target = a_target(session, an_instance(session), tmp_path, drills=Drills.WEEKLY)
    plan = jobs.plan_weekly_drills.function
    plan(session, now=NOON)
    assert session.query(BackupDrill).count() == 0, "there is no backup yet"
    backup = a_stored_backup(session, target)

    for now in (NOON, NOON + DAY, NOON + 6 * DAY):
        plan(session, now=now)
        (drill,) = session.query(BackupDrill)
        assert drill.backup_id == backup.id
        drill.status = DrillStatus.PASSED
        session.flush()
    plan(session, now=NOON + 7 * DAY + timedelta(seconds=1))

    assert session.query(BackupDrill).count() == 2


@pytest.mark.parametrize(
    ("when", "tried"), [(Drills.AFTER_EACH, 1), (Drills.WEEKLY, 0), (Drills.OFF, 0)]
)
def test_what_is_stored_is_tried_where_its_target_says_so_and_once_however_often_that_is_heard(
    session: Session, tmp_path: Path, when: Drills, tried: int
) -> None:
    target = a_target(session, an_instance(session), tmp_path, drills=when)
    backup = a_stored_backup(session, target)
    event = BackupSucceeded(
        **troubles.told(target), backup_id=backup.id, plain_bytes=1, sealed_bytes=1, seconds=1.0
    )

    for _ in range(2):
        reactions.try_what_was_stored.function(session, event, now=NOON)

    assert [each.backup_id for each in session.query(BackupDrill)] == [backup.id] * tried
