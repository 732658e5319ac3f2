"""A drill restores where somebody says, if that is empty, and leaves it so; with real servers."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from mainstay_server.areas.backups.models import Backup, BackupDrill, BackupTarget, DrillStatus
from mainstay_server.areas.backups.providers import ENGINES
from mainstay_server.areas.backups.service import drill_places, drilling, drills, targets
from mainstay_server.areas.backups.service.choosing import TargetChoice
from mainstay_server.kernel.database import reading, transaction
from tests.servers.redis import running_redis
from tests.waiting import eventually

from .copies import trusting
from .standing import DAY, NOON, way_out
from .taking import (
    ALL_ENGINES,
    MARK,
    World,
    a_source,
    a_world,
    allow_work,
    another_worker,
    drilled,
    take,
    the_backup,
    work,
)
from .worlds import with_flipped_bit

__all__ = ["trusting", "way_out", "work"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("way_out", "database", "shared_memory", "trusting"),
]

LOCK = 7
# In a schema that no backup holds, so that the place is empty with it.
WHEN_DROPPED = """
CREATE FUNCTION pg_catalog.when_dropped() RETURNS event_trigger LANGUAGE plpgsql
    AS $$ BEGIN {} END $$;
CREATE EVENT TRIGGER when_dropped ON sql_drop EXECUTE FUNCTION pg_catalog.when_dropped()
"""


@contextmanager
def a_place(engine: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """The config of an empty place: of an export, with the app's tables."""
    if engine == "redis":
        with running_redis() as server:
            yield {"url": server.url}
    elif engine == "mariadb":
        maria = request.getfixturevalue("mariadb")
        yield {"url": f"mysql://app@127.0.0.1:{maria.port}/{maria.new_database()}"}
    elif engine in {"sqlite", "files"}:
        yield {"path": str(folder / "place")}
    else:
        postgres = request.getfixturevalue("postgres")
        dsn = postgres.dsn_of(postgres.new_database())
        if engine == "export":
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("CREATE TABLE people (id integer, name text)")
        yield {"url": dsn}


def refuse_filled(world: World, place: dict[str, Any]) -> None:
    """Raises what the engine itself says of a place that is not empty."""
    engine = ENGINES[world.engine]
    tables = {"tables": world.config["tables"]} if world.engine == "export" else {}
    config = engine.checked({**place, **tables})
    engine.check_restore(config, engine.find_versions(config))


