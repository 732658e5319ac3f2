"""A cluster comes back as of the moment before a mistake, and a gap in its log is named."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from mainstay_server.areas.backups.models import (
    Backup,
    BackupRestore,
    BackupStatus,
    BackupTarget,
    RestoreStatus,
)
from mainstay_server.areas.backups.service import (
    recovery,
    restores,
    restoring,
    runs,
    targets,
    working,
)
from mainstay_server.areas.backups.service.choosing import TargetChoice
from mainstay_server.areas.backups.service.restores import RestoreChoice
from mainstay_server.areas.backups.service.stored_manifests import read_manifest
from mainstay_server.areas.backups.settings import BackupSettings
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.problems import Conflict, Invalid
from mainstay_server.kernel.settings import override_settings
from tests.servers.postgres import PostgresServer, program_folder, running_postgres
from tests.waiting import eventually

from .copies import trusting
from .standing import IDENTITY, NOON, RECIPIENT, a_folder, an_instance, way_out
from .worlds import shared_folder

__all__ = ["trusting", "way_out"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("way_out", "database", "shared_memory", "trusting"),
]


class World:
    """A server of its own with a table, and two targets: the cluster and its log."""

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        with transaction() as session:
            instance = an_instance(session)
            self.disk = a_folder(session, instance, folder / "copies").id
            said: dict[str, Any] = {
                "destinations": [self.disk],
                "recipients": [RECIPIENT],
                "drill_key": IDENTITY,
            }
            self.targets = {
                name: targets.create_target(
                    session,
                    instance,
                    engine=name,
                    choice=TargetChoice(name=name, config={"url": server.dsn}, **said),
                    now=NOON,
                ).target.id
                for name in ("postgresql_cluster", "postgresql_log")
            }

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.server.dsn, autocommit=True) as connection:
            connection.execute("SET synchronous_commit = on")
            found = connection.execute(sql)
            return found.fetchall() if found.description else []

    def take(self, engine: str) -> Backup:
        with transaction() as session:
            target = session.get_one(BackupTarget, self.targets[engine])
            asked = runs.ask(session, target, now=utc_now())
        working.make_due(clock=utc_now)
        with reading() as session:
            made = session.get_one(Backup, asked.id)
        assert made.status == BackupStatus.SUCCEEDED, made.reason
        return made

    def restore(self, base: Backup, to_time: str, name: str = "restored") -> BackupRestore:
        config = {"path": str(self.folder / name), "toTime": to_time}
        with transaction() as session:
            base = session.get_one(Backup, base.id)
            asked = restores.ask(
                session, base, RestoreChoice(config=config), asked_by="alice", now=utc_now()
            )
        assert restoring.run_next(now=utc_now()) == asked.id
        with reading() as session:
            return session.get_one(BackupRestore, asked.id)


@pytest.fixture
def world() -> Iterator[World]:
    with running_postgres() as server, shared() as folder:
        work = folder / "work"
        work.mkdir()
        work.chmod(0o711)
        override_settings(
            BackupSettings(
                backup_folders=str(folder), backup_work_folder=str(work), backup_clusters=True
            )
        )
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1GB'")
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("CREATE TABLE orders (id int, at timestamptz)")
        yield World(server, folder)


@contextmanager
def shared() -> Iterator[Path]:
    """A folder that PostgreSQL's user reaches, and that is emptied."""
    with shared_folder() as folder:
        yield folder
        subprocess.run(["find", str(folder), "-mindepth", "1", "-delete"], check=True)


