"""SQLite comes back row for row, also what lies in the WAL, and a flipped bit is named."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from mainstay_server.areas.backups.providers import sqlite
from mainstay_server.areas.backups.schemas import (
    Difference,
    DumpFailed,
    RestoreFailed,
    Versions,
    What,
)
from mainstay_server.kernel.problems import Conflict, Invalid
from tests.areas.backups.worlds import allow, back_up, drill, restore, with_flipped_bit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "run"
    made.mkdir()
    return made


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    """A database in WAL mode, of which most lies in the WAL, and that is open elsewhere."""
    allow(tmp_path)
    return sqlite.checked({"path": str(tmp_path / "app.db")})


@contextmanager
def opened(config: dict[str, Any]) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(config["path"], isolation_level=None, timeout=60)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        yield connection


def fill(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.executescript("""
        CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, balance REAL, photo);
        CREATE TABLE "odd ""name" (a, b) ;
        CREATE TABLE keyed (k TEXT PRIMARY KEY, v) WITHOUT ROWID;
        CREATE INDEX by_name ON people (name);
        CREATE VIRTUAL TABLE texts USING fts5(body);
        INSERT INTO texts VALUES ('full text');
        INSERT INTO keyed VALUES ('a', NULL), ('b', x'00ff');
        INSERT INTO "odd ""name" VALUES (1, '1'), ('1', 1), (CAST(x'fffe' AS TEXT), x'fffe');
    """)
    people = ((i, f"person {i}", i / 7, os.urandom(20)) for i in range(5000))
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO people VALUES (?, ?, ?, ?)", people)
    connection.execute("COMMIT")


def rows(config: dict[str, Any]) -> dict[str, list[Any]]:
    tables = ("people", '"odd ""name"', "keyed", "texts")
    with opened(config) as connection:
        connection.text_factory = bytes
        return {each: connection.execute(f"SELECT * FROM {each}").fetchall() for each in tables}  # noqa: S608 - the names above


def test_a_destroyed_database_comes_back_with_all_that_lay_in_the_wal(
    config: dict[str, Any], folder: Path
) -> None:
    path = Path(config["path"])
    with opened(config) as connection:
        fill(connection)
        before = rows(config)
        with closing(sqlite3.connect(":memory:")) as naive:
            naive.deserialize(path.read_bytes().replace(b"\x02\x02", b"\x01\x01", 1))
            assert "people" not in {n for (n,) in naive.execute("SELECT name FROM sqlite_schema")}
        taken = back_up(sqlite, config, folder)
    for left in path.parent.glob("app.db*"):
        left.unlink()
    restore(sqlite, config, taken, folder)

    assert rows(config) == before
    assert sqlite.fingerprints(config, folder=folder) == taken.fingerprints
    assert ("people", 5000) in {(each.name, each.rows) for each in taken.fingerprints}
    assert list(folder.iterdir()) == []


def test_writers_during_the_dump_wait_for_nobody_and_cause_no_false_alarm(
    config: dict[str, Any], folder: Path
) -> None:
    with opened(config) as connection:
        fill(connection)
    enough = threading.Event()
    written = []

    def write() -> None:
        with opened(config) as connection:
            while not enough.is_set():
                connection.execute("UPDATE people SET balance = balance + 1 WHERE id % 100 = 0")
                written.append(1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            with sqlite.dumping(config, folder=folder) as dump:
                count = len(written)
                while len(written) < count + 3:
                    assert writer.is_alive()
                assert dump.stream.read(16) == sqlite.HEADER
            taken = back_up(sqlite, config, folder)
            assert drill(sqlite, taken, folder) == []
    finally:
        enough.set()
        writer.join()


def test_a_flipped_bit_is_named_though_the_database_seems_sound(
    config: dict[str, Any], folder: Path
) -> None:
    with opened(config) as connection:
        fill(connection)
        connection.execute("DROP INDEX by_name")
    taken = back_up(sqlite, config, folder)
    taken.dump = with_flipped_bit(taken.dump, b"person 1234")

    assert drill(sqlite, taken, folder) == [
        Difference(name="people", what=What.CONTENT, rows=(5000, 5000))
    ]


def test_a_cut_dump_and_garbage_are_not_put_in_place(config: dict[str, Any], folder: Path) -> None:
    with opened(config) as connection:
        fill(connection)
    taken = back_up(sqlite, config, folder)
    whole = taken.dump
    Path(config["path"]).unlink()
    for broken in (b"", b"garbage" * 1000, whole[:-1], whole[: len(whole) // 2]):
        taken.dump = broken
        with pytest.raises(RestoreFailed):
            restore(sqlite, config, taken, folder)
    names = {each.name for each in Path(config["path"]).parent.iterdir()}
    assert names <= {"run", "app.db-wal", "app.db-shm"}, "what a reader leaves of a closed WAL"


def test_a_target_that_holds_something_is_refused(
    config: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    with opened(config) as connection:
        fill(connection)
    taken = back_up(sqlite, config, folder)
    with pytest.raises(Conflict, match="not empty") as refusal:
        restore(sqlite, config, taken, folder)
    other = sqlite.checked({"path": str(tmp_path / "other.db")})
    (tmp_path / "other.db-wal").write_bytes(b"left")
    with pytest.raises(Conflict, match="left of another"):
        restore(sqlite, other, taken, folder)

    assert refusal.value.code == "target-not-empty"


def test_what_is_no_database_or_not_there_is_an_honest_failure(
    config: dict[str, Any], folder: Path
) -> None:
    path = Path(config["path"])
    with pytest.raises(DumpFailed, match="unable to open"):
        back_up(sqlite, config, folder)
    assert not path.exists()
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(DumpFailed, match="not a database"):
        back_up(sqlite, config, folder)
    assert list(folder.iterdir()) == []


def test_only_files_that_the_operator_named_can_be_reached(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours-too").mkdir()
    (tmp_path / "ours" / "link").symlink_to(tmp_path)
    with pytest.raises(Invalid, match="MAINSTAY_BACKUP_FOLDERS"):
        sqlite.checked({"path": str(tmp_path / "ours" / "app.db")})
    allow(tmp_path / "ours")
    kept = sqlite.checked({"path": str(tmp_path / "ours" / "app.db")})
    assert sqlite.shown(kept) == str(tmp_path / "ours" / "app.db")
    for path in ("ours-too/x", "ours/../x", "ours/link/x", "x"):
        with pytest.raises(Invalid, match="MAINSTAY_BACKUP_FOLDERS"):
            sqlite.checked({"path": f"{tmp_path}/{path}"})
    for senseless in (None, "", "app.db", "/\0"):
        with pytest.raises(Invalid, match="absolute"):
            sqlite.checked({"path": senseless})
    with pytest.raises(Invalid, match="is a folder"):
        sqlite.checked({"path": str(tmp_path / "ours")})


def test_a_path_that_became_a_link_is_not_followed(config: dict[str, Any], folder: Path) -> None:
    with opened({"path": str(folder.parent / "secret.db")}) as connection:
        fill(connection)
    Path(config["path"]).symlink_to(folder.parent / "secret.db")

    with pytest.raises(DumpFailed, match="leads elsewhere"):
        back_up(sqlite, config, folder)


def test_what_a_killed_restore_left_is_named_and_emptied(config: dict[str, Any]) -> None:
    left = Path(config["path"]).with_name(".app.db.restoring")
    left.write_bytes(b"half a database")
    versions = Versions(server=sqlite3.sqlite_version, tools=sqlite3.sqlite_version)

    with pytest.raises(Conflict, match="left of a restore that was killed") as refused:
        sqlite.check_restore(config, versions)
    assert refused.value.code == "target-not-empty"
    sqlite.empty(config)

    sqlite.check_restore(config, versions)
    assert not left.exists()
