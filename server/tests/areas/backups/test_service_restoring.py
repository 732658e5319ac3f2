"""A restore changes nothing before all was looked at, and then gives back what was dumped."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from mainstay_server.areas.backups.models import (
    Backup,
    BackupKind,
    BackupRestore,
    BackupStatus,
    BackupTarget,
    RestoreStatus,
)
from mainstay_server.areas.backups.providers import ENGINES
from mainstay_server.areas.backups.providers.mariadb.connecting import ask, connected
from mainstay_server.areas.backups.service import holding, restores, restoring, runs, working
from mainstay_server.areas.backups.service.restores import RestoreChoice
from mainstay_server.areas.backups.service.verifying import verify
from mainstay_server.contracts.backups import (
    BackupRestoreAsked,
    BackupRestoreCancelled,
    replay_erasures,
)
from mainstay_server.kernel.database import engine as database_engine
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import Event, said_events
from mainstay_server.kernel.ports import forget_answers, install_answers
from mainstay_server.kernel.problems import Conflict, Invalid
from redis import Redis
from tests.waiting import eventually

from .copies import trusting
from .standing import DAY, HOUR, IDENTITY, NOON, way_out
from .taking import ALL_ENGINES, World, a_source, a_world, allow_work, take, the_backup, work
from .worlds import shared_folder

__all__ = ["trusting", "way_out", "work"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("way_out", "database", "shared_memory", "trusting"),
]
NOT_FIRST = RestoreChoice(takes_safety_backup=False)
OVER_IT = RestoreChoice(takes_safety_backup=False, confirmation="people")


@pytest.fixture
def world(tmp_path: Path, work: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """A SQLite file of which there is one backup."""
    allow_work(tmp_path, work)
    with a_source("sqlite", tmp_path, request) as config:
        made = a_world("sqlite", config, tmp_path)
        take(made)
        yield made


def asked(world: World, choice: RestoreChoice, backup_id: str = "") -> BackupRestore:
    with transaction() as session:
        backup = session.get_one(Backup, backup_id or world.backups[0])
        return restores.ask(session, backup, choice, asked_by="alice", now=NOON + HOUR)


def restored(
    world: World, choice: RestoreChoice = OVER_IT, *, now: datetime = NOON + HOUR
) -> BackupRestore:
    """Ask for a restore and carry it out."""
    wanted = asked(world, choice)
    assert restoring.run_next(now=now) == wanted.id
    with reading() as session:
        return session.get_one(BackupRestore, wanted.id)


def said(kind: type[Event]) -> list[Event]:
    with reading() as session:
        return [event for _, event in said_events(session) if isinstance(event, kind)]


def fingerprints(world: World, config: Mapping[str, Any] | None = None) -> object:
    with shared_folder() as folder:
        return ENGINES[world.engine].fingerprints(config or world.config, folder=folder)


def spoil(world: World) -> None:
    """Lose half of what is there, and change the rest."""
    config = world.config
    match world.engine:
        case "postgresql" | "export":
            reached = {name: config[name] for name in ("host", "port", "user", "dbname")}
            with psycopg.connect(**reached, autocommit=True) as connection:
                connection.execute(
                    "CREATE SCHEMA other; CREATE TABLE other.t (); DELETE FROM people WHERE id > 9;"
                    "CREATE TYPE mood AS ENUM ('gut'); CREATE FUNCTION f(mood) RETURNS int"
                    " LANGUAGE sql AS 'SELECT 1'; SELECT lo_from_bytea(0, 'x');"
                    "CREATE VIEW v AS SELECT 'gut'::mood"
                )
        case "mariadb":
            with connected(config) as maria:
                ask(maria, "DELETE FROM people WHERE id > 9")
                ask(maria, "CREATE TABLE other (id int)")
        case "redis":
            with Redis(host=config["host"], port=config["port"]) as client:
                client.delete(*[f"id {n}" for n in range(1, 1000)])
                client.set("another", "1")
        case "sqlite":
            with sqlite3.connect(config["path"]) as database:
                database.execute("DELETE FROM people WHERE id > 9")
            database.close()
        case _:
            for path in Path(config["path"]).glob("1*"):
                path.unlink()
            (Path(config["path"]) / "folder").mkdir()


@pytest.mark.parametrize("kind", ALL_ENGINES)
def test_what_was_lost_comes_back(
    kind: str, tmp_path: Path, work: Path, request: pytest.FixtureRequest
) -> None:
    allow_work(tmp_path, work)
    with a_source(kind, tmp_path, request) as config:
        world = a_world(kind, config, tmp_path)
        take(world)
        before = fingerprints(world)
        spoil(world)
        assert fingerprints(world) != before
        assert restores.look(world.backups[0]).is_empty is False

        restore = restored(world)

        assert (restore.status, restore.reason) == (RestoreStatus.SUCCEEDED, "")
        assert (restore.differences, restore.identity, restore.erasures) == ([], "", None)
        assert fingerprints(world) == before
        assert list(work.iterdir()) == []


def test_it_goes_to_another_place_and_leaves_the_target_alone(world: World, tmp_path: Path) -> None:
    before = fingerprints(world)
    other = {"path": str(tmp_path / "elsewhere.db")}
    assert restores.look(world.backups[0], other) == restores.Outlook(
        shown=other["path"],
        server=sqlite3.sqlite_version,
        backup_server=sqlite3.sqlite_version,
        is_empty=True,
    )

    restore = restored(world, RestoreChoice(config=other))

    assert (restore.status, restore.shown) == (RestoreStatus.SUCCEEDED, other["path"])
    assert restore.safety_backup_id is None, "it is no target"
    assert fingerprints(world, other) == fingerprints(world) == before


def test_a_target_that_holds_something_is_left_alone_unless_its_name_was_typed(
    world: World,
) -> None:
    before = fingerprints(world)
    with pytest.raises(Invalid, match="type people exactly"):
        asked(world, RestoreChoice(confirmation="People"))

    restore = restored(world, NOT_FIRST)

    assert restore.status == RestoreStatus.FAILED
    assert "is not empty; move it away" in restore.reason
    assert fingerprints(world) == before


def test_a_copy_that_is_not_sound_is_found_before_anything_is_removed(world: World) -> None:
    before = fingerprints(world)
    copy = world.copy_of(world.backups[0])
    content = copy.read_bytes()
    copy.write_bytes(content[:-1])

    restore = restored(world)

    assert restore.status == RestoreStatus.FAILED
    assert restore.reason.startswith("The object was cut: 1 of ")
    assert restore.reason.endswith("Nothing was changed.")
    assert fingerprints(world) == before


def test_the_safety_backup_comes_first_and_without_it_nothing_happens(world: World) -> None:
    spoil(world)
    before = fingerprints(world)
    ended: list[BackupRestore] = []
    for status, reason in (
        (BackupStatus.FAILED, "The disk is full."),
        (BackupStatus.SUCCEEDED, ""),
    ):
        wanted = asked(world, RestoreChoice(confirmation="people"))
        assert (wanted.step, wanted.status) == ("safety backup", RestoreStatus.QUEUED)
        assert restoring.run_next(now=NOON + HOUR) is None, "it waits for the backup"
        assert wanted.safety_backup_id is not None
        if reason:
            with transaction() as session:
                safety = session.get_one(Backup, wanted.safety_backup_id)
                safety.status, safety.reason = status, reason
        else:
            working.make_due(clock=lambda: NOON + HOUR)
            safety = the_backup(wanted.safety_backup_id)
        assert (safety.kind, safety.status) == (BackupKind.BEFORE_RESTORE, status)
        assert restoring.run_next(now=NOON + HOUR) == wanted.id
        with reading() as session:
            ended.append(session.get_one(BackupRestore, wanted.id))
        if reason:
            assert fingerprints(world) == before
    assert [each.status for each in ended] == [RestoreStatus.FAILED, RestoreStatus.SUCCEEDED]
    assert "could not be backed up before (The disk is full)" in ended[0].reason


def test_only_a_key_that_the_backup_was_sealed_for_is_taken(world: World) -> None:
    stranger = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
    for key, reason in ((stranger, "was not sealed for this key"), ("AGE-1", "no secret key")):
        with pytest.raises(Invalid, match=reason):
            asked(world, RestoreChoice(identity=key))
    assert asked(world, RestoreChoice(identity=f" {IDENTITY}\n")).identity == IDENTITY


def test_one_at_a_time_and_cancelled_only_before_anything_changes(world: World) -> None:
    first = asked(world, OVER_IT)
    with pytest.raises(Conflict, match="under way"):
        asked(world, OVER_IT)
    with transaction() as session:
        cancelled = restores.cancel(session, session.get_one(BackupRestore, first.id), now=NOON)
        assert (cancelled.status, cancelled.identity) == (RestoreStatus.CANCELLED, "")
    assert restoring.run_next(now=NOON + HOUR) is None

    second = asked(world, OVER_IT)
    with transaction() as session:
        hold = holding.claim(session, BackupRestore, now=NOON + HOUR)
        assert hold is not None
        holding.change(session, hold, step="emptying")
    with transaction() as session, pytest.raises(Conflict, match="being changed already"):
        restores.cancel(session, session.get_one(BackupRestore, second.id), now=NOON)
    assert len(said(BackupRestoreAsked)) == 2
    assert len(said(BackupRestoreCancelled)) == 1


def test_one_that_is_cancelled_while_it_is_read_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprints(world)

    def cancelled_meanwhile(**asked_for: Any) -> Any:
        verdict = verify(**asked_for)
        with transaction() as session:
            restores.cancel(session, session.get_one(BackupRestore, wanted.id), now=NOON)
        return verdict

    monkeypatch.setattr(restoring, "verify", cancelled_meanwhile)
    wanted = asked(world, OVER_IT)
    restoring.run_next(now=NOON + HOUR)

    with reading() as session:
        restore = session.get_one(BackupRestore, wanted.id)
    assert (restore.status, restore.reason) == (RestoreStatus.CANCELLED, restoring.CANCELLED)
    assert fingerprints(world) == before


@pytest.mark.parametrize(
    ("step", "status"),
    [("reading", RestoreStatus.SUCCEEDED), ("restoring", RestoreStatus.FAILED)],
)
def test_one_whose_worker_died_goes_on_only_if_nothing_was_changed(
    world: World, step: str, status: RestoreStatus
) -> None:
    wanted = asked(world, OVER_IT)
    with transaction() as session:
        hold = holding.claim(session, BackupRestore, now=NOON + HOUR)
        assert hold is not None
        holding.change(session, hold, step=step)

    restoring.run_next(now=NOON + DAY)

    with reading() as session:
        restore = session.get_one(BackupRestore, wanted.id)
    assert restore.status == status
    assert (restore.reason, restore.identity) == (
        restoring.DIED if status == RestoreStatus.FAILED else "",
        "",
    )


def test_a_target_is_not_backed_up_while_it_is_filled_nor_filled_while_it_is_backed_up(
    world: World,
) -> None:
    wanted = asked(world, OVER_IT)
    with transaction() as session:
        target = session.get_one(BackupTarget, world.target_id)
        backup = runs.ask(session, target, now=NOON + HOUR)
        backup.status = BackupStatus.RUNNING
    assert restoring.run_next(now=NOON + HOUR) is None
    with transaction() as session:
        session.get_one(Backup, backup.id).status = BackupStatus.CANCELLED
        hold = holding.claim(session, BackupRestore, now=NOON + HOUR)
        target = session.get_one(BackupTarget, world.target_id)
        waiting = runs.ask(session, target, now=NOON + HOUR)
    assert hold is not None
    assert working.make_due(clock=lambda: NOON + HOUR) == []
    assert restoring.run_next(now=NOON + DAY) == wanted.id
    assert working.make_due(clock=lambda: NOON + DAY) == [waiting.id]


KILLED = """
import sys
from datetime import UTC, datetime
from mainstay_server.areas.backups.service import restoring
from mainstay_server.kernel import outbound, shared
from mainstay_server.kernel.database import open_database
shared.open_shared("memory://")
outbound.open_outbound(allow_private=True)
open_database(sys.argv[1])
restoring.run_next(now=datetime(2026, 6, 1, 13, tzinfo=UTC))
"""


def killed_after(seconds: float, wanted: BackupRestore, folder: Path, work: Path) -> None:
    """Let another process take the restore, and kill it so long after it did."""
    environment = {
        **os.environ,
        "MAINSTAY_DATA_DIR": str(folder),
        "MAINSTAY_BACKUP_FOLDERS": str(folder),
        "MAINSTAY_BACKUP_WORK_FOLDER": str(work),
    }
    url = str(database_engine().url)
    worker = subprocess.Popen([sys.executable, "-c", KILLED, url], env=environment)

    def began() -> bool:
        with reading() as session:
            row = session.get_one(BackupRestore, wanted.id)
            return row.status != RestoreStatus.QUEUED or row.fence > wanted.fence

    eventually(began)
    time.sleep(seconds)
    worker.kill()
    worker.wait()


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_whenever_a_restore_is_killed_it_ends_honestly_and_the_next_one_is_whole(
    kind: str, tmp_path: Path, work: Path, request: pytest.FixtureRequest
) -> None:
    allow_work(tmp_path, work)
    with a_source(kind, tmp_path, request) as config:
        world = a_world(kind, config, tmp_path)
        take(world)
        before = fingerprints(world)
        for seconds in (0.05, 0.3, 0.6, 0.9, 1.3):
            wanted = asked(world, OVER_IT)
            killed_after(seconds, wanted, tmp_path, work)

            restoring.run_next(now=NOON + DAY)

            with reading() as session:
                restore = session.get_one(BackupRestore, wanted.id)
            assert restore.status in (RestoreStatus.SUCCEEDED, RestoreStatus.FAILED), seconds
            assert restore.identity == ""
            if restore.status == RestoreStatus.FAILED:
                assert restore.reason == restoring.DIED
                restored(world)
            assert fingerprints(world) == before
            assert list(work.iterdir()) == []


def test_whoever_was_erased_since_is_erased_again_before_it_is_done(world: World) -> None:
    heard: list[tuple[str, datetime]] = []

    def erase(
        instance_id: str,
        *,
        engine: str,
        config: Mapping[str, Any],
        taken_at: datetime,
        now: datetime,
    ) -> int:
        with sqlite3.connect(config["path"]) as database:
            database.execute("DELETE FROM people WHERE id = 7")
        database.close()
        heard.append((engine, taken_at))
        return 1

    install_answers((replay_erasures.answered_by(erase),))
    try:
        restore = restored(world)
    finally:
        forget_answers()

    assert (restore.status, restore.erasures) == (RestoreStatus.SUCCEEDED, 1)
    assert heard == [("sqlite", NOON)]
    with sqlite3.connect(world.config["path"]) as database:
        assert database.execute("SELECT count(*) FROM people").fetchone() == (1999,)
    database.close()