@contextmanager
def started(data: Path) -> Iterator[str]:
    """The person's own PostgreSQL on a restored folder: the URL, once it has been promoted."""
    user = "postgres" if os.geteuid() == 0 else None
    command = [str(program_folder() / "postgres"), "-D", str(data), "-k", str(data), "-c"]
    log = data.parent / f"{data.name}.log"
    with log.open("w") as told:
        command.append("listen_addresses=")
        process = subprocess.Popen(command, user=user, cwd=data, stderr=told)
    url = f"host={data} user=postgres dbname=postgres"

    def is_promoted() -> bool:
        with psycopg.connect(url) as connection:
            found = connection.execute("SELECT pg_is_in_recovery()").fetchone()
            return found == (False,)

    try:
        eventually(lambda: _answers(is_promoted) or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _answers(question: Any) -> bool:
    try:
        return bool(question())
    except psycopg.OperationalError:
        return False


def ids(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM orders ORDER BY id")]


def moment(world: World) -> str:
    time.sleep(0.05)
    ((now,),) = world.ask("SELECT clock_timestamp()")
    time.sleep(0.05)
    return str(now.astimezone(UTC).isoformat())


def test_a_cluster_comes_back_as_of_the_moment_before_a_mistake(world: World) -> None:
    world.take("postgresql_log")
    world.ask("INSERT INTO orders VALUES (1, now())")
    base = world.take("postgresql_cluster")
    world.ask("INSERT INTO orders VALUES (2, now())")
    world.take("postgresql_log")
    world.ask("INSERT INTO orders SELECT i, now() FROM generate_series(3, 100000) AS i")
    before = moment(world)
    world.ask("DROP TABLE orders")
    world.ask("CREATE TABLE orders (id int)")
    world.ask("INSERT INTO orders VALUES (-1)")
    world.take("postgresql_log")

    restore = world.restore(base, before)
    latest = world.restore(base, "latest", "latest")

    assert (restore.status, restore.reason) == (RestoreStatus.SUCCEEDED, "")
    assert (latest.status, latest.reason) == (RestoreStatus.SUCCEEDED, "")
    with started(world.folder / "restored") as url:
        assert ids(url) == list(range(1, 100001))
    with started(world.folder / "latest") as url:
        assert ids(url) == [-1]


def test_a_time_that_no_stored_log_reaches_is_refused_before_anything_is_made(
    world: World,
) -> None:
    base = world.take("postgresql_cluster")
    with pytest.raises(Conflict, match="No log of this cluster was stored"):
        world.restore(base, "latest")
    run = world.take("postgresql_log")
    assert run.started_at is not None
    late = (run.started_at + timedelta(hours=1)).isoformat()
    with pytest.raises(Conflict, match="reaches until"):
        world.restore(base, late)
    with pytest.raises(Invalid, match="The base backup ended at"):
        world.restore(base, datetime(2020, 1, 1, tzinfo=UTC).isoformat())
    assert not (world.folder / "restored").exists()


def test_a_gap_in_the_log_is_named(world: World) -> None:
    world.take("postgresql_log")
    base = world.take("postgresql_cluster")
    world.ask("CREATE TABLE others AS SELECT 1 AS one")
    world.ask("SELECT pg_switch_wal()")
    lost = world.take("postgresql_log")
    world.ask("CREATE TABLE more AS SELECT 1 AS one")
    world.ask("SELECT pg_switch_wal()")
    world.take("postgresql_log")
    with transaction() as session:
        session.get_one(Backup, lost.id).removed_at = utc_now()

    restore = world.restore(base, "latest")

    assert restore.status == RestoreStatus.FAILED
    assert "There is a gap in the log: no run has 0000000100000000" in restore.reason


def test_a_run_of_the_log_that_was_changed_is_named(world: World) -> None:
    world.take("postgresql_log")
    base = world.take("postgresql_cluster")
    run = world.take("postgresql_log")
    (copy,) = (world.folder / "copies").rglob(f"*-{run.id}.pgwal.tar.zst.age")
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)

    restore = world.restore(base, "latest")

    assert restore.status == RestoreStatus.FAILED
    assert "SHA-256" in restore.reason or "changed" in restore.reason
    assert not (world.folder / "restored" / "recovery.signal").exists()


def test_the_sheet_starts_a_cluster_without_us(world: World) -> None:
    world.ask("INSERT INTO orders VALUES (7, now())")
    base = world.take("postgresql_cluster")
    with reading() as session:
        manifest = read_manifest(session, base.id)
    home = world.folder / "elsewhere"
    home.mkdir()
    shutil.copy(world.folder / "copies" / manifest.key, home)
    (home / recovery.KEY_FILE).write_text(IDENTITY)
    user = "postgres" if os.geteuid() == 0 else None
    subprocess.run(["chown", "-R", user or str(os.geteuid()), str(home)], check=True)
    for line in recovery.commands(manifest)[1:]:
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line], cwd=home, check=True, user=user, timeout=300
        )
    try:
        assert ids(f"host={home}/restored user=postgres dbname=postgres") == [7]
    finally:
        pid = int((home / "restored" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGINT)
        eventually(lambda: not (home / "restored" / "postmaster.pid").exists())
