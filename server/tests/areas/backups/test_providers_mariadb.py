"""MariaDB comes back row for row, and whatever did not is named; with real servers."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import psutil
import pymysql
import pytest
from mainstay_server.areas.backups.providers import mariadb as engine
from mainstay_server.areas.backups.providers.mariadb import connecting, snapshots
from mainstay_server.areas.backups.schemas import (
    Difference,
    DumpFailed,
    EngineFailed,
    RestoreFailed,
    Versions,
    What,
    compare,
)
from mainstay_server.kernel.problems import Conflict, Invalid
from tests.areas.backups.worlds import (
    Taken,
    back_up,
    drill,
    restore,
    shared_folder,
    with_flipped_bit,
)
from tests.servers.mariadb import MariadbServer
from tests.waiting import eventually

pytestmark = pytest.mark.slow

KINDS = """
CREATE TABLE kinds (t tinyint, u bigint unsigned, d decimal(65, 30), f float, r double, b bit(10),
    y year, da date, ti time(6), dt datetime(6), ts timestamp(6) NULL, c char(5),
    l varchar(20) CHARACTER SET latin1, k varchar(20) CHARACTER SET utf16 COLLATE utf16_bin,
    bi binary(4), vb varbinary(10), tt tinytext, mt mediumtext, lt longtext, tb tinyblob,
    lb longblob, e enum('gut', 'übel'), s set('a', 'b'), j json, u4 uuid, i4 inet4, i6 inet6,
    g geometry, p point, hidden int INVISIBLE DEFAULT 7, stored int AS (t + 1) STORED);
INSERT INTO kinds (t, u, d, f, r, b, y, da, ti, dt, ts, c, l, k, bi, vb, tt, mt, lt, tb, lb, e, s,
    j, u4, i4, i6, g, p) VALUES (-1, 18446744073709551615, 0.1, 0.1, 1e300 / 7, b'1010', 2026,
    '0000-00-00', '-838:59:58.123', '9999-12-31 23:59:59.999999', '2026-03-29 01:30:00.5', 'ab ',
    'é', 'ÿ😀', 'a', 'a\\0b', 'x', REPEAT('é', 100000), '', '', REPEAT('\\0\\n', 500000), 'übel',
    'a,b', '{"b": 1, "a":  2}', uuid(), '10.0.0.1', '::1', ST_GeomFromText('POINT(1 2)'),
    POINT(3, 4));
INSERT INTO kinds (t) VALUES (NULL)"""
PASSWORD = 'a "password\\ that # nobody'
SCHEMA = """
CREATE TABLE people (id int PRIMARY KEY, name varchar(100), born date, balance double, photo blob);
INSERT INTO people SELECT seq, CONCAT('person ', seq), DATE '1970-01-01' + INTERVAL seq DAY,
    seq / 7, UNHEX(MD5(seq)) FROM seq_1_to_2000;
CREATE TABLE visits (id bigint AUTO_INCREMENT PRIMARY KEY, person int, at timestamp NULL,
    FOREIGN KEY (person) REFERENCES people (id));
