"""A MariaDB of our own for a drill: a socket in a folder, and nobody in it but one lesser user."""

import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mainstay_server.areas.backups.schemas import EngineFailed, ScratchFailed, Versions
from mainstay_server.kernel.problems import Conflict
from mainstay_server.kernel.programs import (
    KEPT_BYTES,
    Program,
    ProgramFailed,
    lesser_user,
    own_folder,
    running,
    told_by,
)

from .connecting import connected, is_mariadb, release, tool_version

SERVER = "mariadbd"
INSTALLER = "mariadb-install-db"
START_SECONDS = 120.0
OWNER = "drill"
# Nothing here outlives a crash, so nothing waits for the disk; no statement reads or writes files.
OPTIONS = (
    "--skip-networking",
    "--skip-log-bin",
    "--skip-slave-start",
    "--skip-name-resolve",
    "--skip-symbolic-links",
    "--local-infile=0",
    "--event-scheduler=OFF",
    "--max-allowed-packet=1G",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync",
    "--innodb-doublewrite=0",
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=64M",
    "--innodb-strict-mode=0",
    "--performance-schema=OFF",
    "--character-set-server=utf8mb4",
)
INSTALL_OPTIONS = ("--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync")
# The only account: it makes what other people define (SET USER), but those people do not exist
# here, so nothing ever runs with their rights.
ACCOUNTS = """\
DELETE FROM mysql.global_priv;
DELETE FROM mysql.proxies_priv;
FLUSH PRIVILEGES;
CREATE DATABASE drill;
CREATE USER drill@localhost;
GRANT ALL ON drill.* TO drill@localhost;
GRANT SET USER ON *.* TO drill@localhost;
"""


@contextmanager
def scratch(versions: Versions, *, folder: Path) -> Iterator[Mapping[str, Any]]:
    """Run one that nobody else reaches; a dump is restored there by a user without any rights."""
    if not is_mariadb(versions.server):
        raise Conflict(
            "There is no MySQL here to restore into, and MariaDB does not take all of its dumps;"
            " drill on a MySQL server that you give.",
            code="tools-missing",
        )
    home = folder / "mariadb"
    try:
        user = lesser_user("mysql", "nobody")
        own_folder(home, user)
        for name in ("files", "tmp"):
            own_folder(home / name, user)
        data = home / "data"
        told_by(
            [
                _program(INSTALLER),
                *("--no-defaults", f"--datadir={data}", f"--tmpdir={home / 'tmp'}"),
                *("--skip-test-db", "--skip-name-resolve", *INSTALL_OPTIONS),
                "--auth-root-authentication-method=normal",
            ],
            environment={"TMPDIR": str(home / "tmp")},
            folder=home,
            user=user,
        )
        accounts = home / "accounts.sql"
        accounts.write_text(ACCOUNTS)
        accounts.chmod(0o644)  # for its user, whatever our umask is
        command = [
            *(_program(SERVER), "--no-defaults", f"--datadir={data}", f"--socket={home / 's'}"),
            *(f"--pid-file={home / 'pid'}", f"--tmpdir={home / 'tmp'}"),
            *(f"--secure-file-priv={home / 'files'}", f"--init-file={accounts}"),
            *(f"--log-error={home / 'log'}", *OPTIONS),
        ]
        with running(command, folder=home, user=user, ends_by=signal.SIGKILL) as server:
            yield _prepared(server, home, versions)
    except (ProgramFailed, OSError) as error:
        raise ScratchFailed(f"No scratch MariaDB: {error}") from error
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _program(name: str) -> str:
    for folder in ("/usr/sbin", "/usr/local/sbin"):
        if (Path(folder) / name).exists():
            return str(Path(folder) / name)
    found = shutil.which(name)
    if found is None:
        raise Conflict(
            f"{name} is not on this machine; install it (Debian's package: mariadb-server).",
            code="tools-missing",
        )
    return found


def _prepared(server: Program, home: Path, versions: Versions) -> dict[str, Any]:
    here = tool_version(_program(SERVER))
    if release(here) < release(versions.server):
        raise Conflict(
            f"MariaDB here is {here}, and the backup is of {versions.server}; install that version"
            " or a later one on this machine.",
            code="tools-older",
        )
    config = {
        "socket": str(home / "s"),
        "host": str(home),
        "port": 0,
        "user": OWNER,
        "password": "",
        "dbname": OWNER,
        "sslmode": "disabled",
        "isScratch": True,
    }
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with connected(config):
                return config
        except EngineFailed as error:
            if server.has_ended() or time.monotonic() > deadline:
                told = _log(home) or server.last_lines() or str(error)
                raise ScratchFailed(f"No scratch MariaDB: {told}") from None
        time.sleep(0.05)


def _log(home: Path) -> str:
    log = home / "log"
    return log.read_bytes()[-KEPT_BYTES:].decode(errors="replace").strip() if log.exists() else ""
