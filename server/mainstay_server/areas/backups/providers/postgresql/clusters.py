"""A whole PostgreSQL cluster as it lies on disk: a base backup, from which any time is reached.

Its files are compared with the list that the server itself wrote (SHA-256 of each). They are of no
single moment: PostgreSQL makes them one by the log that is in the archive, as a drill has it do.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from mainstay_server.areas.backups.schemas import (
    DumpFailed,
    Fingerprints,
    ScratchFailed,
    Versions,
    failing_as,
)
from mainstay_server.areas.backups.settings import BackupSettings
from mainstay_server.kernel.problems import Conflict, Invalid
from mainstay_server.kernel.programs import (
    Program,
    ProgramFailed,
    lesser_user,
    own_folder,
    running,
)
from mainstay_server.kernel.settings import of

from . import connecting
from .archives import Watched, give_to_server, unpack
from .connecting import KEEPALIVES, Connection, connected, environment, program, versions_on
from .listing import LIST, listed, walked
from .places import checked_folder, keep_filled, of_version, refuse_filled
from .recovering import prove
from .times import checked_time

LABEL = "PostgreSQL cluster"
EXTENSION = "pgbase.tar"
KINDS = """
SELECT (SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user),
    (SELECT count(*) FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')),
    (SELECT rolname FROM pg_roles WHERE oid = 10)
"""


class ClusterDump:
    """pg_basebackup on its way; the server's own list of files comes at its end."""

    def __init__(self, child: Program, versions: Versions) -> None:
        self.versions = versions
        self._child = child
        self._watched = Watched(child.output, LIST)

    @property
    def stream(self) -> BinaryIO:
        """The archive, watched on its way."""
        return cast("BinaryIO", self._watched)

    def finish(self) -> None:
        """Wait for pg_basebackup, which is near its end."""
        try:
            self._child.finish()
        except ProgramFailed as error:
            raise DumpFailed(str(error)) from None

    def fingerprints(self) -> Fingerprints:
        """As the server lists what it sent."""
        return listed(self._watched.picked)

    def beside(self) -> Mapping[str, bytes]:
        """Nothing: roles, passwords and all are in the files."""
        return {}

    def notes(self) -> tuple[str, ...]:
        """Nothing: it is whole, or pg_basebackup says that it is not."""
        return ()


def checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """A `url` to back up, or to restore the `path` of a new folder, and perhaps `toTime`."""
    if "path" in config:
        path = checked_folder(config)
        return {"path": str(path), "toTime": checked_time(config.get("toTime"))}
    if not of(BackupSettings).backup_clusters:
        raise Invalid(
            "Whole clusters are not backed up here: a drill starts them, and who administers one"
            " could run programs by it. The operator allows them by MAINSTAY_BACKUP_CLUSTERS=true.",
            code="clusters-not-allowed",
        )
    return connecting.checked(config)


def shown(config: Mapping[str, Any]) -> str:
    """Everything but the password."""
    if "path" in config:
        until = f", as of {config['toTime']}" if config.get("toTime") else ""
        return f"{config['path']}{until}"
    return f"{config['user']}@{config['host']}:{config['port']}"


def find_versions(config: Mapping[str, Any]) -> Versions:
    """The server's and our tools'; of a folder there are none yet."""
    if "path" in config:
        return Versions(server="", tools="")
    with connected(config) as connection:
        return _versions(connection)


def _versions(connection: Connection) -> Versions:
    """With the first superuser's name, by whom alone a drill can enter."""
    known = versions_on(connection)
    found = connection.execute(KINDS).fetchone()
    assert found is not None, "it has one row"
    may_replicate, spaces, master = found
    if not may_replicate:
        raise Conflict(
            "The user may not take base backups; say ALTER ROLE … REPLICATION there.",
            code="replication-missing",
        )
    if spaces:
        raise Conflict(
            "The cluster has tablespaces of its own, which one archive does not hold; move them"
            " into pg_default, or back up its databases one by one.",
            code="tablespaces",
        )
    return Versions(server=known.server, tools=known.tools, roles=(master,))


@contextmanager
def dumping(config: Mapping[str, Any], *, folder: Path) -> Iterator[ClusterDump]:
    """One tar of all files and of the log that was written meanwhile."""
    with failing_as(DumpFailed):
        versions = find_versions(config)
    command = [
        *(program("pg_basebackup"), "--pgdata=-", "--format=tar", "--wal-method=fetch"),
        *("--checkpoint=fast", "--manifest-checksums=SHA256", "--no-password", "--label=mainstay"),
        "--dbname=" + " ".join(f"{name}={value}" for name, value in KEEPALIVES.items()),
    ]
    with running(
        command,
        environment=environment(config),
        folder=folder,
        secrets=[config["password"]],
        gives_output=True,
    ) as child:
        yield ClusterDump(child, versions)


def check_restore(config: Mapping[str, Any], versions: Versions) -> None:
    """Refuse a folder that holds something, and a server."""
    refuse_filled(config)


def restore(
    config: Mapping[str, Any], stream: BinaryIO, *, versions: Versions, folder: Path
) -> None:
    """Unpack into a new folder, which PostgreSQL of the same major version starts on."""
    check_restore(config, versions)
    path = Path(config["path"])
    unpack(stream, path)
    if not config.get("toTime"):  # nobody else's before the log is beside it
        give_to_server(path)


empty = keep_filled


def fingerprints(config: Mapping[str, Any], *, folder: Path) -> Fingerprints:
    """Of the files; those of a drill are then started, recovered and read to the last row."""
    if "path" not in config:
        with dumping(config, folder=folder) as dump:
            watched = cast("Watched", dump.stream)
            watched.drain()
            dump.finish()
            return dump.fingerprints()
    path = Path(config["path"])
    found = walked(path)
    if "isScratch" in config:
        prove(path, Versions(**config["versions"]))
    return found


@contextmanager
def scratch(versions: Versions, *, folder: Path) -> Iterator[Mapping[str, Any]]:
    """A folder for a cluster, which can only be started by programs of the same version."""
    home = folder / "pg"
    of_version("postgres", versions)
    try:
        own_folder(home, lesser_user("postgres", "nobody"))
        known = {"server": versions.server, "tools": versions.tools, "roles": versions.roles}
        yield {"path": str(home / "data"), "toTime": "", "isScratch": True, "versions": known}
    except (ProgramFailed, OSError) as error:
        raise ScratchFailed(f"No scratch PostgreSQL: {error}") from error
    finally:
        shutil.rmtree(home, ignore_errors=True)