def tables_of(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        found = connection.execute("SELECT relname FROM pg_class WHERE relname = 'people'")
        return [name for (name,) in found]


def filled_of(drill_id: str) -> str:
    with reading() as session:
        return session.get_one(BackupDrill, drill_id).filled


@pytest.mark.parametrize("kind", ALL_ENGINES)
def test_a_drill_fills_the_place_that_was_given_and_empties_it_whatever_it_finds(
    kind: str, tmp_path: Path, work: Path, request: pytest.FixtureRequest
) -> None:
    allow_work(tmp_path, work)
    with a_source(kind, tmp_path, request) as config, a_place(kind, tmp_path, request) as place:
        world = a_world(kind, config, tmp_path, drill_place=place)
        good = take(world)

        drill = drilled(good)

        assert (drill.status, drill.reason, drill.is_opened) == (DrillStatus.PASSED, "", True)
        assert drill.rows >= 20
        assert drill.filled == ""
        assert the_backup(good).verified_at is not None
        refuse_filled(world, place)
        if kind == "redis":  # whose dumps carry a checksum of their own
            return
        bad = take(world, at=NOON + DAY, turn=lambda dump: with_flipped_bit(dump, MARK))

        drill = drilled(bad)

        assert drill.status == DrillStatus.FAILED
        assert "has other content" in drill.reason
        refuse_filled(world, place)
        assert list(work.iterdir()) == []


def test_a_restore_that_breaks_off_leaves_the_place_empty(
    tmp_path: Path, work: Path, request: pytest.FixtureRequest
) -> None:
    allow_work(tmp_path, work)
    with (
        a_source("files", tmp_path, request) as config,
        a_place("files", tmp_path, request) as place,
    ):
        world = a_world("files", config, tmp_path, drill_place=place)
        backup = take(world, turn=lambda dump: dump[: len(dump) // 2])

        drill = drilled(backup)

        assert (drill.status, drill.filled) == (DrillStatus.FAILED, "")
        assert "could not be filled" in drill.reason
        refuse_filled(world, place)


def test_a_place_that_holds_something_is_refused_and_left_as_it_is(
    tmp_path: Path, work: Path, request: pytest.FixtureRequest
) -> None:
    allow_work(tmp_path, work)
    with (
        a_source("postgresql", tmp_path, request) as config,
        a_place("postgresql", tmp_path, request) as place,
    ):
        world = a_world("postgresql", config, tmp_path, drill_place=place)
        backup = take(world)
        for held, words in (
            ("CREATE TYPE mood AS ENUM ('calm')", "the type mood"),
            ("DROP TYPE mood; CREATE SCHEMA shop", "the schema shop"),
            ("DROP SCHEMA shop; CREATE TABLE people AS SELECT 1 AS id", "public.people"),
        ):
            with psycopg.connect(place["url"], autocommit=True) as connection:
                connection.execute(held)

            drill = drilled(backup)

            assert (drill.status, drill.filled) == (DrillStatus.FAILED, "")
            assert "holds something that no drill put there" in drill.reason
            assert words in drill.reason
        with psycopg.connect(place["url"]) as connection:
            assert connection.execute("SELECT id FROM people").fetchall() == [(1,)]
        assert the_backup(backup).verified_at is None


def test_a_file_that_is_there_is_refused_and_left_as_it_is(
    tmp_path: Path, work: Path, request: pytest.FixtureRequest
) -> None:
    allow_work(tmp_path, work)
    place = tmp_path / "place"
    with closing(sqlite3.connect(place)) as database, database:
        database.execute("CREATE TABLE mine (id INTEGER)")
    before = place.read_bytes()
    with a_source("sqlite", tmp_path, request) as config:
        world = a_world("sqlite", config, tmp_path, drill_place={"path": str(place)})

        drill = drilled(take(world))

    assert drill.status == DrillStatus.FAILED
    assert "holds something that no drill put there" in drill.reason
    assert place.read_bytes() == before


def test_what_a_killed_drill_left_in_the_place_is_removed_by_the_next_one(
    tmp_path: Path, work: Path, request: pytest.FixtureRequest
) -> None:
    allow_work(tmp_path, work)
    with (
        a_source("postgresql", tmp_path, request) as config,
        a_place("postgresql", tmp_path, request) as place,
        psycopg.connect(place["url"], autocommit=True) as connection,
    ):
        world = a_world("postgresql", config, tmp_path, drill_place=place)
        backup = take(world)
        with transaction() as session:
            asked = drills.ask(session, session.get_one(Backup, backup), now=NOON)
        # It has filled the place, and waits for us when it empties it.
        connection.execute(WHEN_DROPPED.format(f"PERFORM pg_advisory_xact_lock({LOCK});"))
        connection.execute(f"SELECT pg_advisory_lock({LOCK})")
        worker = another_worker(tmp_path, work)

        def waits() -> bool:
            assert worker.poll() is None, "it ended before it could be killed"
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            return connection.execute(waiting).fetchone() == (1,)

        eventually(waits)
        worker.kill()
        worker.wait()
        connection.execute(f"SELECT pg_advisory_unlock({LOCK})")
        assert tables_of(place["url"]) == ["people"]
        assert filled_of(asked.id) != ""

        assert drilling.run_next(now=NOON) == asked.id

        with reading() as session:
            drill = session.get_one(BackupDrill, asked.id)
        assert (drill.status, drill.reason, drill.fence) == (DrillStatus.PASSED, "", 2)
        assert (drill.filled, tables_of(place["url"])) == ("", [])


def test_a_place_that_could_not_be_emptied_is_told_and_emptied_by_the_next_drill(
    tmp_path: Path, work: Path, request: pytest.FixtureRequest
) -> None:
    allow_work(tmp_path, work)
    with (
        a_source("postgresql", tmp_path, request) as config,
        a_place("postgresql", tmp_path, request) as place,
        psycopg.connect(place["url"], autocommit=True) as connection,
    ):
        world = a_world("postgresql", config, tmp_path, drill_place=place)
        backup = take(world)
        connection.execute(WHEN_DROPPED.format("RAISE 'nothing goes';"))

        first = drilled(backup)

        assert (first.status, first.differences) == (DrillStatus.FAILED, [])
        assert "could not be removed from the drill place" in first.reason
        assert "nothing goes" in first.reason
        assert tables_of(place["url"]) == ["people"]
        connection.execute("DROP EVENT TRIGGER when_dropped")

        assert drilled(backup).status == DrillStatus.PASSED
        assert (filled_of(first.id), tables_of(place["url"])) == ("", [])


def test_what_was_left_is_not_removed_once_the_place_was_another_one_in_between(
    tmp_path: Path, work: Path, request: pytest.FixtureRequest
) -> None:
    allow_work(tmp_path, work)
    place = {"path": str(tmp_path / "place")}
    with a_source("sqlite", tmp_path, request) as config:
        world = a_world("sqlite", config, tmp_path, drill_place=place)
        backup = take(world)
    drill = drilled(backup)
    with transaction() as session:
        target = session.get_one(BackupTarget, world.target_id)
        left = drill_places.key_of(target)
        session.get_one(BackupDrill, drill.id).filled = left
        for each in ({}, place):
            choice = TargetChoice(drill_place=each)
            targets.change_target(session, target, choice, now=NOON)
    (tmp_path / "place").write_text("mine")

    drill = drilled(backup)

    assert drill.status == DrillStatus.FAILED
    assert (tmp_path / "place").read_text() == "mine"
