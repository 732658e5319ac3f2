"""The schedule of an instance holds for all its targets, those that are there and those to come."""

from pathlib import Path

from mainstay_server.areas.backups.models import BackupTarget
from mainstay_server.areas.backups.service import due, targets
from mainstay_server.areas.backups.service.choosing import TargetChoice
from mainstay_server.areas.backups.service.schedules import DAILY_AT_TWO
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from tests.world import World

from .seen import target_of, world

__all__ = ["world"]


def path(world: World) -> str:
    return f"/api/instances/{world.instance.id}/backup-schedule"


def test_the_default_is_every_six_hours_and_thirty_days(world: World) -> None:
    told = world.bob.get(path(world)).json()

    assert (told["enabled"], told["intervalHours"], told["retentionDays"]) == (True, 6, 30)
    assert (told["targets"], told["lastBackupAt"], told["nextRunAt"]) == (0, None, None)


def test_what_is_set_holds_for_targets_that_are_there_and_for_those_to_come(
    world: World, tmp_path: Path
) -> None:
    first = target_of(world, tmp_path)
    said = {"enabled": True, "intervalHours": 12, "retentionDays": 14}
    answer = world.alice.post(path(world), json=said)
    assert answer.status_code == 200, answer.text
    assert answer.json() | said == answer.json()
    second = target_of(world, tmp_path, name="later")

    with reading() as session:
        for target_id in (first, second):
            target = session.get_one(BackupTarget, target_id)
            assert (target.interval_hours, target.keep_days) == (12, 14)

    assert world.alice.post(path(world), json={"enabled": False}).json()["nextRunAt"] is None
    with transaction() as session:
        assert due.list_due(session, now=utc_now()) == []


def test_a_cron_expression_is_kept(world: World, tmp_path: Path) -> None:
    target_id = target_of(world, tmp_path)
    with transaction() as session:
        target = session.get_one(BackupTarget, target_id)
        choice = TargetChoice(schedule=DAILY_AT_TWO)
        targets.change_target(session, target, choice, now=utc_now())

    world.alice.post(path(world), json={"intervalHours": 1, "retentionDays": 3})

    with reading() as session:
        target = session.get_one(BackupTarget, target_id)
        assert (target.interval_hours, target.cron, target.keep_days) == (None, "0 2 * * *", 3)


def test_what_makes_no_sense_is_refused_by_field(world: World) -> None:
    for wrong in ({"intervalHours": 0}, {"retentionDays": 0}, {"intervalHours": "often"}):
        answer = world.alice.post(path(world), json=wrong)
        assert answer.status_code == 400, answer.text
        assert next(iter(wrong)) in answer.text


def test_bob_reads_and_changes_nothing_and_charlie_sees_nothing(world: World) -> None:
    assert world.bob.get(path(world)).status_code == 200
    assert world.bob.post(path(world), json={"enabled": False}).status_code == 403
    assert world.charlie.get(path(world)).status_code == 403
    assert world.charlie.post(path(world), json={"enabled": False}).status_code == 403
    assert world.stranger.get(path(world)).status_code == 401