INSERT INTO visits (person, at) SELECT 1 + seq % 2000, now() FROM seq_1_to_5000;
CREATE TABLE `a 'table` (`a %s ``column` text, kept int, twice int AS (kept * 2) VIRTUAL);
INSERT INTO `a 'table` (`a %s ``column`, kept) VALUES ('x', 1), ('x', 1), (NULL, NULL);
CREATE VIEW adults AS SELECT * FROM people WHERE born < '2008-01-01';
CREATE FUNCTION twice(n int) RETURNS int DETERMINISTIC RETURN 2 * n;
CREATE PROCEDURE nothing() BEGIN END;
CREATE TRIGGER counted BEFORE INSERT ON visits FOR EACH ROW SET NEW.at = NEW.at;
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DO DELETE FROM visits WHERE id < 0;
CREATE SEQUENCE numbers;
CREATE TABLE empty (id int)
"""


def target(server: MariadbServer, sql: str = SCHEMA) -> dict[str, Any]:
    """A new database with something in it."""
    name = server.new_database()
    config = engine.checked({"url": f"mysql://app@127.0.0.1:{server.port}/{name}"})
    with asked(config) as connection:
        for statement in filter(str.strip, sql.split(";\n")):
            connecting.ask(
                connection, statement.replace("%", "%%") if "%s" in statement else statement
            )
    return config


@contextmanager
def asked(config: dict[str, Any]) -> Iterator[connecting.Connection]:
    with connecting.connected(config) as connection:
        yield connection


def run(config: dict[str, Any], *statements: str) -> None:
    with asked(config) as connection:
        for statement in statements:
            connecting.ask(connection, statement)


def rows(config: dict[str, Any]) -> dict[str, list[str]]:
    """Every row of every table, as the comparison of last resort."""
    with asked(config) as connection:
        return {
            table: sorted(map(repr, connecting.ask(connection, f"SELECT * FROM {table}")))  # noqa: S608 - the names beside
            for table in ("people", "visits", "`a 'table`", "adults")
        }


def user(server: MariadbServer, config: dict[str, Any], *grants: str) -> dict[str, Any]:
    """The target as another user, of few rights, sees it."""
    name = f"u{config['dbname'][-12:]}"
    quoted = PASSWORD.replace("\\", "\\\\")
    run(config, f"CREATE USER {name}@'127.0.0.1' IDENTIFIED BY '{quoted}'")
    run(config, *(f"GRANT {grant} TO {name}@'127.0.0.1'" for grant in grants))
    return {**config, "user": name, "password": PASSWORD}


def test_a_destroyed_database_comes_back_row_for_row(mariadb: MariadbServer) -> None:
    config = target(mariadb)
    before = rows(config)
    with shared_folder() as folder:
        taken = back_up(engine, config, folder)
        engine.empty(config)
        with asked(config) as connection:
            assert connecting.ask(connection, "SHOW TABLES") == ()
        restore(engine, config, taken, folder)

        assert rows(config) == before
        assert engine.fingerprints(config, folder=folder) == taken.fingerprints
    assert {"people": 2000, "visits": 5000, "a 'table": 3, "empty": 0}.items() <= {
        each.name: each.rows for each in taken.fingerprints
    }.items()
    with asked(config) as connection:
        assert connecting.ask(connection, "SELECT twice(21)") == ((42,),)
    assert taken.notes == ()


def test_writers_during_the_dump_cause_no_false_alarm(mariadb: MariadbServer) -> None:
    config = target(mariadb)
    enough = threading.Event()

    def write() -> None:
        with asked(config) as connection:
            while not enough.is_set():
                connection.begin()
                with connection.cursor() as cursor:
                    cursor.execute("UPDATE people SET balance = balance + 1 WHERE id % 50 = 0")
                    cursor.execute("INSERT INTO visits (person, at) VALUES (1, now())")
                    cursor.execute("DELETE FROM visits ORDER BY id LIMIT 1")
                connection.commit()

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        with shared_folder() as folder:
            taken = [back_up(engine, config, folder) for _ in range(5)]
            with engine.scratch(taken[0].versions, folder=folder) as scratch:
                for each in taken:
                    restore(engine, dict(scratch), each, folder)
                    assert (
                        compare(each.fingerprints, engine.fingerprints(scratch, folder=folder))
                        == []
                    )
                    engine.empty(scratch)
            assert len({each.fingerprints for each in taken}) == len(taken), "it was written"
    finally:
        enough.set()
        for writer in writers:
            writer.join()


def test_a_flipped_bit_is_named_though_the_restore_sees_nothing(mariadb: MariadbServer) -> None:
    with shared_folder() as folder:
        taken = back_up(engine, target(mariadb), folder)
        taken.dump = with_flipped_bit(taken.dump, b"person 1234")

        found = drill(engine, taken, folder)

    assert found == [Difference(name="people", what=What.CONTENT, rows=(2000, 2000))]


def test_a_cut_dump_is_not_restored_and_the_target_is_left_empty(mariadb: MariadbServer) -> None:
    with shared_folder() as folder:
        taken = back_up(engine, target(mariadb), folder)
        whole = taken.dump
        config = target(mariadb, "")
        border = whole.rindex(b"\n--\n-- Dumping routines")  # where all statements are whole
        for size in (len(whole) // 2, border, len(whole) - 200):
            taken.dump = whole[:size]
            with pytest.raises(RestoreFailed, match=r"was cut|ended with 1"):
                restore(engine, config, taken, folder)
            engine.check_restore(config, taken.versions)


def test_targets_that_cannot_take_it_are_refused_before_anything_moves(
    mariadb: MariadbServer,
) -> None:
    versions = Versions(server="10.11.1-MariaDB", tools="10.11.1-MariaDB")
    with pytest.raises(Conflict, match="not empty, it has precious") as full:
        engine.check_restore(target(mariadb, "CREATE TABLE precious (id int)"), versions)
    config = target(mariadb, "")
    with pytest.raises(Conflict, match=r"into version 99\.1 or later") as older:
        engine.check_restore(config, Versions(server="99.1.2-MariaDB", tools=""))
    with pytest.raises(Conflict, match="do not read all") as other:
        engine.check_restore(config, Versions(server="8.0.36", tools=""))
    lesser = user(mariadb, config, f"ALL ON {config['dbname']}.*")
    theirs = Versions(server="10.11.1-MariaDB", tools="", roles=("root@localhost",))
    with pytest.raises(Conflict, match=r"root@localhost defined.* grant it SET USER") as rights:
        engine.check_restore(lesser, theirs)

    codes = [each.value.code for each in (full, older, other, rights)]
    assert codes == ["target-not-empty", "target-older", "target-other", "rights-missing"]


def test_tools_older_than_the_server_are_refused(
    mariadb: MariadbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "mariadb-dump"
    tool.write_text(
        "#!/bin/sh\necho 'mariadb-dump  Ver 10.19 Distrib 10.6.12-MariaDB, for Linux'\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Conflict, match=r"of version 10\.6\.12-MariaDB, and the server") as refusal:
        engine.find_versions(target(mariadb, ""))

    assert refusal.value.code == "tools-older"


def test_a_user_who_may_only_read_and_lock_suffices(mariadb: MariadbServer) -> None:
    config = target(mariadb)
    on = f"ON {config['dbname']}.*"
    reading = f"SELECT, SHOW VIEW, TRIGGER, EVENT, EXECUTE {on}"
    reader = user(mariadb, config, reading)
    with shared_folder() as folder:
        with (
            pytest.raises(DumpFailed, match="grant it RELOAD, or LOCK TABLES"),
            engine.dumping(reader, folder=folder),
        ):
            pytest.fail("it must not begin")
        run(config, f"GRANT LOCK TABLES {on} TO {reader['user']}@'127.0.0.1'")
        run(config, f"GRANT SELECT ON mysql.proc TO {reader['user']}@'127.0.0.1'")
        taken = back_up(engine, reader, folder)
        assert (drill(engine, taken, folder), taken.notes) == ([], ())

        run(config, f"REVOKE TRIGGER {on} FROM {reader['user']}@'127.0.0.1'")
        taken = back_up(engine, reader, folder)
        assert "lack TRIGGER" in taken.notes[0]
        assert drill(engine, taken, folder) == []


def test_tables_without_snapshots_are_kept_from_being_written_meanwhile(
    mariadb: MariadbServer,
) -> None:
    config = target(
        mariadb,
        "CREATE TABLE old (id int) ENGINE=MyISAM;\nINSERT INTO old VALUES (1);\n"
        "CREATE TABLE new (id int) ENGINE=InnoDB",
    )
    with shared_folder() as folder, engine.dumping(config, folder=folder) as dump:
        with asked(config) as connection:
            connecting.ask(connection, "SET lock_wait_timeout = 0")
            connecting.ask(connection, "INSERT INTO new VALUES (1)")
            with pytest.raises(pymysql.err.OperationalError, match="Lock wait timeout"):
                connecting.ask(connection, "INSERT INTO old VALUES (2)")
        dump.stream.read()
        dump.finish()

        assert "old: not InnoDB" in dump.notes()[0]
        assert [each.rows for each in dump.fingerprints() if each.name in {"old", "new"}] == [0, 1]
    run(config, "INSERT INTO old VALUES (2)")


def test_a_table_that_is_made_meanwhile_is_an_honest_failure(mariadb: MariadbServer) -> None:
    config = target(mariadb)
    with (
        shared_folder() as folder,
        pytest.raises(DumpFailed, match="made or dropped during the dump"),
        engine.dumping(config, folder=folder) as dump,
    ):
        run(config, "CREATE TABLE another (id int)")
        dump.stream.read()
        dump.finish()
        dump.fingerprints()


def test_a_dump_without_its_last_line_is_none(
    mariadb: MariadbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "mariadb-dump"
    tool.write_text(
        '#!/bin/sh\nif [ "$1" = --version ]; then exec /usr/bin/mariadb-dump --version; fi\n'
        '/usr/bin/mariadb-dump "$@" | head -c 2000\n'
    )
    tool.chmod(0o755)
    config = target(mariadb)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with (
        shared_folder() as folder,
        pytest.raises(DumpFailed, match="its last line is not there"),
        engine.dumping(config, folder=folder) as dump,
    ):
        dump.stream.read()
        dump.finish()


def test_writes_wait_for_a_dump_that_does_not_begin_only_so_long(
    mariadb: MariadbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "mariadb-dump"
    tool.write_text(
        '#!/bin/sh\nif [ "$1" = --version ]; then exec /usr/bin/mariadb-dump --version; fi\n'
        "exec sleep 600\n"
    )
    tool.chmod(0o755)
    config = target(mariadb)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(snapshots, "HELD_SECONDS", 0.3)
    with (
        shared_folder() as folder,
        pytest.raises(DumpFailed, match="did not begin within"),
        engine.dumping(config, folder=folder),
    ):
        pytest.fail("it has not begun")
    run(config, "INSERT INTO empty VALUES (1)")


def test_the_password_is_on_no_command_line_and_in_no_error(mariadb: MariadbServer) -> None:
    config = target(mariadb)
    config = user(mariadb, config, "ALL ON *.*")
    with shared_folder() as folder:
        with engine.dumping(config, folder=folder) as dump:
            children = psutil.Process().children(recursive=True)
            words = [word for child in children for word in child.cmdline()]
            assert any("--single-transaction" in word for word in words), "the tool was looked at"
            assert not any(PASSWORD in word for word in words)
            options = next(folder.glob("client-*.cnf"))
            assert options.stat().st_mode & 0o777 == 0o600
            content = dump.stream.read()
            dump.finish()
            taken = Taken(content, dump.fingerprints(), dump.versions)
        engine.empty(config)
        restore(engine, config, taken, folder)
    with pytest.raises(EngineFailed) as failure:
        engine.find_versions({**config, "port": 1})
    assert PASSWORD not in str(failure.value)
    with pytest.raises(EngineFailed, match="Access denied") as denied:
        engine.find_versions({**config, "user": "nobody"})
    assert PASSWORD not in str(denied.value)
    assert PASSWORD not in engine.shown(config)


def test_what_a_dump_says_to_run_does_not_run_here(mariadb: MariadbServer, tmp_path: Path) -> None:
    """Neither the client's own commands, nor files of the server, nor another one's rights."""
    made = tmp_path / "made"
    evil = [
        f"\\! touch {made}",
        f"system touch {made}",
        "SELECT 'x' INTO OUTFILE '/tmp/mainstay-evil';",
        "CREATE DEFINER=root@localhost PROCEDURE root() DELETE FROM mysql.user;\nCALL root();",
    ]
    with shared_folder() as folder:
        taken = back_up(engine, target(mariadb, "CREATE TABLE t (id int)"), folder)
        whole = taken.dump
        for each in evil:
            taken.dump = each.encode() + b"\n" + whole
            with pytest.raises(RestoreFailed, match=r"Unknown command|denied|syntax|not exist"):
                drill(engine, taken, folder)
    assert not made.exists()
    assert not Path("/tmp/mainstay-evil").exists()  # noqa: S108 - where it would be


def test_the_comment_that_newer_tools_begin_with_is_taken(mariadb: MariadbServer) -> None:
    with shared_folder() as folder:
        taken = back_up(engine, target(mariadb), folder)
        comment = b"/*M!999999\\- enable the sandbox mode */ \n"
        taken.dump = comment + taken.dump.removeprefix(comment)
        assert drill(engine, taken, folder) == []
        taken.dump = taken.dump.removeprefix(comment)
        assert drill(engine, taken, folder) == []


def test_every_kind_of_column_comes_back(mariadb: MariadbServer) -> None:
    config = target(mariadb, KINDS)
    with shared_folder() as folder:
        taken = back_up(engine, config, folder)
        assert drill(engine, taken, folder) == []
        changes = (
            "d = 0.2",
            "b = 1",
            "l = 'e'",
            "k = 'y'",
            "vb = 'ab'",
            "lb = NULL",
            "tt = NULL",
            "lt = NULL",
            "e = 'gut'",
            "s = 'b'",
            "g = POINT(1, 3)",
            "i6 = '::2'",
            "hidden = 8",
            "ti = '-838:59:58.124'",
            "j = '{\"b\": 1}'",
            "mt = CONCAT(mt, ' ')",
        )
        for change in changes:
            before = engine.fingerprints(config, folder=folder)
            run(config, f"UPDATE kinds SET {change} WHERE t = -1")  # noqa: S608 - those above
            assert compare(before, engine.fingerprints(config, folder=folder)) == [
                Difference(name="kinds", what=What.CONTENT, rows=(2, 2))
            ], change


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://u@h/d", "must be mysql"),
        ("mysql://u@h/d?ssl-ca=/etc/shadow", "leave out ssl-ca"),
        ("mysql://u@h/d?ssl-mode=never", "ssl-mode is one of"),
        ("mysql://u@h:port/d", "must be mysql"),
        ("mysql://h/d", "must name"),
        ("mysql://u@h/", "must name"),
        ("mysql://u@h/--all-databases", "no database begins by"),
        ("mysql://u:%0a@h/d", "printable"),
        ("", "must be mysql"),
    ],
)
def test_an_address_that_makes_no_sense_is_refused(url: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        engine.checked({"url": url})


@pytest.mark.parametrize(
    ("told", "version"),
    [
        ("mariadb-dump from 11.4.2-MariaDB, client 10.19 for Linux", "11.4.2-MariaDB"),
        ("mysqldump  Ver 10.19 Distrib 10.5.1-MariaDB, for Linux", "10.5.1-MariaDB"),
        ("mysqldump  Ver 8.0.36 for Linux on x86_64 (MySQL Community)", "8.0.36"),
        ("mariadbd  Ver 10.11.6-MariaDB-0+deb12u1 for debian", "10.11.6-MariaDB"),
    ],
)
def test_versions_are_read_as_every_program_tells_them(
    told: str, version: str, tmp_path: Path
) -> None:
    tool = tmp_path / "tool"
    tool.write_text(f"#!/bin/sh\necho '{told}'\n")
    tool.chmod(0o755)
    assert connecting.tool_version(str(tool)) == version


KILLED = """
import sys
from pathlib import Path
from mainstay_server.areas.backups.providers import mariadb
from mainstay_server.areas.backups.schemas import Versions
config = mariadb.checked({"url": sys.argv[1]})
folder = Path(sys.argv[2])
with (
    mariadb.dumping(config, folder=folder),
    mariadb.scratch(Versions(server="10.11-MariaDB", tools=""), folder=folder),
):
    print("there", flush=True)
    sys.stdin.read()
