"""A real PostgreSQL in a temporary folder, fast because it never syncs to disk."""

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

import psycopg
import pytest
from tests.servers.processes import ServerProcess, free_port, required_program

PACKAGE = "postgresql"
FAST_AND_FORGETFUL = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")


class PostgresServer:
    """A running PostgreSQL whose superuser `postgres` needs no password on loopback."""

    def __init__(self, folder: Path, port: int, user: str | None) -> None:
        self.port = port
        self.folder = folder
        self.bin = program_folder()
        options = ("listen_addresses=127.0.0.1", "max_connections=200", *FAST_AND_FORGETFUL)
        self._process = ServerProcess(
            [
                str(self.bin / "postgres"),
                *("-D", str(folder / "data"), "-p", str(port), "-k", str(folder)),
                *(word for option in options for word in ("-c", option)),
            ],
            log=folder / "server.log",
            is_ready=self._answers,
            user=user,
        )

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of the database `postgres`."""
        return self.url_of("postgres")

    @property
    def dsn(self) -> str:
        """The plain libpq URL of the database `postgres`, for pg_dump and psycopg."""
        return self.dsn_of("postgres")

    @property
    def pid(self) -> int:
        return self._process.pid

    def url_of(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def dsn_of(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Create an empty database and return its name; give it to `url_of` or `dsn_of`."""
        name = f"test_{uuid4().hex}"
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return name

    def start(self) -> None:
        self._process.start()

    def stop(self) -> None:
        """Disconnect everybody and shut down cleanly."""
        self._process.stop(signal_number=signal.SIGINT)

    def crash(self) -> None:
        """Shut down without a checkpoint; the next start recovers from the log.

        Not SIGKILL: that would leave the server's own children and shared memory behind.
        """
        self._process.stop(signal_number=signal.SIGQUIT)

    def _answers(self) -> None:
        try:
            psycopg.connect(self.dsn, connect_timeout=2).close()
        except psycopg.OperationalError as error:
            raise ConnectionError(str(error)) from error


def program_folder() -> Path:
    """Return the folder of the newest PostgreSQL that Debian installed."""
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name)
    )
    found = required_program("postgres", package=PACKAGE, folders=folders[::-1])
    return Path(found).parent


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Yield a PostgreSQL on a free loopback port; it and its data are gone afterwards.

    Root cannot run PostgreSQL, so under root it runs as the package's user `postgres`.
    """
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="mainstay-postgres-"))
    try:
        if user is not None:
            account = pwd.getpwnam(user)
            os.chown(folder, account.pw_uid, account.pw_gid)
        subprocess.run(
            [
                str(program_folder() / "initdb"),
                *("-D", str(folder / "data"), "-U", "postgres", "-A", "trust"),
                *("-E", "UTF8", "--locale=C", "--no-sync"),
            ],
            check=True,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        server = PostgresServer(folder, free_port(), user)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server
