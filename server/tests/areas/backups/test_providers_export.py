"""Rows leave as JSON Lines from one state of a database, and come back as they were."""

import json
import socket
import sqlite3
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from mainstay_server.areas.backups.providers import export as engine
from mainstay_server.areas.backups.providers.export import connecting, packing
from mainstay_server.areas.backups.schemas import (
    Difference,
    EngineFailed,
    RestoreFailed,
    What,
)
from mainstay_server.kernel.problems import Conflict, Invalid
from tests.areas.backups.worlds import (
    Taken,
    allow,
    back_up,
    drill,
    restore,
    shared_folder,
    with_flipped_bit,
)
from tests.waiting import eventually

pytestmark = pytest.mark.slow

KINDS = ("postgresql", "mysql", "sqlite")
MOOD = "CREATE TYPE mood AS ENUM ('gut', 'übel')"
TABLES = {
    "postgresql": """
CREATE TABLE people (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, born date,
    at timestamptz, money numeric(20, 4), ratio float8, photo bytea, ok bool, tags text[],
    facts jsonb, note json, code uuid, feeling mood, wait interval,
    twice int GENERATED ALWAYS AS (2) STORED)""",
    "mysql": """
CREATE TABLE people (id int AUTO_INCREMENT PRIMARY KEY, name varchar(100) CHARACTER SET utf8mb4,
    born date, at datetime(6), money decimal(20, 4), ratio double, photo blob, ok tinyint(1),
    big bigint unsigned, facts json, feeling enum('gut', 'übel'), wait time(6), bits bit(10))""",
    "sqlite": """
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, born, at, money, ratio REAL, photo BLOB,
    ok BOOLEAN, anything)""",
}
ROWS = {
    "postgresql": """
INSERT INTO people (name, born, at, money, ratio, photo, ok, tags, facts, note, code, feeling,
    wait) VALUES
    ('Zoë "x"', '2026-01-02', now(), 0.1, 1e300 / 7, '\\x00ff', true, '{a,"b,c"}',
    '{"b": [1, "x"]}', '"only text"', gen_random_uuid(), 'übel', '1 mon'),
    (NULL, 'infinity', '-infinity', 'NaN', 'NaN', '', false, '{}', 'null', '1', NULL, NULL,
    NULL)""",
    "mysql": """
INSERT INTO people (name, born, at, money, ratio, photo, ok, big, facts, feeling, wait, bits)
    VALUES ('Zoë "x" 😀', '2026-01-02', '2026-03-29 01:30:00.5', 0.1, 1e300 / 7, x'00ff', 1,
    18446744073709551615, '{"b": [1]}', 'übel', '-838:59:58.5', b'1010'),
    (NULL, '0000-00-00', NULL, NULL, NULL, '', 0, 0, NULL, NULL, '12:00', NULL)""",
    "sqlite": """
INSERT INTO people (name, born, at, money, ratio, photo, ok, anything) VALUES
    ('Zoë "x"', '2026-01-02', NULL, 0.1, 1e300 / 7, x'00ff', 1, 9223372036854775807),
    (NULL, NULL, NULL, NULL, NULL, x'', 0, 9e999), ('x', 1, 2.5, 'y', NULL, NULL, NULL, '')""",
}
ORDERS = [
    "CREATE TABLE orders (id int PRIMARY KEY, person int REFERENCES people (id))",
    "INSERT INTO orders VALUES (7, 1)",
]


def at(kind: str, folder: Path, request: pytest.FixtureRequest) -> str:
    """The URL of a new and empty database."""
    if kind == "sqlite":
        (folder / "shop.db").touch()
        return f"sqlite:///{folder / 'shop.db'}"
    if kind == "postgresql":
        server = request.getfixturevalue("postgres")
        return f"postgresql://postgres@127.0.0.1:{server.port}/{server.new_database()}"
    server = request.getfixturevalue("mariadb")
    return f"mysql://app@127.0.0.1:{server.port}/{server.new_database()}"


