"""The recovery sheet is followed with nothing but the programs that it names."""

import html
import os
import re
import sqlite3
import subprocess
import tarfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from mainstay_server.areas.backups.providers import redis
from mainstay_server.areas.backups.service import recovery
from redis import Redis
from tests.areas.backups.copies import Backup, back_up, key, trusting
from tests.kernel.copies.worlds import Key
from tests.servers.mariadb import MariadbServer, mariadb
from tests.servers.postgres import PostgresServer, postgres
from tests.servers.processes import required_program
from tests.servers.redis import running_redis

__all__ = ["key", "mariadb", "postgres", "trusting"]

pytestmark = pytest.mark.usefixtures("trusting")


def follow(backup: Backup, key: Key, folder: Path, **environment: str) -> None:
    """Do what the printed sheet says, in a folder with the copy and the key."""
    folder.mkdir()
    for name in ("age", "zstd"):
        required_program(name, package=name)
    copy = backup.folder / backup.manifest.key
    (folder / copy.name).write_bytes(copy.read_bytes())
    (folder / recovery.KEY_FILE).write_text(key.secret)
    printed = re.findall(r"^    (.*)$", recovery.as_text(backup.manifest), re.MULTILINE)
    assert printed[0].startswith("apt-get install age zstd ")
    variables = {"PATH": os.environ["PATH"], **environment}
    for line in printed[1:]:
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line], cwd=folder, env=variables, check=True
        )


def test_it_restores_a_sqlite_file(key: Key, tmp_path: Path) -> None:
    source = tmp_path / "shop.db"
    with sqlite3.connect(source) as database:
        database.execute("CREATE TABLE orders (id INTEGER, note TEXT)")
        database.executemany("INSERT INTO orders VALUES (?, ?)", [(n, f"no {n}") for n in range(9)])
    database.close()
    backup = back_up(tmp_path, key, source.read_bytes(), engine="sqlite", extension="sqlite")

    follow(backup, key, tmp_path / "elsewhere")

    restored = sqlite3.connect(tmp_path / "elsewhere" / "restored.db")
    assert restored.execute("SELECT count(*), max(note) FROM orders").fetchone() == (9, "no 8")
    restored.close()


def test_it_restores_a_folder(key: Key, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a b.txt").write_text("hello")
    with tarfile.open(tmp_path / "site.tar", "w") as archive:
        archive.add(tmp_path / "site", arcname=".")
    data = (tmp_path / "site.tar").read_bytes()
    backup = back_up(tmp_path, key, data, engine="files", extension="tar")

    follow(backup, key, tmp_path / "elsewhere")

    assert (tmp_path / "elsewhere" / "restored" / "a b.txt").read_text() == "hello"


@pytest.mark.slow
def test_it_restores_a_postgresql_database(
    key: Key, tmp_path: Path, postgres: PostgresServer
) -> None:
    name = postgres.new_database()
    place = urlsplit(postgres.dsn)
    login = {"PGHOST": "127.0.0.1", "PGPORT": str(place.port), "PGUSER": str(place.username)}

    def ask(*command: str) -> bytes:
        environment = {**os.environ, **login}
        return subprocess.run(command, capture_output=True, env=environment, check=True).stdout

    rows = "SELECT n AS id, md5(n::text) AS note FROM generate_series(1, 500) n"
    ask("psql", "-qc", f"CREATE TABLE orders AS {rows}", name)
    dump = ask("pg_dump", "-Fc", "-Z0", name)
    backup = back_up(tmp_path, key, dump, engine="postgresql", extension="dump")

    follow(backup, key, tmp_path / "elsewhere", **login)

    count = "SELECT count(*), max(note) FROM orders"
    assert ask("psql", "-Atc", count, "restored") == ask("psql", "-Atc", count, name)
    assert ask("psql", "-Atc", count, "restored").startswith(b"500|")
    ask("dropdb", "restored")


@pytest.mark.slow
def test_it_restores_a_mariadb_database(key: Key, tmp_path: Path, mariadb: MariadbServer) -> None:
    login = ["-h127.0.0.1", f"-P{mariadb.port}", "-uapp"]
    name = mariadb.new_database()

    def ask(*command: str) -> bytes:
        return subprocess.run(command, capture_output=True, check=True).stdout

    rows = "SELECT seq AS id, MD5(seq) AS note FROM seq_1_to_500"
    ask("mariadb", *login, name, "-e", f"CREATE TABLE orders AS {rows}")
    dump = ask("mariadb-dump", *login, "--single-transaction", "--hex-blob", name)
    backup = back_up(tmp_path, key, dump, engine="mariadb", extension="sql")
    ask("mariadb", *login, "-e", f"DROP DATABASE {name}; DROP DATABASE IF EXISTS restored")
    (tmp_path / ".my.cnf").write_text(f"[client]\nhost=127.0.0.1\nport={mariadb.port}\nuser=app\n")

    follow(backup, key, tmp_path / "elsewhere", HOME=str(tmp_path))

    found = ask("mariadb", *login, "-Ne", "SELECT COUNT(*), MAX(note) FROM restored.orders")
    assert found.startswith(b"500\tff")
    ask("mariadb", *login, "-e", "DROP DATABASE restored")


@pytest.mark.slow
def test_it_restores_a_redis(key: Key, tmp_path: Path) -> None:
    with running_redis() as server, Redis(port=server.port) as client:
        client.mset({f"key {n}": n for n in range(500)})
        with redis.dumping(redis.checked({"url": server.url}), folder=tmp_path) as taken:
            dump = taken.stream.read()
    backup = back_up(tmp_path, key, dump, engine="redis", extension="rdb")

    follow(backup, key, tmp_path / "elsewhere")

    with Redis(unix_socket_path=str(tmp_path / "elsewhere/restored/redis.sock")) as restored:
        assert (restored.dbsize(), restored.get("key 499")) == (500, b"499")
        restored.shutdown(nosave=True)


def test_the_page_says_the_same_as_the_text(key: Key, tmp_path: Path) -> None:
    backup = back_up(tmp_path, key, b"rows", engine="files", extension="tar", target="<b>shop</b>")
    page = recovery.as_html(backup.manifest)

    for command in recovery.commands(backup.manifest):
        assert html.escape(command) in page
    digest = backup.manifest.sealed.sealed.sha256
    assert digest in page
    assert digest in recovery.as_text(backup.manifest)
    place = "office: s3://copies/shop at s3.example"
    assert place in recovery.as_html(backup.manifest, [place])
    assert f"Copies lie in: {place}" in recovery.as_text(backup.manifest, [place])
    assert "<b>shop" not in page
    assert key.public in page
    assert key.secret not in page
