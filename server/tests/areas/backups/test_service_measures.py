"""What rules are told of backups: how old the last good one of each target is."""

from pathlib import Path

from mainstay_server.areas.backups.models import BackupStatus
from mainstay_server.areas.backups.service.measures import BACKUPS
from sqlalchemy.orm import Session

from .standing import HOUR, NOON, a_stored_backup, a_target, an_instance


def test_a_backup_ages_from_its_beginning_and_a_failed_one_is_none(
    session: Session, tmp_path: Path
) -> None:
    instance = an_instance(session)
    target = a_target(session, instance, tmp_path)
    expected = (NOON + 9 * HOUR - target.expected_since).total_seconds() / 3600
    (never,) = BACKUPS.read(session, since=NOON, until=NOON + 9 * HOUR, by_part=False)
    assert never.values == {"backups.age": expected}

    a_stored_backup(session, target, at=NOON - 30 * HOUR)
    a_stored_backup(session, target, at=NOON - 6 * HOUR)
    failed = a_stored_backup(session, target, at=NOON - HOUR)
    failed.status = BackupStatus.FAILED
    session.flush()

    (whole,) = BACKUPS.read(session, since=NOON, until=NOON, by_part=False)
    (part,) = BACKUPS.read(session, since=NOON, until=NOON, by_part=True)
    assert (whole.instance_id, whole.values) == (instance.id, {"backups.age": 6})
    assert (part.part, part.values) == (target.name, {"backups.age": 6})

    target.is_enabled = False
    session.flush()
    assert BACKUPS.read(session, since=NOON, until=NOON, by_part=False) == []
