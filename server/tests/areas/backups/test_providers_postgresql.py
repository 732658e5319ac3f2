"""PostgreSQL comes back row for row, and whatever did not is named; with real servers."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from mainstay_server.areas.backups.providers import postgresql
from mainstay_server.areas.backups.providers.postgresql import connecting
from mainstay_server.areas.backups.schemas import (
    Difference,
    DumpFailed,
    EngineFailed,
    RestoreFailed,
    ScratchFailed,
    Versions,
    What,
    compare,
)
from mainstay_server.kernel.problems import Conflict, Invalid
from tests.areas.backups.worlds import back_up, drill, restore, shared_folder, with_flipped_bit
from tests.servers.postgres import PostgresServer
from tests.waiting import eventually

SCHEMA = """
CREATE TABLE people (id int PRIMARY KEY, name text, born date, balance float8, photo bytea);
INSERT INTO people SELECT i, 'person ' || i, date '1970-01-01' + i, i / 7.0, decode(md5(i::text),
    'hex') FROM generate_series(1, 2000) AS i;
CREATE TABLE visits (id bigserial PRIMARY KEY, person int REFERENCES people, at timestamptz);
INSERT INTO visits (person, at) SELECT 1 + i % 2000, now() FROM generate_series(1, 5000) AS i;
CREATE TABLE days (day date, n int) PARTITION BY RANGE (day);
CREATE TABLE days_2026 PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO days VALUES ('2026-02-03', 1);
CREATE SCHEMA "Odd Name";
CREATE TABLE "Odd Name"."a 'table'" ("a %s column" text, dropped int, kept int[]);
ALTER TABLE "Odd Name"."a 'table'" DROP COLUMN dropped;
INSERT INTO "Odd Name"."a 'table'" VALUES ('x', '{1,2}'), ('x', '{1,2}'), (NULL, NULL);
CREATE VIEW adults AS SELECT * FROM people WHERE born < '2008-01-01';
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1';
CREATE TABLE empty ();
SELECT lo_from_bytea(0, 'a large object');
"""
PASSWORD = "a-password-that-nobody-may-see"


def target(server: PostgresServer, sql: str = SCHEMA) -> dict[str, Any]:
    """A new database with something in it."""
    name = server.new_database()
    with psycopg.connect(server.dsn_of(name), autocommit=True) as connection:
        connection.execute(sql)
    return postgresql.checked({"url": server.dsn_of(name)})


@contextmanager
def asked(config: dict[str, Any]) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with connecting.connected(config) as connection:
        yield connection


def rows(config: dict[str, Any]) -> dict[str, list[Any]]:
    """Every row of every table, as the comparison of last resort."""
    tables = ("people", "visits", "days", '"Odd Name"."a \'table\'"')
    with asked(config) as connection:
        return {
            table: sorted(map(repr, connection.execute(f"SELECT * FROM {table}")))  # noqa: S608 - the names above
            for table in tables
        }


def test_a_destroyed_database_comes_back_row_for_row(postgres: PostgresServer) -> None:
    config = target(postgres)
    before = rows(config)
    with shared_folder() as folder:
        taken = back_up(postgresql, config, folder)
        with asked(config) as connection:
            connection.execute('DROP SCHEMA public, "Odd Name" CASCADE')
            connection.execute("CREATE SCHEMA public")
            connection.execute("SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
        restore(postgresql, config, taken, folder)

    assert rows(config) == before
    assert postgresql.fingerprints(config, folder=folder) == taken.fingerprints
    assert {"public.people": 2000, "public.visits": 5000, "public.days_2026": 1}.items() <= {
        each.name: each.rows for each in taken.fingerprints
    }.items()
    assert b"CREATE ROLE postgres" in taken.beside["globals.sql"]
    assert taken.notes == ()


def test_writers_during_the_dump_cause_no_false_alarm(postgres: PostgresServer) -> None:
    config = target(postgres)
    enough = threading.Event()

    def write() -> None:
        with asked(config) as connection:
            while not enough.is_set():
                connection.execute("UPDATE people SET balance = balance + 1 WHERE id % 50 = 0")
                connection.execute("INSERT INTO visits (person, at) VALUES (1, now())")
                connection.execute("DELETE FROM visits WHERE id IN (SELECT min(id) FROM visits)")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with shared_folder() as folder:
            for _ in range(3):
                taken = back_up(postgresql, config, folder)
                assert drill(postgresql, taken, folder) == []
                assert postgresql.fingerprints(config, folder=folder) != taken.fingerprints, (
                    "it was written"
                )
    finally:
        enough.set()
        writer.join()


def test_a_flipped_bit_is_named_though_the_restore_sees_nothing(postgres: PostgresServer) -> None:
    with shared_folder() as folder:
        taken = back_up(postgresql, target(postgres), folder)
        taken.dump = with_flipped_bit(taken.dump, b"person 1234")

        found = drill(postgresql, taken, folder)

    assert found == [Difference(name="public.people", what=What.CONTENT, rows=(2000, 2000))]


def test_a_cut_dump_is_not_restored_and_the_target_stays_empty(postgres: PostgresServer) -> None:
    with shared_folder() as folder:
        taken = back_up(postgresql, target(postgres), folder)
        whole = taken.dump
        config = target(postgres, "")
        for size in (len(whole) * 9 // 10, len(whole) // 2):
            taken.dump = whole[:size]
            with pytest.raises(RestoreFailed, match=r"pg_restore ended with 1: .*end of file"):
                restore(postgresql, config, taken, folder)
            postgresql.check_restore(config, taken.versions)


def test_a_target_that_holds_something_is_refused(postgres: PostgresServer) -> None:
    with shared_folder() as folder:
        taken = back_up(postgresql, target(postgres), folder)
        config = target(postgres, "CREATE TABLE precious (id int)")

        with pytest.raises(Conflict, match=r"not empty, it has public\.precious") as refusal:
            restore(postgresql, config, taken, folder)

    assert refusal.value.code == "target-not-empty"


def test_an_older_target_and_a_missing_extension_are_refused_before_anything_moves(
    postgres: PostgresServer,
) -> None:
    config = target(postgres, "")
    with pytest.raises(Conflict, match=r"into version 99 or later") as older:
        postgresql.check_restore(config, Versions(server="99.1", tools="99.1"))
    versions = Versions(server="15.1", tools="15.1", extensions=("postgis", "plpgsql"))
    with pytest.raises(Conflict, match=r"lacks postgis; install") as missing:
        postgresql.check_restore(config, versions)
    with (
        shared_folder() as folder,
        pytest.raises(Conflict, match="lacks postgis"),
        postgresql.scratch(versions, folder=folder),
    ):
        pytest.fail("it cannot be drilled here")

    assert (older.value.code, missing.value.code) == ("target-older", "extension-missing")


def test_tools_older_than_the_server_are_refused(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "14" / "bin"
    tools.mkdir(parents=True)
    (tools / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 14.9 (Debian 14.9-1)'\n")
    (tools / "pg_dump").chmod(0o755)
    monkeypatch.setattr(connecting, "PROGRAM_FOLDERS", tmp_path)
    config = target(postgres, "")

    with pytest.raises(Conflict, match=r"of version 14\.9, and the server of 15") as refusal:
        postgresql.find_versions(config)
    with (
        pytest.raises(Conflict),
        postgresql.dumping(config, folder=tmp_path),
    ):
        pytest.fail("it must not begin")

    assert refusal.value.code == "tools-older"


def test_a_user_who_may_only_read_suffices_and_one_from_whom_rows_are_hidden_fails(
    postgres: PostgresServer,
) -> None:
    config = target(postgres)
    with asked(config) as connection:
        connection.execute("DROP ROLE IF EXISTS reader")
        connection.execute("CREATE ROLE reader LOGIN")
        connection.execute("GRANT pg_read_all_data TO reader")
        connection.execute("SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
    reader = {**config, "user": "reader", "password": PASSWORD}
    with shared_folder() as folder:
        taken = back_up(postgresql, reader, folder)
        assert drill(postgresql, taken, folder) == []
        assert b"CREATE ROLE reader" in taken.beside["globals.sql"]
        with pytest.raises(Conflict, match="is somebody else's") as refusal:
            postgresql.check_restore(reader, taken.versions)
        assert refusal.value.code == "target-not-ours"
        with asked(config) as connection:
            connection.execute("ALTER TABLE people ENABLE ROW LEVEL SECURITY")
        with (
            pytest.raises(DumpFailed, match="row-level security"),
            postgresql.dumping(reader, folder=folder) as dump,
        ):
            dump.stream.read()
            dump.finish()
        with pytest.raises(EngineFailed, match="row-level security"):
            postgresql.fingerprints(reader, folder=folder)


def test_the_password_is_on_no_command_line_and_in_no_error(postgres: PostgresServer) -> None:
    config = {**target(postgres), "password": PASSWORD}
    with shared_folder() as folder, postgresql.dumping(config, folder=folder) as dump:
        children = psutil.Process().children(recursive=True)
        words = [word for child in children for word in child.cmdline()]
        assert any("--snapshot" in word for word in words), "pg_dump was looked at"
        assert not any(PASSWORD in word for word in words)
        dump.stream.read()
    gone = {**config, "port": 1}
    with pytest.raises(EngineFailed) as failure:
        postgresql.find_versions(gone)
    assert PASSWORD not in str(failure.value)
    with pytest.raises(Invalid) as refusal:
        postgresql.checked({"url": f"postgresql://u:{PASSWORD}@h:port/d b?x"})
    assert PASSWORD not in str(refusal.value)
    assert PASSWORD not in postgresql.shown(config)


def test_what_a_dump_says_to_run_does_not_run_as_superuser(postgres: PostgresServer) -> None:
    """Whoever owns a table may have a function run during the restore of its rows."""
    config = target(
        postgres,
        """
        CREATE FUNCTION evil(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
            IF current_database() <> 'drill' THEN RETURN true; END IF;
            EXECUTE 'COPY (SELECT 1) TO PROGRAM ''true''';
            RETURN true; END $$;
        CREATE TABLE trap (id int CHECK (evil(id)));
        INSERT INTO trap VALUES (1)""",
    )
    with shared_folder() as folder:
        taken = back_up(postgresql, config, folder)

        with pytest.raises(RestoreFailed, match=r"must be superuser|permission denied"):
            drill(postgresql, taken, folder)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://u@h/d", "must be postgresql"),
        ("postgresql://u@h/d?sslkey=/etc/shadow", "leave out sslkey"),
        ("postgresql://u@h/d?passfile=/root/.pgpass", "leave out passfile"),
        ("postgresql:///d?host=/run/postgresql&user=u", "one name or address"),
        ("postgresql://u@h,other/d", "one name or address"),
        ("postgresql://h/d", "must name"),
        ("postgresql://u@h/d?sslmode=never", "sslmode is one of"),
        ("postgresql://u@h:70000/d", "port must be"),
        ("", "must name"),
    ],
)
def test_an_address_that_makes_no_sense_or_reads_our_files_is_refused(
    url: str, reason: str
) -> None:
    with pytest.raises(Invalid, match=reason):
        postgresql.checked({"url": url})


KILLED = """
import sys
from pathlib import Path
from mainstay_server.areas.backups.providers import postgresql
from mainstay_server.areas.backups.schemas import Versions
config = postgresql.checked({"url": sys.argv[1]})
folder = Path(sys.argv[2])
with (
    postgresql.dumping(config, folder=folder),
    postgresql.scratch(Versions(server="15", tools="15"), folder=folder),
):
    print("there", flush=True)
    sys.stdin.read()
"""


def test_a_killed_run_leaves_no_child_and_no_scratch_server(postgres: PostgresServer) -> None:
    config = target(
        postgres,
        "CREATE TABLE much AS SELECT i, repeat('x', 500) AS text"
        " FROM generate_series(1, 20000) AS i",
    )
    url = postgres.dsn_of(config["dbname"])
    with shared_folder() as folder:
        run = subprocess.Popen(
            [sys.executable, "-c", KILLED, url, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert run.stdout is not None
        assert run.stdin is not None
        assert run.stdout.readline() == b"there\n"
        children = psutil.Process(run.pid).children(recursive=True)
        names = {child.name() for child in children}
        assert {"pg_dump", "postgres"} <= names
        run.kill()
        run.wait()
        eventually(
            lambda: (
                not any(
                    child.is_running() and child.status() != psutil.STATUS_ZOMBIE
                    for child in children
                )
            )
        )
        run.stdout.close()
        run.stdin.close()
        subprocess.run(["rm", "-r", str(folder / "pg")], check=True)


def test_a_folder_that_the_server_cannot_reach_is_an_honest_failure(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives its servers to somebody else")
    tmp_path.chmod(0o700)
    with (
        pytest.raises(ScratchFailed, match="No scratch PostgreSQL"),
        postgresql.scratch(Versions(server="15", tools="15"), folder=tmp_path),
    ):
        pytest.fail("there is none")
    assert list(tmp_path.iterdir()) == []


def test_garbage_is_no_dump(postgres: PostgresServer) -> None:
    config = target(postgres, "")
    with shared_folder() as folder, pytest.raises(RestoreFailed, match="not appear to be a valid"):
        postgresql.restore(
            config,
            BytesIO(b"garbage" * 1000),
            versions=postgresql.find_versions(config),
            folder=folder,
        )


def test_every_kind_of_column_and_another_encoding_come_back(postgres: PostgresServer) -> None:
    name = postgres.new_database()
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}_latin TEMPLATE template0 ENCODING 'LATIN1'")
    config = postgresql.checked({"url": postgres.dsn_of(f"{name}_latin")})
    with asked(config) as connection:
        connection.execute("""
            CREATE TYPE mood AS ENUM ('gut', 'übel');
            CREATE DOMAIN positive AS int CHECK (VALUE > 0);
            CREATE TYPE pair AS (a int, b mood);
            CREATE TABLE kinds (e mood, es mood[], p pair, d positive, j json, jb jsonb, x xml,
                n numeric, i interval, c char(5), v varchar, t text COLLATE "C", at timestamptz,
                net inet, r int4range, pt point, f real, u uuid, b bit(3), o oid, m money, k name);
            INSERT INTO kinds VALUES ('übel', '{gut,übel}', '(1,übel)', 7, '{"b": 1, "a":2}',
                '{"b": 1, "a": 2}', '<a/>', 1.00, '1 mon 2 days', 'ab', 'é', 'ÿ', now(),
                '10.0.0.0/8', '[1,5)', '(1,2)', 0.1, gen_random_uuid(), '101', 7, 12.5, 'k');
            INSERT INTO kinds (e) VALUES (NULL)""")
    with shared_folder() as folder:
        taken = back_up(postgresql, config, folder)
        assert drill(postgresql, taken, folder) == []
        with asked(config) as connection:
            connection.execute("UPDATE kinds SET n = 1.0 WHERE n = 1")
        assert compare(taken.fingerprints, postgresql.fingerprints(config, folder=folder)) == [
            Difference(name="public.kinds", what=What.CONTENT, rows=(2, 2))
        ]
