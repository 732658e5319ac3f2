"""Going live asks for backups that are fresh, were restored, and lie elsewhere too."""

from pathlib import Path

import pytest
from mainstay_server.areas.backups import readiness
from mainstay_server.areas.backups.models import DestinationKind
from mainstay_server.areas.backups.service import destinations, targets
from mainstay_server.areas.backups.service.choosing import TargetChoice
from mainstay_server.kernel.readiness import Finding, NotApplicable, Passed
from sqlalchemy.orm import Session

from .standing import (
    DAY,
    HOUR,
    NOON,
    a_stored_backup,
    a_target,
    an_instance,
    project_of,
    way_out,
)

__all__ = ["way_out"]

pytestmark = pytest.mark.usefixtures("way_out")


def test_without_a_target_one_question_stands_for_all(session: Session) -> None:
    instance = an_instance(session)

    assert isinstance(readiness.data_is_backed_up.ask(session, instance, NOON), Finding)
    for check in (
        readiness.backups_are_fresh,
        readiness.backups_restore,
        readiness.copies_lie_elsewhere,
    ):
        assert isinstance(check.ask(session, instance, NOON), NotApplicable)


def test_one_that_is_switched_off_is_none(session: Session, tmp_path: Path) -> None:
    instance = an_instance(session)
    target = a_target(session, instance, tmp_path)
    assert isinstance(readiness.data_is_backed_up.ask(session, instance, NOON), Passed)

    targets.change_target(session, target, TargetChoice(is_enabled=False), now=NOON)
    assert isinstance(readiness.data_is_backed_up.ask(session, instance, NOON), Finding)


def test_a_backup_is_fresh_until_the_next_one_is_late(session: Session, tmp_path: Path) -> None:
    instance = an_instance(session)
    target = a_target(session, instance, tmp_path)
    ask = readiness.backups_are_fresh.ask
    missing = ask(session, instance, NOON)
    assert isinstance(missing, Finding)
    assert "no backup of documents yet" in missing.problem

    a_stored_backup(session, target)
    assert isinstance(ask(session, instance, NOON + 7 * HOUR), Passed)
    late = ask(session, instance, NOON + 8 * HOUR)
    assert isinstance(late, Finding)
    assert "since 2026-06-01 12:00 UTC" in late.problem


def test_a_backup_that_restored_counts_for_eight_days(session: Session, tmp_path: Path) -> None:
    instance = an_instance(session)
    target = a_target(session, instance, tmp_path)
    ask = readiness.backups_restore.ask
    a_stored_backup(session, target)
    assert isinstance(ask(session, instance, NOON), Finding), "stored is not restored"

    a_stored_backup(session, target, is_verified=True)
    assert isinstance(ask(session, instance, NOON + 8 * DAY), Passed)
    assert isinstance(ask(session, instance, NOON + 8 * DAY + HOUR), Finding)


def test_two_places_count_when_one_is_not_this_machine(session: Session, tmp_path: Path) -> None:
    instance = an_instance(session)
    target = a_target(session, instance, tmp_path)
    ask = readiness.copies_lie_elsewhere.ask
    assert isinstance(ask(session, instance, NOON), Finding)

    bucket = destinations.create_destination(
        session,
        project_of(session, instance),
        name="off-site",
        kind=DestinationKind.S3,
        url="s3://shop-backups?access_key_id=us&secret_access_key=x",
        now=NOON,
    )
    own = targets.destinations_of(session, target.id)[0]
    choice = TargetChoice(destinations=[own.id, bucket.id])
    targets.change_target(session, target, choice, now=NOON)
    assert isinstance(ask(session, instance, NOON), Passed)
