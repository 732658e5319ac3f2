"""Figures: what would be lost and how long a restore takes are measured, and never made up."""

from pathlib import Path

import sqlalchemy as sa
from mainstay_server.areas.backups.models import (
    BackupCopy,
    BackupDrill,
    BackupStatus,
    DrillStatus,
)
from mainstay_server.areas.backups.service import figures, views, words
from mainstay_server.kernel.database import new_id
from sqlalchemy.orm import Session

from .standing import DAY, HOUR, NOON, a_stored_backup, a_target, an_instance


def test_what_would_be_lost_is_counted_from_where_the_newest_stored_backup_began(
    session: Session, tmp_path: Path
) -> None:
    target = a_target(session, an_instance(session), tmp_path)
    for hours in (30, 10, 6):
        a_stored_backup(session, target, at=NOON - hours * HOUR)
    failed = a_stored_backup(session, target, at=NOON - HOUR)
    failed.status = BackupStatus.FAILED
    session.flush()

    found = figures.figures_of(session, [target.id])[target.id]

    assert found.exposed_seconds(NOON) == 6 * 3600
    assert found.worst_gap_seconds(NOON) == 20 * 3600
    assert found.last is not None
    assert found.last.status is BackupStatus.FAILED
    assert (found.stored_count, found.stored_bytes) == (3, 3000)


def test_without_a_backup_everything_would_be_lost(session: Session, tmp_path: Path) -> None:
    target = a_target(session, an_instance(session), tmp_path)
    found = figures.figures_of(session, [target.id])[target.id]

    assert found.exposed_seconds(NOON) is None
    assert found.worst_gap_seconds(NOON) is None
    assert (found.last, found.under_way, found.verified_at) == (None, None, None)


def test_what_was_removed_protects_from_nothing(session: Session, tmp_path: Path) -> None:
    target = a_target(session, an_instance(session), tmp_path)
    backup = a_stored_backup(session, target, at=NOON - HOUR)
    backup.removed_at = NOON
    session.flush()

    assert figures.figures_of(session, [target.id])[target.id].exposed_seconds(NOON) is None


def test_what_no_whole_copy_is_left_of_protects_from_nothing(
    session: Session, tmp_path: Path
) -> None:
    target = a_target(session, an_instance(session), tmp_path)
    older = a_stored_backup(session, target, at=NOON - 2 * HOUR)
    newest = a_stored_backup(session, target, at=NOON - HOUR)
    session.execute(
        sa.update(BackupCopy).where(BackupCopy.backup_id == newest.id).values(fault="missing")
    )

    found = figures.figures_of(session, [target.id])[target.id]

    assert found.newest_stored_at == older.started_at
    assert (found.stored_count, found.stored_bytes) == (1, 1000)


def test_only_a_drill_that_opened_the_copy_measures_a_restore(
    session: Session, tmp_path: Path
) -> None:
    target = a_target(session, an_instance(session), tmp_path)
    backup = a_stored_backup(session, target, at=NOON)
    for status, is_opened, seconds in (
        (DrillStatus.PASSED, True, 40.0),
        (DrillStatus.FAILED, True, 1.0),
        (DrillStatus.PASSED, False, 2.0),
    ):
        drill = BackupDrill(
            id=new_id(),
            organization_id=backup.organization_id,
            project_id=backup.project_id,
            instance_id=backup.instance_id,
            target_id=target.id,
            backup_id=backup.id,
            status=status,
            queued_at=NOON,
            is_opened=is_opened,
            restore_seconds=seconds,
            compare_seconds=seconds / 4,
            differences=[],
        )
        session.add(drill)
    session.flush()

    assert figures.figures_of(session, [target.id])[target.id].restore_seconds == 50.0


def test_the_calendar_has_thirteen_weeks_and_the_gravest_of_each_day(
    session: Session, tmp_path: Path
) -> None:
    target = a_target(session, an_instance(session), tmp_path)
    a_stored_backup(session, target, at=NOON)
    bad = a_stored_backup(session, target, at=NOON + HOUR)
    bad.status = BackupStatus.DEGRADED
    a_stored_backup(session, target, at=NOON - 90 * DAY)
    a_stored_backup(session, target, at=NOON - 91 * DAY)
    session.flush()

    days = figures.calendar_of(session, target.id, now=NOON)

    assert len(days) == 91
    assert [day.total for day in days if day.total] == [1, 2]
    assert (days[0].status, days[1].status, days[-1].status) == ("succeeded", "none", "degraded")


def test_the_last_ninety_runs_of_each_target_are_seen(session: Session, tmp_path: Path) -> None:
    instance = an_instance(session)
    busy = a_target(session, instance, tmp_path)
    quiet = a_target(session, instance, tmp_path, name="quiet")
    for hours in range(95):
        a_stored_backup(session, busy, at=NOON + hours * HOUR)
    a_stored_backup(session, quiet, at=NOON)

    found = figures.figures_of(session, [busy.id, quiet.id])

    assert [len(found[each.id].runs) for each in (busy, quiet)] == [90, 1]
    assert found[busy.id].runs[-1].queued_at == NOON + 94 * HOUR
    assert found[busy.id].stored_count == 95


def test_a_list_goes_on_where_the_last_page_ended(session: Session, tmp_path: Path) -> None:
    target = a_target(session, an_instance(session), tmp_path)
    ids = [a_stored_backup(session, target, at=NOON + hours * HOUR).id for hours in range(5)]

    first = views.list_backups(session, target, limit=3)
    second = views.list_backups(session, target, limit=3, cursor=first.next_cursor or "")

    seen = [each.backup.id for each in (*first.items, *second.items)]
    assert seen == list(reversed(ids))
    assert second.next_cursor is None
    assert {each.stored for each in first.items} == {1}
    assert {each.seconds for each in first.items} == {60.0}


def test_schedules_and_rules_are_said_in_words(session: Session, tmp_path: Path) -> None:
    target = a_target(session, an_instance(session), tmp_path)
    assert words.schedule_in_words(target) == "every 6 h"
    assert words.retention_in_words(target).startswith("those of the last 30 days; always")
    target.interval_hours, target.cron, target.time_zone = None, "5 4 * * *", "Europe/Berlin"
    target.keep_days, target.keep_daily, target.keep_count = 0, 7, 3
    assert words.schedule_in_words(target) == "daily at 04:05 Europe/Berlin"
    assert "the newest 3, one of each of 7 days" in words.retention_in_words(target)
    target.cron = "0 2 * * 1-5"
    assert words.schedule_in_words(target) == "0 2 * * 1-5 (Europe/Berlin)"
    target.troubles = {"late": "2026-01-01T00:00:00.000Z"}
    assert words.troubles_of(target) == ["A backup should be there by the schedule, and is not."]
