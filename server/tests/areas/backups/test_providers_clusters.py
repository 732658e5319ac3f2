"""A whole cluster and its log are stored, and what is not whole is named; with real servers."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from mainstay_server.areas.backups.providers.postgresql import clusters, logs
from mainstay_server.areas.backups.providers.postgresql.segments import lsn_of
from mainstay_server.areas.backups.schemas import DumpFailed, RestoreFailed
from mainstay_server.areas.backups.settings import BackupSettings
from mainstay_server.kernel.problems import Conflict, Invalid
from mainstay_server.kernel.settings import override_settings
from tests.areas.backups.worlds import back_up, drill, shared_folder
from tests.servers.postgres import PostgresServer

pytestmark = pytest.mark.slow
SLOT = "mainstay_test"
OURS = f"FROM pg_replication_slots WHERE slot_name = '{SLOT}'"
MUCH = "INSERT INTO notes (text) SELECT repeat(md5(i::text), 30) FROM generate_series(1, 40000) i"


@pytest.fixture(autouse=True)
def _allowed(tmp_path: Path) -> None:
    override_settings(BackupSettings(backup_folders=str(tmp_path), backup_clusters=True))


@pytest.fixture
def source(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a database of a server that is bounded in what it keeps for us."""
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1GB'")
        connection.execute("SELECT pg_reload_conf()")
    url = postgres.dsn_of(postgres.new_database())
    ask(url, "CREATE TABLE notes (id serial, text text, at timestamptz DEFAULT clock_timestamp())")
    yield url
    ask(url, f"SELECT pg_drop_replication_slot(slot_name) {OURS}")


def ask(url: str, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = on")
        found = connection.execute(sql)
        return found.fetchall() if found.description else []


def log_of(url: str) -> dict[str, Any]:
    return logs.checked({"url": url, "slot": SLOT})


def position(url: str) -> int:
    ((found,),) = ask(url, f"SELECT restart_lsn {OURS}")
    return lsn_of(found)


def test_a_cluster_is_restored_started_and_read_in_a_drill(source: str) -> None:
    ask(source, "INSERT INTO notes (text) VALUES ('kept')")
    with shared_folder() as folder:
        taken = back_up(clusters, clusters.checked({"url": source}), folder)
        assert drill(clusters, taken, folder) == []
    assert {"global", "pg_xact", "backup_label"} <= {each.name for each in taken.fingerprints}


def test_a_page_that_was_changed_is_named(source: str) -> None:
    ask(source, "INSERT INTO notes (text) VALUES ('a person of 1234')")
    with shared_folder() as folder:
        taken = back_up(clusters, clusters.checked({"url": source}), folder)
        at = taken.dump.index(b"a person of 1234")
        taken.dump = taken.dump[:at] + b"b" + taken.dump[at + 1 :]
        differences = drill(clusters, taken, folder)
    assert [each.name.partition("/")[0] for each in differences] == ["base"]


def test_the_log_goes_on_where_the_last_run_that_was_stored_ended(source: str) -> None:
    with shared_folder() as folder:
        first = back_up(logs, log_of(source), folder)
        assert "The slot was made" in " ".join(first.notes)
        began = position(source)
        ask(source, MUCH)
        second = back_up(logs, log_of(source), folder)
        assert drill(logs, second, folder) == []
        assert position(source) == began, "whatever is killed now, nothing is lost"

        logs.let_go(log_of(source), second.fingerprints)

        assert position(source) > began
        third = back_up(logs, log_of(source), folder)
        assert len(third.fingerprints) == 2, "what is not full yet, and what it is"
        assert third.fingerprints[0].name in {each.name for each in second.fingerprints}


KILLED = """
import sys
from pathlib import Path
from mainstay_server.areas.backups.providers.postgresql import logs
config = logs.checked({"url": sys.argv[1], "slot": sys.argv[2]})
with logs.dumping(config, folder=Path(sys.argv[3])) as dump:
    print(*[each.name for each in dump.fingerprints() if len(each.name) == 24], flush=True)
    sys.stdin.read()
"""


def test_a_run_that_is_killed_loses_nothing(source: str, tmp_path: Path) -> None:
    with shared_folder() as folder:
        back_up(logs, log_of(source), folder)
        began = position(source)
        ask(source, MUCH)
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, source, SLOT, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as run:
            assert run.stdout is not None
            fetched = run.stdout.readline().split()
            run.kill()
        assert position(source) == began
        again = back_up(logs, log_of(source), folder)
    assert fetched
    assert set(fetched) <= {each.name for each in again.fingerprints}


def test_a_flipped_bit_in_a_record_is_named(source: str) -> None:
    with shared_folder() as folder:
        back_up(logs, log_of(source), folder)
        ask(source, "INSERT INTO notes (text) VALUES ('a person of 1234')")
        taken = back_up(logs, log_of(source), folder)
        at = taken.dump.index(b"a person of 1234")
        taken.dump = taken.dump[:at] + b"b" + taken.dump[at + 1 :]
        with pytest.raises(RestoreFailed, match="cannot be read"):
            drill(logs, taken, folder)


def test_a_log_that_the_server_gave_up_is_a_gap_that_is_told_once(
    source: str, postgres: PostgresServer
) -> None:
    with shared_folder() as folder:
        back_up(logs, log_of(source), folder)
        ask(source, "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
        ask(source, "SELECT pg_reload_conf()")
        for _ in range(3):
            ask(source, MUCH)
            ask(source, "SELECT pg_switch_wal()")
        ask(source, "CHECKPOINT")
        with (
            pytest.raises(DumpFailed, match="There is a gap"),
            logs.dumping(log_of(source), folder=folder),
        ):
            pytest.fail("there is none")
        assert drill(logs, back_up(logs, log_of(source), folder), folder) == []


def test_a_server_that_would_keep_log_without_bound_is_refused(source: str) -> None:
    ask(source, "ALTER SYSTEM SET max_slot_wal_keep_size = -1")
    ask(source, "SELECT pg_reload_conf()")
    with pytest.raises(Conflict, match="max_slot_wal_keep_size") as refusal:
        logs.find_versions(log_of(source))
    assert refusal.value.code == "slot-unbounded"


def test_clusters_need_the_operators_leave_and_the_right_of_replication(source: str) -> None:
    ask(source, "DROP ROLE IF EXISTS plain")
    ask(source, "CREATE ROLE plain LOGIN")
    plain = {**clusters.checked({"url": source}), "user": "plain"}
    for engine in (clusters, logs):
        with pytest.raises(Conflict, match="REPLICATION"):
            engine.find_versions({**plain, "slot": SLOT})
    override_settings(BackupSettings())
    with pytest.raises(Invalid, match="MAINSTAY_BACKUP_CLUSTERS"):
        clusters.checked({"url": source})


def test_nothing_is_restored_over_a_server_or_into_a_folder_with_files(
    source: str, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").touch()
    versions = clusters.find_versions(clusters.checked({"url": source}))
    for engine in (clusters, logs):
        with pytest.raises(Conflict, match="name a new folder"):
            engine.check_restore(clusters.checked({"url": source}), versions)
        with pytest.raises(Conflict, match="not empty"):
            engine.check_restore(engine.checked({"path": str(tmp_path / "full")}), versions)
        with pytest.raises(Invalid, match="MAINSTAY_BACKUP_FOLDERS"):
            engine.checked({"path": "/etc"})
    with pytest.raises(Invalid, match="with its zone"):
        clusters.checked({"path": str(tmp_path / "new"), "toTime": "2026-11-26T01:02:03"})
