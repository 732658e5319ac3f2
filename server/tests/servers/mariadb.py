"""A real MariaDB in a temporary folder, fast because it never syncs to disk."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pymysql
import pytest
from tests.servers.processes import ServerProcess, free_port, required_program

PACKAGE = "mariadb-server"
FAST_AND_FORGETFUL = (
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
    "--skip-name-resolve",
    "--performance-schema=ON",
)


class MariadbServer:
    """A running MariaDB whose user `app` needs no password on loopback."""

    def __init__(self, folder: Path, port: int, user: str | None) -> None:
        self.port = port
        self._process = ServerProcess(
            [
                required_program("mariadbd", package=PACKAGE, folders=[Path("/usr/sbin")]),
                "--no-defaults",
                *(f"--datadir={folder / 'data'}", f"--socket={folder / 'socket'}"),
                *(f"--port={port}", "--bind-address=127.0.0.1", f"--pid-file={folder / 'pid'}"),
                *(f"--init-file={folder / 'init.sql'}", f"--tmpdir={folder}"),
                *FAST_AND_FORGETFUL,
            ],
            log=folder / "server.log",
            is_ready=self._answers,
            user=user,
        )

    def url_of(self, database: str) -> str:
        return f"mysql+pymysql://app@127.0.0.1:{self.port}/{database}?charset=utf8mb4"

    def new_database(self) -> str:
        """Create an empty database and return its name; give it to `url_of`."""
        name = f"test_{uuid4().hex}"
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        return name

    def start(self) -> None:
        self._process.start()

    def stop(self) -> None:
        self._process.stop(signal_number=signal.SIGTERM)

    def _connect(self) -> "pymysql.Connection[pymysql.cursors.Cursor]":
        return pymysql.connect(host="127.0.0.1", port=self.port, user="app", connect_timeout=2)

    def _answers(self) -> None:
        try:
            self._connect().close()
        except pymysql.err.OperationalError as error:
            raise ConnectionError(str(error)) from error


@contextmanager
def running_mariadb() -> Iterator[MariadbServer]:
    """Yield a MariaDB on a free loopback port; it and its data are gone afterwards.

    Root should not run MariaDB, so under root it runs as the package's user `mysql`.
    """
    user = "mysql" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="mainstay-mariadb-"))
    try:
        (folder / "init.sql").write_text(
            "CREATE USER IF NOT EXISTS app@'127.0.0.1';\n"
            "GRANT ALL ON *.* TO app@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        if user is not None:
            account = pwd.getpwnam(user)
            os.chown(folder, account.pw_uid, account.pw_gid)
        made = subprocess.run(
            [
                required_program("mariadb-install-db", package=PACKAGE),
                *("--no-defaults", f"--datadir={folder / 'data'}", "--skip-test-db"),
                *("--auth-root-authentication-method=normal", "--skip-name-resolve"),
                *FAST_AND_FORGETFUL[:2],
            ],
            check=False,
            cwd=folder,
            env={**os.environ, "TMPDIR": str(folder)},  # the tests' own is not open to the user
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        assert made.returncode == 0, made.stdout
        server = MariadbServer(folder, free_port(), user)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariadbServer]:
    with running_mariadb() as server:
        yield server
