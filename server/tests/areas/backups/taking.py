"""Real targets of every engine, with real copies of them, and what is in them to compare."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import psycopg
import pytest
from mainstay_server.areas.backups.models import Backup, BackupDrill, BackupStatus, BackupTarget
from mainstay_server.areas.backups.providers import ENGINES, Dump, Engine
from mainstay_server.areas.backups.providers.mariadb.connecting import ask, connected
from mainstay_server.areas.backups.service import drilling, drills, runs, targets, working
from mainstay_server.areas.backups.service.choosing import TargetChoice
from mainstay_server.areas.backups.settings import BackupSettings
from mainstay_server.kernel.database import engine as database_engine
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.settings import override_settings
from redis import Redis
from tests.servers.redis import running_redis

from .standing import IDENTITY, NOON, RECIPIENT, a_folder, an_instance
from .worlds import shared_folder

ALL_ENGINES = ("postgresql", "mariadb", "redis", "sqlite", "files", "export")
MARK = b"person 1234"
PEOPLE = 2000
Turn = Callable[[bytes], bytes]


@dataclass
class World:
    """One target with a destination in a folder, and the backups that were taken of it."""

    engine: str
    config: Mapping[str, Any]
    target_id: str
    place: Path
    backups: list[str] = field(default_factory=list)

    def copy_of(self, backup_id: str) -> Path:
        """Where the object of a backup lies."""
        (found,) = self.place.rglob(f"*-{backup_id}.{ENGINES[self.engine].EXTENSION}.zst.age")
        return found

    def manifest_of(self, backup_id: str) -> Path:
        (found,) = self.place.rglob(f"{backup_id}.manifest.json")
        return found


@pytest.fixture
def work() -> Iterator[Path]:
    """Where drills work; nothing may be left there."""
    with shared_folder() as folder:
        yield folder


@contextmanager
def a_source(engine: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """The config of a target that holds 2,000 people."""
    with ExitStack() as stack:
        yield {
            "postgresql": _postgresql,
            "mariadb": _mariadb,
            "redis": _redis,
            "sqlite": _sqlite,
            "files": _files,
            "export": _export,
        }[engine](folder, request, stack)


def _postgresql(_: Path, request: pytest.FixtureRequest, __: ExitStack) -> dict[str, Any]:
    server = request.getfixturevalue("postgres")
    name = server.new_database()
    with psycopg.connect(server.dsn_of(name), autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE people AS SELECT i AS id, 'person ' || i AS name"
            " FROM generate_series(1, 2000) AS i"
        )
    return {"url": server.dsn_of(name)}


def _mariadb(_: Path, request: pytest.FixtureRequest, __: ExitStack) -> dict[str, Any]:
    server = request.getfixturevalue("mariadb")
    config = {"url": f"mysql://app@127.0.0.1:{server.port}/{server.new_database()}"}
    with connected(ENGINES["mariadb"].checked(config)) as connection:
        ask(
            connection,
            "CREATE TABLE people AS SELECT seq AS id, CONCAT('person ', seq) AS name"
            " FROM seq_1_to_2000",
        )
    return config


def _redis(_: Path, __: pytest.FixtureRequest, stack: ExitStack) -> dict[str, Any]:
    server = stack.enter_context(running_redis())
    with Redis.from_url(server.url) as client:
        client.mset({f"id {n}": f"person {n}" for n in range(1, PEOPLE + 1)})
    return {"url": server.url}


def _sqlite(folder: Path, _: pytest.FixtureRequest, __: ExitStack) -> dict[str, Any]:
    path = folder / "people.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE people (id INTEGER, name TEXT)")
        rows = [(n, f"person {n}") for n in range(1, PEOPLE + 1)]
        database.executemany("INSERT INTO people VALUES (?, ?)", rows)
    database.close()
    return {"path": str(path)}


def _files(folder: Path, _: pytest.FixtureRequest, __: ExitStack) -> dict[str, Any]:
    path = folder / "letters"
    path.mkdir()
    for n in range(1, PEOPLE + 1, 100):
        (path / f"{n}.txt").write_text("\n".join(f"person {m}" for m in range(n, n + 100)))
    return {"path": str(path)}


def _export(folder: Path, request: pytest.FixtureRequest, stack: ExitStack) -> dict[str, Any]:
    kept = ENGINES["postgresql"].checked(_postgresql(folder, request, stack))
    place = f"{kept['host']}:{kept['port']}/{kept['dbname']}"
    return {"url": f"postgresql://{kept['user']}@{place}", "tables": ["people"]}


def allow_work(folder: Path, work: Path) -> None:
    override_settings(BackupSettings(backup_folders=str(folder), backup_work_folder=str(work)))


def a_world(engine: str, config: Mapping[str, Any], folder: Path, **said: Any) -> World:
    """The target, which gave its secret key for drills; its copies go to the folder `copies`."""
    with transaction() as session:
        instance = an_instance(session)
        disk = a_folder(session, instance, folder / "copies")
        chosen: dict[str, Any] = {
            "name": "people",
            "config": config,
            "destinations": [disk.id],
            "recipients": [RECIPIENT],
            "drill_key": IDENTITY,
        }
        choice = TargetChoice(**{**chosen, **said})
        made = targets.create_target(session, instance, engine=engine, choice=choice, now=NOON)
        kept = dict(made.target.config)
        return World(engine, kept, made.target.id, folder / "copies")


def take(world: World, *, at: datetime = NOON, turn: Turn | None = None) -> str:
    """Back the target up, as a worker does; `turn` is what happens to the dump on its way."""
    with transaction() as session:
        asked = runs.ask(session, session.get_one(BackupTarget, world.target_id), now=at)
    with _turned(world.engine, turn):
        assert working.make_due(clock=lambda: at) == [asked.id]
    made = the_backup(asked.id)
    assert made.status == BackupStatus.SUCCEEDED, made.reason
    world.backups.append(made.id)
    return made.id


class _Turned:
    """A dump with another stream."""

    def __init__(self, dump: Dump, stream: BinaryIO) -> None:
        self._dump = dump
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dump, name)


class _Turning:
    """An engine whose dumps are turned on their way."""

    def __init__(self, engine: Engine, turn: Turn) -> None:
        self._engine = engine
        self._turn = turn

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    @contextmanager
    def dumping(self, config: Mapping[str, Any], *, folder: Path) -> Iterator[_Turned]:
        with self._engine.dumping(config, folder=folder) as dump:
            yield _Turned(dump, BytesIO(self._turn(dump.stream.read())))


@contextmanager
def _turned(name: str, turn: Turn | None) -> Iterator[None]:
    engine = ENGINES[name]
    if turn is not None:
        ENGINES[name] = cast("Engine", _Turning(engine, turn))
    try:
        yield
    finally:
        ENGINES[name] = engine


def the_backup(backup_id: str) -> Backup:
    with transaction() as session:
        return session.get_one(Backup, backup_id)


def drilled(backup_id: str) -> BackupDrill:
    """Have the backup tried, now."""
    with transaction() as session:
        asked = drills.ask(session, session.get_one(Backup, backup_id), now=NOON)
    assert drilling.run_next(now=NOON) == asked.id
    with reading() as session:
        return session.get_one(BackupDrill, asked.id)


WORKER = """
import os, sys
from datetime import UTC, datetime
from mainstay_server.areas.backups.service import drilling
from mainstay_server.kernel import outbound, shared
from mainstay_server.kernel.database import open_database
shared.open_shared("memory://")
outbound.open_outbound(allow_private=True)
open_database(sys.argv[1])
drilling.run_next(now=datetime(2026, 6, 1, 12, tzinfo=UTC))
"""


def another_worker(folder: Path, work: Path) -> subprocess.Popen[bytes]:
    """Another process that takes the drill which waits, to be killed in the middle."""
    environment = {
        **os.environ,
        "MAINSTAY_DATA_DIR": str(folder),
        "MAINSTAY_BACKUP_FOLDERS": str(folder),
        "MAINSTAY_BACKUP_WORK_FOLDER": str(work),
    }
    url = str(database_engine().url)
    return subprocess.Popen([sys.executable, "-c", WORKER, url], env=environment)
