"""MariaDB and MySQL: their own dump, begun at the very point where the fingerprints are taken."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import pymysql

from mainstay_server.areas.backups.schemas import (
    DumpFailed,
    EngineFailed,
    Fingerprint,
    Fingerprints,
    Versions,
    failing_as,
)
from mainstay_server.kernel.programs import Program, ProgramFailed, running

from .connecting import (
    RIGHTS,
    Connection,
    ask,
    checked,
    connected,
    find_versions,
    has_events,
    is_mariadb,
    options_file,
    programs,
    shown,
    versions_on,
)
from .drilling import scratch
from .fingerprinting import fingerprints_in_snapshot, snapshot, structure
from .restoring import check_restore, empty, restore
from .snapshots import Relay, others_held, writes_stopped

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

LABEL = "MariaDB or MySQL"
EXTENSION = "sql"
DUMPS = (
    *("--single-transaction", "--quick", "--routines", "--triggers", "--hex-blob"),
    *("--no-tablespaces", "--default-character-set=utf8mb4", "--max-allowed-packet=1G"),
)
MYSQL_DUMPS = ("--set-gtid-purged=OFF", "--column-statistics=0")


class MariadbDump:
    """The tool on its way; the fingerprints are taken meanwhile, from the same point."""

    def __init__(
        self, child: Program, relay: Relay, versions: Versions, connection: Connection
    ) -> None:
        self.versions = versions
        self._child = child
        self._relay = relay
        self._connection = connection
        self._before: Fingerprint | None = None
        self._notes: tuple[str, ...] = ()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="fingerprints")
        self._taken: Future[Fingerprints] | None = None

    def begin(self, before: Fingerprint, notes: tuple[str, ...]) -> None:
        """Both look at one point by now; `before` is the structure from before that."""
        self._before = before
        self._notes = notes
        self._taken = self._worker.submit(fingerprints_in_snapshot, self._connection)

    @property
    def stream(self) -> BinaryIO:
        return self._relay.stream

    def finish(self) -> None:
        """Wait for the tool, whose last line must have been there."""
        try:
            self._child.finish()
        except ProgramFailed as error:
            raise DumpFailed(str(error)) from None
        if not self._relay.is_complete:
            raise DumpFailed("The dump has no end: its last line is not there.")

    def fingerprints(self) -> Fingerprints:
        """Raises `DumpFailed` also when something was made, altered or dropped meanwhile."""
        assert self._taken is not None, "it has begun"
        try:
            taken = self._taken.result()
            after = structure(self._connection)
            if after != self._before or after not in taken:
                raise DumpFailed(
                    "Tables were made or dropped during the dump, and so nobody knows which of them"
                    " it has; run it again."
                )
        except pymysql.Error as error:
            raise DumpFailed(f"The fingerprints could not be taken: {error.args[-1]}") from None
        return taken

    def beside(self) -> Mapping[str, bytes]:
        """Nothing: it is all in one file."""
        return {}

    def notes(self) -> tuple[str, ...]:
        return self._notes

    def end(self) -> None:
        self._relay.end()
        self._worker.shutdown(wait=True, cancel_futures=True)


@contextmanager
def dumping(config: Mapping[str, Any], *, folder: Path) -> Iterator[MariadbDump]:
    """Stop commits, begin a snapshot here and one in the tool, and let commits go on.

    Neither MariaDB nor MySQL lend a snapshot to another connection, so both begin while nothing
    changes: for the time that the tool takes to its first table, a tenth of a second or so.
    """
    with failing_as(DumpFailed), ExitStack() as kept:
        connection = kept.enter_context(connected(config))
        versions = versions_on(connection)
        program = programs(is_mariadb=is_mariadb(versions.server), plain="mysqldump")
        options = kept.enter_context(options_file(config, folder=folder, tool=versions.tools))
        notes = kept.enter_context(others_held(config)) + _not_seen(connection)
        more = [] if is_mariadb(versions.tools) else list(MYSQL_DUMPS)
        if has_events(connection):
            more.append("--events")
        before = structure(connection)
        with writes_stopped(config):
            kept.enter_context(snapshot(connection))
            child = kept.enter_context(
                running(
                    [program, options, *DUMPS, *more, config["dbname"]],
                    folder=folder,
                    secrets=[config["password"]],
                    gives_output=True,
                )
            )
            relay = Relay(child)
            dump = MariadbDump(child, relay, versions, connection)
            kept.callback(dump.end)
            relay.wait_until_begun()
        dump.begin(before, notes)
        try:
            yield dump
        except BaseException:
            _cancel(config, connection)
            raise


def _not_seen(connection: Connection) -> tuple[str, ...]:
    """Neither the tool nor we are told of triggers and events that the user may not see."""
    rights = {right for (right,) in ask(connection, RIGHTS)}
    missing = sorted({"TRIGGER", "EVENT"} - rights)
    if not missing:
        return ()
    note = (
        f"The user may lack {' and '.join(missing)}; what it may not see is not in the backup."
        f" Grant {', '.join(missing)} on the database."
    )
    return (note,)


def _cancel(config: Mapping[str, Any], connection: Connection) -> None:
    number = int(connection.thread_id())  # type: ignore[no-untyped-call]
    with suppress(EngineFailed), connected(config) as other:
        ask(other, f"KILL QUERY {number}")


def fingerprints(config: Mapping[str, Any], *, folder: Path) -> Fingerprints:
    """Of what is there now, in one snapshot."""
    with connected(config) as connection, snapshot(connection):
        return fingerprints_in_snapshot(connection)
