"""A PostgreSQL of our own for a drill: a socket in a folder, and a role that owns one database."""

import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from psycopg import sql

from mainstay_server.areas.backups.schemas import EngineFailed, ScratchFailed, Versions
from mainstay_server.kernel.problems import Conflict
from mainstay_server.kernel.programs import (
    Program,
    ProgramFailed,
    lesser_user,
    own_folder,
    running,
    told_by,
)

from .connecting import connected, program

START_SECONDS = 60.0
OWNER = "drill"
MASTER = "scratch_master"
# Nothing here outlives a crash, so nothing waits for the disk.
SERVER = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "shared_buffers": "64MB",
    "max_connections": "20",
    "max_locks_per_transaction": "1024",
}


@contextmanager
def scratch(versions: Versions, *, folder: Path) -> Iterator[Mapping[str, Any]]:
    """Run one that nobody else reaches; a dump is restored there by a role without any rights.

    Whoever may write functions or checks into a database runs them during a restore; as a
    superuser's they could start programs on this machine. Extensions are therefore made before.
    """
    home = folder / "pg"
    try:
        user = lesser_user("postgres", "nobody")
        own_folder(home, user)
        make = ["--username", MASTER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"]
        data = str(home / "data")
        told_by([program("initdb"), "-D", data, *make, "--no-sync"], folder=home, user=user)
        options = [word for item in SERVER.items() for word in ("-c", "=".join(item))]
        command = [program("postgres"), "-D", data, "-k", str(home), *options]
        # Told to quit at once when we die; a kill would leave its shared memory behind.
        with running(command, folder=home, user=user, ends_by=signal.SIGQUIT) as server:
            yield _prepared(server, home, versions)
    except ProgramFailed as error:
        raise ScratchFailed(f"No scratch PostgreSQL: {error}") from error
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _prepared(server: Program, home: Path, versions: Versions) -> dict[str, Any]:
    config = {
        "host": str(home),
        "port": 5432,
        "user": MASTER,
        "password": "",
        "dbname": "postgres",
        "sslmode": "disable",
    }
    _wait_until_ready(server, config)
    with connected(config) as connection:
        connection.execute(f"CREATE ROLE {OWNER} LOGIN")
        connection.execute(f"CREATE DATABASE {OWNER} OWNER {OWNER}")
        for role in versions.roles:
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
    with connected({**config, "dbname": OWNER}) as connection:
        there = {name for (name,) in connection.execute("SELECT name FROM pg_available_extensions")}
        if missing := sorted(set(versions.extensions) - there):
            raise Conflict(
                f"This machine's PostgreSQL lacks {', '.join(missing)}; install its package here,"
                " or drill on a server that has it.",
                code="extension-missing",
            )
        for name in versions.extensions:
            made = sql.SQL("CREATE EXTENSION {} CASCADE").format(sql.Identifier(name))
            connection.execute(made)
    return {**config, "user": OWNER, "dbname": OWNER, "isScratch": True}


def _wait_until_ready(server: Program, config: Mapping[str, Any]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with connected(config):
                return
        except EngineFailed:
            if server.has_ended() or time.monotonic() > deadline:
                raise ScratchFailed(
                    f"No scratch PostgreSQL: {server.last_lines() or 'it does not answer'}"
                ) from None
        time.sleep(0.05)
