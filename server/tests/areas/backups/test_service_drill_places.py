"""A drill place is nobody else's: what is used here already is refused, by whatever name."""

from pathlib import Path
from typing import Any

import pytest
from mainstay_server.areas.backups.models import BackupDrill, BackupTarget
from mainstay_server.areas.backups.service import drill_places, drills, restores, targets
from mainstay_server.areas.backups.service.choosing import TargetChoice
from mainstay_server.areas.backups.service.restores import RestoreChoice
from mainstay_server.contracts.backups import BackupTargetChanged
from mainstay_server.kernel.problems import Conflict, Invalid
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.conftest import Said
from tests.databases import on_both_stores

from .standing import (
    NOON,
    RECIPIENT,
    a_folder,
    a_stored_backup,
    a_target,
    an_instance,
    way_out,
)
from .worlds import allow

__all__ = ["way_out"]

pytestmark = pytest.mark.usefixtures("way_out")

ORDERS = "postgresql://shop:pa55word@db.internal:5432/orders"
DRILLS = "postgresql://drill:pa55word@127.0.0.1/drills"


def a_database(
    session: Session, instance: InstanceRef, engine: str, name: str, **said: Any
) -> BackupTarget:
    choice = TargetChoice(name=name, recipients=[RECIPIENT], **said)
    return targets.create_target(session, instance, engine=engine, choice=choice, now=NOON).target


@on_both_stores
def test_a_place_is_kept_told_without_its_secrets_and_taken_away(
    session: Session, said: Said
) -> None:
    target = a_database(
        session, an_instance(session), "postgresql", "orders", config={"url": ORDERS}
    )
    said()

    targets.change_target(session, target, TargetChoice(drill_place={"url": DRILLS}), now=NOON)
    session.expire(target)
    assert target.drill_place is not None
    assert target.drill_place["password"] == "pa55word"
    (event,) = said()
    assert isinstance(event, BackupTargetChanged)
    assert event.changes["drill_place"] == ("", "drill@127.0.0.1:5432/drills")
    assert "pa55word" not in repr(event)

    targets.change_target(session, target, TargetChoice(name="all"), now=NOON)
    assert target.drill_place is not None
    targets.change_target(session, target, TargetChoice(drill_place={}), now=NOON)
    session.expire(target)
    assert drill_places.shown(target) == ""


@pytest.mark.parametrize(
    ("engine", "config", "place"),
    [
        ("postgresql", {"url": ORDERS}, {"url": ORDERS}),
        ("postgresql", {"url": ORDERS}, {"url": "postgresql://other@DB.internal./orders"}),
        ("postgresql", {"url": DRILLS}, {"url": "postgresql://drill@localhost:5432/drills"}),
        ("export", {"url": "mysql://a@db/x"}, {"url": "mysql://b@db:3306/x", "tables": ["y"]}),
        ("redis", {"url": "redis://db:6379"}, {"url": "redis://me:secret@db"}),
    ],
)
def test_the_target_itself_is_refused(
    session: Session, engine: str, config: dict[str, Any], place: dict[str, Any]
) -> None:
    with pytest.raises(Conflict, match="the target itself"):
        a_database(session, an_instance(session), engine, "it", config=config, drill_place=place)


def test_another_target_and_its_place_are_refused_by_whatever_engine(session: Session) -> None:
    instance = an_instance(session)
    a_database(
        session,
        instance,
        "postgresql",
        "orders",
        config={"url": ORDERS},
        drill_place={"url": DRILLS},
    )
    other = "postgresql://a@db.internal/other"
    for place in (ORDERS, DRILLS):
        with pytest.raises(Conflict, match="used already") as refused, session.begin_nested():
            a_database(
                session,
                instance,
                "export",
                "other",
                config={"url": other},
                drill_place={"url": place},
            )
        assert refused.value.code == drill_places.TAKEN
    with pytest.raises(Conflict, match="a drill place of another target"):
        a_database(session, instance, "export", "other", config={"url": DRILLS})


def test_of_folders_neither_one_inside_nor_one_around_is_taken(
    session: Session, tmp_path: Path
) -> None:
    instance = an_instance(session)
    allow(tmp_path)
    a_folder(session, instance, tmp_path / "copies")
    target = a_target(session, instance, tmp_path)
    for place, words in (
        (tmp_path, "the target itself"),
        (tmp_path / "documents" / "drill", "the target itself"),
        (tmp_path / "copies" / "drill", "used already"),
    ):
        choice = TargetChoice(drill_place={"path": str(place)})
        with pytest.raises(Conflict, match=words), session.begin_nested():
            targets.change_target(session, target, choice, now=NOON)
        session.refresh(target)
    free = TargetChoice(drill_place={"path": str(tmp_path / "drill")})
    targets.change_target(session, target, free, now=NOON)
    assert drill_places.shown(target) == str(tmp_path / "drill")


def test_a_place_obeys_the_rules_of_targets(session: Session, tmp_path: Path) -> None:
    target = a_target(session, an_instance(session), tmp_path)
    for place, words in (
        ({"path": "/etc"}, "MAINSTAY_BACKUP_FOLDERS"),
        ({"url": DRILLS}, "must be absolute"),
    ):
        with pytest.raises(Invalid, match=words):
            targets.change_target(session, target, TargetChoice(drill_place=place), now=NOON)


def test_nobody_restores_into_a_place_of_drills(session: Session, tmp_path: Path) -> None:
    place = {"path": str(tmp_path / "drill")}
    target = a_target(session, an_instance(session), tmp_path, drill_place=place)
    backup = a_stored_backup(session, target)

    with pytest.raises(Conflict, match="a drill place, which drills empty"):
        restores.ask(session, backup, RestoreChoice(config=place), asked_by="alice", now=NOON)


def test_that_a_place_was_filled_is_forgotten_when_there_is_another_one(
    session: Session, tmp_path: Path
) -> None:
    places = [{"path": str(tmp_path / name)} for name in ("one", "other")]
    target = a_target(session, an_instance(session), tmp_path, drill_place=places[0])
    drill = drills.ask(session, a_stored_backup(session, target), now=NOON)
    drill.filled = drill_places.key_of(target)
    session.flush()
    assert drill_places.is_filled(session, target)

    for place in places[::-1]:
        targets.change_target(session, target, TargetChoice(drill_place=place), now=NOON)
        assert not drill_places.is_filled(session, target)
    session.expire_all()
    assert session.get_one(BackupDrill, drill.id).filled == ""