@contextmanager
def written(config: dict[str, Any]) -> Iterator[sa.Connection]:
    with connecting.connected({**config, "mode": "rw"}) as connection:
        if config["kind"] == "sqlite":
            connection.exec_driver_sql("BEGIN")
        if config["kind"] == "mysql":
            connection.exec_driver_sql("SET sql_mode = ''")
        yield connection
        connection.commit()


def run(config: dict[str, Any], *statements: str) -> None:
    with written(config) as connection:
        for statement in statements:
            connection.exec_driver_sql(statement.replace("%", "%%"))


def filled(kind: str, folder: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    allow(folder)
    config = engine.checked({"url": at(kind, folder, request)})
    if kind == "postgresql":
        run(config, MOOD)
    run(config, TABLES[kind], ROWS[kind], *ORDERS)
    return config


def rows(config: dict[str, Any]) -> list[Any]:
    whole = "people::text" if config["kind"] == "postgresql" else "*"
    with written(config) as connection:
        return [
            sorted(map(repr, connection.exec_driver_sql(f"SELECT {seen} FROM {name}")))  # noqa: S608 - those here
            for name, seen in (("people", whole), ("orders", "*"))
        ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_value_comes_back(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    config = filled(kind, tmp_path, request)
    before = rows(config)
    with shared_folder() as folder:
        taken = back_up(engine, config, folder)
        assert drill(engine, taken, folder) == []
        engine.empty(config)
        assert rows(config) == [[], []]
        restore(engine, config, taken, folder)

        assert rows(config) == before
        assert engine.fingerprints(config, folder=folder) == taken.fingerprints
        with pytest.raises(Conflict, match="not empty, there are rows in people") as refusal:
            restore(engine, config, taken, folder)
    assert refusal.value.code == "target-not-empty"
    assert {each.name: each.rows for each in taken.fingerprints} == {
        "people": len(before[0]),
        "orders": 1,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_is_named_and_a_cut_one_leaves_the_target_empty(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    config = filled(kind, tmp_path, request)
    with shared_folder() as folder:
        taken = back_up(engine, config, folder)
        whole = taken.dump
        taken.dump = with_flipped_bit(whole, b"2026-01-0")
        assert drill(engine, taken, folder) == [
            Difference(name="people", what=What.CONTENT, rows=(len(rows(config)[0]),) * 2)
        ]
        engine.empty(config)
        for size in (len(whole) // 2, whole.index(b"end.json"), len(whole) - 3 * 512):
            taken.dump = whole[:size]
            with pytest.raises(RestoreFailed, match=r"broken|cut"):
                restore(engine, config, taken, folder)
            assert rows(config) == [[], []]


def has_gone_on(config: dict[str, Any], folder: Path, taken: Taken) -> bool:
    """Whether somebody wrote since it was taken."""
    return engine.fingerprints(config, folder=folder) != taken.fingerprints


@pytest.mark.parametrize("kind", KINDS)
def test_writers_during_the_export_cause_no_false_alarm(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = filled(kind, tmp_path, request)
    if kind == "sqlite":
        connection = sqlite3.connect(config["path"])
        connection.execute("PRAGMA journal_mode = wal")
        connection.close()
    monkeypatch.setattr(packing, "PART_BYTES", 2000)
    ahead = len(rows(config)[0]) - 1
    enough, number = threading.Event(), iter(range(10, 100_000))

    def write() -> None:
        while not enough.is_set():
            n = next(number)
            run(
                config,
                f"INSERT INTO orders VALUES ({n}, 1)",  # noqa: S608 - a number
                f"INSERT INTO people (name) VALUES ('person {n}')",  # noqa: S608 - a number
            )

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with shared_folder() as folder:
            for _ in range(3):
                taken = back_up(engine, config, folder)
                assert drill(engine, taken, folder) == []
                eventually(partial(has_gone_on, config, folder, taken))
                counts = {each.name: each.rows for each in taken.fingerprints}
                assert counts["people"] - counts["orders"] == ahead, "both are of one state"
    finally:
        enough.set()
        writer.join()


def test_only_chosen_tables_leave_as_plain_lines_of_json(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    filled("sqlite", tmp_path, request)
    config = engine.checked({"url": f"sqlite:///{tmp_path / 'shop.db'}", "tables": ["orders"]})
    assert engine.shown(config) == f"{tmp_path / 'shop.db'}: orders"
    with shared_folder() as folder:
        taken = back_up(engine, config, folder)
    with tarfile.open(fileobj=BytesIO(taken.dump)) as archive:
        assert archive.getnames() == ["tables.json", "orders/000001.jsonl", "end.json"]
        lines = archive.extractfile("orders/000001.jsonl")
        assert lines is not None
        assert [json.loads(line) for line in lines] == [{"id": 7, "person": 1}]


def test_a_missing_table_is_named_before_and_after(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    config = filled("sqlite", tmp_path, request)
    with shared_folder() as folder:
        with (
            pytest.raises(EngineFailed, match="There is no table nothing"),
            engine.dumping({**config, "tables": ["nothing"]}, folder=folder),
        ):
            pytest.fail("it must not begin")
        taken = back_up(engine, config, folder)
        (tmp_path / "other.db").touch()
        other = engine.checked({"url": f"sqlite:///{tmp_path / 'other.db'}"})
        with pytest.raises(RestoreFailed, match="no table people, orders; let the app make"):
            restore(engine, other, taken, folder)
        with pytest.raises(Conflict, match=r"no table people; .* Let the app make") as refusal:
            engine.check_restore({**other, "tables": ["people"]}, taken.versions)
    assert refusal.value.code == "tables-missing"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"url": "mongodb://h/d"}, "must be postgresql"),
        ({"url": "postgresql://u@h/d?service=x"}, "must be postgresql"),
        ({"url": "mysql://h/d"}, "must name a host, a database and a user"),
        ({"url": "sqlite:////etc/passwd"}, "lies in no folder"),
        ({"url": "postgresql://u@h/d", "tables": "people"}, "is a list of names"),
        ({}, "must be postgresql"),
    ],
)
def test_what_makes_no_sense_is_refused(config: dict[str, Any], reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        engine.checked(config)


def test_no_error_tells_the_password() -> None:
    config = engine.checked({"url": "mysql://u:a-secret-word@127.0.0.1:1/d"})
    with pytest.raises(EngineFailed) as failure:
        engine.find_versions(config)
    assert "a-secret-word" not in str(failure.value) + engine.shown(config)


def test_the_password_file_of_whoever_runs_the_server_lends_no_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "pgpass"
    theirs.write_text("*:*:*:*:the-operators-own\n")
    theirs.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(theirs))
    for environment in ({}, {"PGPASSWORD": "the-operators-own"}):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            heard: list[bytes] = []
            strange = threading.Thread(target=ask_for_password, args=(listening, heard))
            strange.start()
            port = listening.getsockname()[1]
            config = engine.checked({"url": f"postgresql://app@127.0.0.1:{port}/shop"})
            with pytest.raises(EngineFailed):
                engine.find_versions(config)
            strange.join()
        assert b"app" in b"".join(heard)
        assert b"the-operators-own" not in b"".join(heard)


def ask_for_password(listening: socket.socket, heard: list[bytes]) -> None:
    """Speak as a PostgreSQL does until the client has told its password, or has gone."""
    connection, _ = listening.accept()
    with connection:
        while data := connection.recv(4096):
            heard.append(data)
            is_startup = b"user" in data
            connection.sendall(b"R\0\0\0\x08\0\0\0\x03" if is_startup else b"N")
            if b"the-operators-own" in data:
                return
