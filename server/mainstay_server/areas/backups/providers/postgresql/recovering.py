"""Prove that a cluster's files are a database: start it, let it recover, read every row."""

import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from mainstay_server.areas.backups.schemas import EngineFailed, RestoreFailed, Versions
from mainstay_server.kernel.problems import Conflict
from mainstay_server.kernel.programs import Program, ProgramFailed, lesser_user, running

from .archives import give_to_server
from .connecting import connected
from .drilling import SERVER
from .fingerprinting import fingerprints_in_snapshot, snapshot
from .places import of_version

RECOVERY_SECONDS = 4 * 3600.0
CHECK_SECONDS = 12 * 3600.0
LOOK_SECONDS = 0.1
# What the cluster says of itself counts nothing here: it could name libraries and commands.
OURS = {
    **SERVER,
    "archive_mode": "off",
    "restore_command": "",
    "recovery_end_command": "",
    "shared_preload_libraries": "",
    "ssl": "off",
    "jit": "off",
    "max_prepared_transactions": "1000",
    "hot_standby": "off",
    "logging_collector": "off",
}
DATABASES = "SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1"


def prove(data: Path, versions: Versions) -> None:
    """Start it in its folder, without any of its own settings, and read all of it.

    Raises `RestoreFailed`: it does not recover, or a page, a row or an index is broken.
    """
    home = data.parent
    for name, text in {
        "postgresql.conf": "".join(f"{name} = '{value}'\n" for name, value in OURS.items()),
        "pg_hba.conf": "local all all trust\n",
        "pg_ident.conf": "",
        "postgresql.auto.conf": "",
    }.items():
        (data / name).write_text(text)
    (data / "standby.signal").unlink(missing_ok=True)
    (data / "recovery.signal").unlink(missing_ok=True)
    give_to_server(data)
    command = [of_version("postgres", versions), "-D", str(data), "-k", str(home)]
    config = {
        "host": str(home),
        "port": 5432,
        "user": versions.roles[0],
        "password": "",
        "dbname": "template1",
        "sslmode": "disable",
    }
    user = lesser_user("postgres", "nobody")
    with running(command, folder=home, user=user, ends_by=signal.SIGQUIT) as server:
        _wait_until_consistent(server, config)
        _read_all(config)
        _check_all(config, versions, home)


def _wait_until_consistent(server: Program, config: Mapping[str, Any]) -> None:
    deadline = time.monotonic() + RECOVERY_SECONDS
    while True:
        try:
            with connected(config):
                return
        except EngineFailed as error:
            if server.has_ended() or time.monotonic() > deadline:
                told = server.last_lines() or str(error)
                raise RestoreFailed(f"The cluster does not recover: {told}") from None
        time.sleep(LOOK_SECONDS)


def _read_all(config: Mapping[str, Any]) -> None:
    with connected(config) as connection:
        names = [name for (name,) in connection.execute(DATABASES)]
    for name in names:
        _read_database({**config, "dbname": name})


def _read_database(config: Mapping[str, Any]) -> None:
    try:
        with connected(config) as connection, snapshot(connection):
            fingerprints_in_snapshot(connection)
    except (EngineFailed, psycopg.Error) as error:
        raise RestoreFailed(f"{config['dbname']} cannot be read: {error}") from None


def _check_all(config: Mapping[str, Any], versions: Versions, home: Path) -> None:
    """pg_amcheck, where it is: indexes and the rows behind them agree."""
    try:
        command = [of_version("pg_amcheck", versions), "--all", "--install-missing"]
    except Conflict:
        return
    reached = {"PGHOST": str(home), "PGPORT": "5432", "PGUSER": str(config["user"])}
    with running([*command, "--no-password"], environment=reached, folder=home) as check:
        deadline = time.monotonic() + CHECK_SECONDS
        while not check.has_ended() and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        try:
            check.finish()
        except ProgramFailed as error:
            raise RestoreFailed(f"The cluster is damaged: {error}") from None
