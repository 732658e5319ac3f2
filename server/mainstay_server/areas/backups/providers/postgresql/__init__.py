"""PostgreSQL: pg_dump's custom format, in the very snapshot that the fingerprints are taken in."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import psycopg

from mainstay_server.areas.backups.schemas import (
    DumpFailed,
    Fingerprints,
    RestoreFailed,
    Versions,
    failing_as,
)
from mainstay_server.kernel.problems import Conflict
from mainstay_server.kernel.programs import Program, ProgramFailed, running, told_by

from .connecting import (
    KEEPALIVES,
    Connection,
    checked,
    connected,
    environment,
    find_versions,
    major,
    only_database,
    program,
    shown,
    versions_on,
)
from .drilling import scratch
from .emptying import SCHEMAS, TYPES, empty
from .fingerprinting import FUNCTIONS, RELATIONS, fingerprints_in_snapshot, snapshot

__all__ = [
    "EXTENSION",
    "LABEL",
    "check_restore",
    "checked",
    "dumping",
    "empty",
    "find_versions",
    "fingerprints",
    "restore",
    "scratch",
    "shown",
]

LABEL = "PostgreSQL"
EXTENSION = "pgdump"
LOCK_WAIT_MILLISECONDS = 60_000
CANCEL_SECONDS = 5.0
ANYTHING = f"""
SELECT n.nspname || '.' || c.relname FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE {RELATIONS}
UNION ALL
SELECT n.nspname || '.' || p.proname FROM pg_proc AS p
JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE {FUNCTIONS}
UNION ALL
SELECT 'the schema ' || s.name FROM ({SCHEMAS}) AS s (name)
UNION ALL
SELECT 'the type ' || t.name FROM ({TYPES}) AS t (name)
UNION ALL
SELECT 'the large object ' || oid FROM pg_largeobject_metadata LIMIT 1
"""  # noqa: S608 - made of constants

OTHERS = f"""
SELECT n.nspname || '.' || c.relname FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE {RELATIONS} AND NOT pg_has_role(c.relowner, 'USAGE') AND NOT pg_has_role(n.nspowner, 'USAGE')
LIMIT 1
"""  # noqa: S608 - made of constants


class PostgresDump:
    """pg_dump on its way; the fingerprints are taken meanwhile, on the connection that holds it."""

    def __init__(
        self, config: Mapping[str, Any], child: Program, versions: Versions, connection: Connection
    ) -> None:
        self.versions = versions
        self._config = config
        self._child = child
        self._globals = b""
        self._notes: tuple[str, ...] = ()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="fingerprints")
        self._taken: Future[Fingerprints] = self._worker.submit(
            fingerprints_in_snapshot, connection
        )

    @property
    def stream(self) -> BinaryIO:
        return self._child.output

    def finish(self) -> None:
        """Wait for pg_dump, then ask for what belongs to no database: roles and their grants."""
        try:
            self._child.finish()
        except ProgramFailed as error:
            if self._taken.done():  # what ended the snapshot under pg_dump is the reason
                self.fingerprints()
            raise DumpFailed(str(error)) from None
        database = only_database(self._config)
        command = [program("pg_dumpall"), "--globals-only", "--no-role-passwords", "--no-password"]
        try:
            self._globals = told_by(
                [*command, database],
                environment=environment(self._config),
                secrets=[self._config["password"]],
            ).encode()
        except ProgramFailed as error:
            self._notes = (f"Roles are not in this backup: {error}",)

    def fingerprints(self) -> Fingerprints:
        try:
            return self._taken.result()
        except psycopg.Error as error:
            raise DumpFailed(f"The fingerprints could not be taken: {error}") from None

    def beside(self) -> Mapping[str, bytes]:
        return {"globals.sql": self._globals} if self._globals else {}

    def notes(self) -> tuple[str, ...]:
        return self._notes

    def end(self) -> None:
        self._worker.shutdown(wait=True, cancel_futures=True)


@contextmanager
def dumping(config: Mapping[str, Any], *, folder: Path) -> Iterator[PostgresDump]:
    """Export one snapshot and let pg_dump see it, uncompressed: that is the format's part."""
    with failing_as(DumpFailed), connected(config) as connection, snapshot(connection):
        versions = versions_on(connection)
        exported = connection.execute("SELECT pg_export_snapshot()").fetchone()
        assert exported is not None, "a function has one row"
        command = [
            *(program("pg_dump"), "--format=custom", "--compress=0", "--no-password"),
            *(f"--snapshot={exported[0]}", f"--lock-wait-timeout={LOCK_WAIT_MILLISECONDS}"),
            "--dbname=" + " ".join(f"{name}={value}" for name, value in KEEPALIVES.items()),
        ]
        with running(
            command,
            environment=environment(config),
            folder=folder,
            secrets=[config["password"]],
            gives_output=True,
        ) as child:
            dump = PostgresDump(config, child, versions, connection)
            try:
                yield dump
            except BaseException:
                # The fingerprints would go on; a server that is out of reach is not waited for.
                with suppress(psycopg.Error):
                    connection.cancel_safe(timeout=CANCEL_SECONDS)
                raise
            finally:
                dump.end()


def check_restore(config: Mapping[str, Any], versions: Versions) -> None:
    """Refuse an older server, one that lacks an extension, and one that holds something."""
    with connected(config) as connection:
        there = versions_on(connection).server
        if major(there) < major(versions.server):
            raise Conflict(
                f"The backup is of PostgreSQL {versions.server}, and the target is {there}; restore"
                f" it into version {major(versions.server)} or later.",
                code="target-older",
            )
        available = connection.execute("SELECT name FROM pg_available_extensions")
        if missing := sorted(set(versions.extensions) - {name for (name,) in available}):
            raise Conflict(
                f"The target lacks {', '.join(missing)}; install the extension's package there"
                " first.",
                code="extension-missing",
            )
        found = connection.execute(ANYTHING).fetchone()
        others = connection.execute(OTHERS).fetchone()
        if others is not None:
            raise Conflict(
                f"{config['user']} may read the target but not fill it: {others[0]} is somebody"
                " else's. Restore with the url of a user that owns it, or into an empty database.",
                code="target-not-ours",
            )
        if found is not None:
            raise Conflict(
                f"The target is not empty, it has {found[0]}; create an empty database and restore"
                " into that.",
                code="target-not-empty",
            )


def restore(
    config: Mapping[str, Any], stream: BinaryIO, *, versions: Versions, folder: Path
) -> None:
    """Fill an empty database in one transaction: it is filled whole or stays empty.

    All belongs to the user of the target; owners and grants stand in the dump and in `globals.sql`
    for those who restore a whole server by hand.
    """
    check_restore(config, versions)
    command = [
        *(program("pg_restore"), "--exit-on-error", "--single-transaction", "--no-password"),
        *("--no-owner", "--no-privileges", only_database(config)),
    ]
    if config.get("isScratch"):  # where a role without rights restores
        command += ["--no-comments", "--no-publications", "--no-subscriptions"]
    secrets = [config["password"]]
    with running(
        command,
        environment=environment(config),
        folder=folder,
        secrets=secrets,
        takes_input=True,
    ) as child:
        child.feed(stream)
        try:
            child.finish()
        except ProgramFailed as error:
            raise RestoreFailed(str(error)) from None


def fingerprints(config: Mapping[str, Any], *, folder: Path) -> Fingerprints:
    """Of what is there now, in one snapshot."""
    with connected(config) as connection, snapshot(connection):
        return fingerprints_in_snapshot(connection)