"""


def test_a_killed_run_leaves_no_child_and_lets_everybody_write(mariadb: MariadbServer) -> None:
    config = target(
        mariadb,
        "CREATE TABLE much AS SELECT seq, REPEAT('x', 500) AS text FROM seq_1_to_20000",
    )
    url = f"mysql://app@127.0.0.1:{mariadb.port}/{config['dbname']}"
    with shared_folder() as folder:
        killed = subprocess.Popen(
            [sys.executable, "-c", KILLED, url, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert killed.stdout is not None
        assert killed.stdin is not None
        assert killed.stdout.readline() == b"there\n"
        children = psutil.Process(killed.pid).children(recursive=True)
        assert {"mariadb-dump", "mariadbd"} <= {child.name() for child in children}
        killed.kill()
        killed.wait()
        eventually(
            lambda: (
                not any(
                    child.is_running() and child.status() != psutil.STATUS_ZOMBIE
                    for child in children
                )
            )
        )
        killed.stdout.close()
        killed.stdin.close()
        subprocess.run(["rm", "-r", str(folder / "mariadb")], check=True)
        for left in folder.glob("client-*.cnf"):
            left.unlink()
    run(config, "INSERT INTO much VALUES (0, 'x')")


def test_garbage_is_no_dump(mariadb: MariadbServer) -> None:
    config = target(mariadb, "")
    with shared_folder() as folder, pytest.raises(RestoreFailed, match="syntax"):
        engine.restore(
            config,
            BytesIO(b"garbage;" * 1000),
            versions=engine.find_versions(config),
            folder=folder,
        )
