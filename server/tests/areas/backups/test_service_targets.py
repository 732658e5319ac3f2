"""Targets: what can be backed up is checked, and whatever is a secret lies sealed."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from mainstay_server.areas.backups.service import targets
from mainstay_server.areas.backups.service.choosing import TargetChoice
from mainstay_server.areas.backups.service.restores import RestoreChoice
from mainstay_server.areas.backups.service.schedules import DAILY_AT_TWO, Schedule
from mainstay_server.areas.backups.service.targets import NewKey
from mainstay_server.contracts.backups import (
    BackupDestinationCreated,
    BackupRecovered,
    BackupTargetChanged,
    BackupTargetCreated,
    BackupTargetKeyShown,
    BackupTargetRemoved,
)
from mainstay_server.kernel.copies.crypts import recipient_of
from mainstay_server.kernel.copies.running import WritePlan
from mainstay_server.kernel.events import Event
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from sqlalchemy.orm import Session
from tests.conftest import Said

from .standing import (
    DAY,
    HOUR,
    IDENTITY,
    NOON,
    RECIPIENT,
    a_folder,
    a_target,
    an_instance,
    way_out,
)

__all__ = ["way_out"]

pytestmark = pytest.mark.usefixtures("way_out")
POSTGRES = {"url": "postgresql://shop:pa55word@db.internal:5432/shop"}


def test_what_somebody_chose_shows_no_secret_wherever_it_is_printed() -> None:
    place = "s3://bucket?access_key_id=a&secret_access_key=pa55word"
    target = TargetChoice(name="orders", config=POSTGRES, drill_key=IDENTITY, heartbeat_url=place)
    restore = RestoreChoice(config=POSTGRES, identity=IDENTITY)
    plan = WritePlan(key="k", destinations={"there": place}, recipients=[RECIPIENT])

    for shown in map(repr, (target, restore, plan)):
        assert "pa55word" not in shown
        assert IDENTITY not in shown


def test_a_target_is_due_at_once_and_goes_to_this_server_by_default(
    session: Session, said: Said, tmp_path: Path
) -> None:
    target = a_target(session, an_instance(session), tmp_path)

    assert (target.next_run_at, target.interval_hours, target.keep_days) == (NOON, 6, 30)
    assert [each.name for each in targets.destinations_of(session, target.id)] == ["This server"]
    kinds: list[type[Event]] = [BackupDestinationCreated, BackupTargetCreated]
    assert [type(each) for each in said()] == kinds


def test_staging_keeps_a_week(session: Session, tmp_path: Path) -> None:
    assert a_target(session, an_instance(session, "staging"), tmp_path).keep_days == 7


def test_a_new_key_is_returned_once_and_kept_only_when_somebody_says_so(
    session: Session, said: Said
) -> None:
    instance = an_instance(session)
    made = {
        new_key: targets.create_target(
            session,
            instance,
            engine="postgresql",
            choice=TargetChoice(name=new_key, config=POSTGRES),
            new_key=new_key,
            now=NOON,
        )
        for new_key in (NewKey.SHOWN, NewKey.KEPT)
    }

    for each in made.values():
        assert each.target.recipients == [recipient_of(each.identity)]
    assert made[NewKey.SHOWN].target.drill_key == ""
    assert made[NewKey.KEPT].target.drill_key == made[NewKey.KEPT].identity
    shown = [each for each in said() if isinstance(each, BackupTargetKeyShown)]
    assert [each.recipient for each in shown] == [
        recipient_of(each.identity) for each in made.values()
    ]


def test_no_secret_lies_in_the_database_as_it_is(session: Session) -> None:
    choice = TargetChoice(
        name="shop",
        config=POSTGRES,
        recipients=[RECIPIENT],
        drill_key=IDENTITY,
        heartbeat_url="https://watch.test/ping/53cr3t",
    )
    made = targets.create_target(
        session, an_instance(session), engine="postgresql", choice=choice, now=NOON
    )

    rows = session.execute(sa.text("SELECT * FROM backup_targets")).all()
    events = session.execute(sa.text("SELECT body FROM outbox_events")).all()
    stored = f"{rows} {events}"
    assert made.target.shown == "shop@db.internal:5432/shop"
    assert "pa55word" not in stored
    assert "AGE-SECRET" not in stored
    assert "53cr3t" not in stored


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ({"recipients": []}, "nobody could open"),
        ({"recipients": ["age1nonsense"]}, "no public key"),
        ({"drill_key": "AGE-SECRET-KEY-1NONSENSE"}, "opens nothing"),
        ({"schedule": Schedule()}, "intervalHours or cron"),
        ({"schedule": Schedule(interval_hours=0)}, "from 1 to"),
        ({"schedule": Schedule(cron="0 2 31 2 *")}, "cannot be read"),
        ({"schedule": Schedule(cron="0 2 * *")}, "five fields"),
        ({"schedule": Schedule(cron="61 2 * * *")}, "cannot be read"),
        ({"schedule": Schedule(cron="0 2 * * *", time_zone="Mars/Crater")}, "no time zone"),
        ({"retention": {"keep_days": -1}}, "Retention must be"),
        ({"retention": {"keep_for_ever": 1}}, "Retention must be"),
        ({"too_small_percent": 101}, "tooSmallPercent"),
        ({"heartbeat_url": "ftp://watch.test"}, "heartbeatUrl"),
        ({"destinations": []}, "1 to 8 destinations"),
        ({"config": {"path": "/etc"}}, "MAINSTAY_BACKUP_FOLDERS"),
        ({"name": " "}, "name must have"),
    ],
)
def test_what_cannot_be_is_refused_with_the_next_step(
    session: Session, tmp_path: Path, choice: dict[str, object], reason: str
) -> None:
    target = a_target(session, an_instance(session), tmp_path)

    with pytest.raises(Invalid, match=reason):
        targets.change_target(session, target, TargetChoice(**choice), now=NOON)  # type: ignore[arg-type]  # the point


@pytest.mark.parametrize("host", ["169.254.169.254", "metadata.google.internal"])
def test_metadata_services_are_no_target(session: Session, host: str) -> None:
    choice = TargetChoice(
        name="shop", config={"url": f"postgresql://a:b@{host}/c"}, recipients=[RECIPIENT]
    )
    with pytest.raises(Invalid, match="never open"):
        targets.create_target(
            session, an_instance(session), engine="postgresql", choice=choice, now=NOON
        )


def test_destinations_of_others_are_as_absent_as_those_that_never_were(
    session: Session, tmp_path: Path
) -> None:
    target = a_target(session, an_instance(session), tmp_path)

    with pytest.raises(NotFound):
        choice = TargetChoice(destinations=["0199aaaa-0000-7000-8000-000000000000"])
        targets.change_target(session, target, choice, now=NOON)


def test_names_are_free_once(session: Session, tmp_path: Path) -> None:
    instance = an_instance(session)
    a_target(session, instance, tmp_path)

    with pytest.raises(Conflict, match="documents"):
        a_target(session, instance, tmp_path)


def test_changes_are_said_without_what_is_secret(
    session: Session, said: Said, tmp_path: Path
) -> None:
    instance = an_instance(session)
    target = a_target(session, instance, tmp_path)
    disk = a_folder(session, instance, tmp_path / "disk")
    said()

    choice = TargetChoice(schedule=DAILY_AT_TWO, destinations=[disk.id], drill_key=IDENTITY)
    targets.change_target(session, target, choice, now=NOON)

    assert target.next_run_at == NOON + 14 * HOUR
    (event,) = said()
    assert isinstance(event, BackupTargetChanged)
    assert event.changes == {
        "interval_hours": (6, None),
        "cron": ("", "0 2 * * *"),
        "destinations": (["This server"], ["disk"]),
        "secrets": ("the old ones", "new ones"),
    }


def test_a_drill_key_goes_with_its_recipient(session: Session, tmp_path: Path) -> None:
    target = a_target(session, an_instance(session), tmp_path, drill_key=IDENTITY)
    other = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"

    targets.change_target(session, target, TargetChoice(recipients=[other]), now=NOON)

    assert target.drill_key == ""


def test_one_that_is_switched_off_has_no_turn_and_no_trouble(
    session: Session, said: Said, tmp_path: Path
) -> None:
    target = a_target(session, an_instance(session), tmp_path)
    target.troubles = {"run": "2026-06-01T12:00:00Z"}
    session.flush()
    said()

    targets.change_target(session, target, TargetChoice(is_enabled=False), now=NOON + DAY)
    assert target.next_run_at is None
    assert [type(each) for each in said()] == [BackupTargetChanged, BackupRecovered]

    targets.change_target(session, target, TargetChoice(is_enabled=True), now=NOON + 2 * DAY)
    assert target.next_run_at == NOON + 2 * DAY + 6 * HOUR


def test_removing_says_so(session: Session, said: Said, tmp_path: Path) -> None:
    target = a_target(session, an_instance(session), tmp_path)
    said()

    targets.remove_target(session, target, now=NOON)

    assert [type(each) for each in said()] == [BackupTargetRemoved]
    assert targets.owner_of(session, target.id) is None
