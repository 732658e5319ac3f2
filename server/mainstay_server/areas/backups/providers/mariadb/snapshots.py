"""Two connections at one point: what writes waits for a moment, while both begin to look."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import pymysql
from pymysql.constants import ER

from mainstay_server.areas.backups.schemas import DumpFailed
from mainstay_server.kernel.programs import Program

from .connecting import Connection, ask, connected, is_mariadb, server_version
from .fingerprinting import quoted

HELD_SECONDS = 30.0
PIECE_BYTES = 1 << 20
HEAD_BYTES = 1 << 16
TAIL_BYTES = 512
# Whatever comes first after the header: by then the tool has its snapshot.
BEGUN = (
    *(b"\n-- Table structure", b"\n-- Temporary", b"\n-- Dumping", b"\n-- Dump completed"),
    *(b"\n-- Sequence structure", b"\n-- Current Database", b"\n-- Final view"),
)
MOST_NAMED = 10
COMPLETED = b"-- Dump completed"
DENIED = frozenset(
    {ER.SPECIFIC_ACCESS_DENIED_ERROR, ER.ACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR}
)
DENIED |= {ER.TABLEACCESS_DENIED_ERROR}
# Commits wait and nothing else does; nobody's long statement is waited for (MariaDB since 10.4).
STAGES = ("START", "FLUSH", "BLOCK_DDL", "BLOCK_COMMIT")
TABLES = """
SELECT table_name, engine FROM information_schema.tables WHERE table_schema = DATABASE()
AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY 1
"""


@contextmanager
def writes_stopped(config: Mapping[str, Any]) -> Iterator[None]:
    """Let nobody commit until the block ends, which it must at once.

    With the right RELOAD the whole server is told so. Without it the tables of this database are
    locked, which waits for those who write them to come to an end.
    """
    with connected(config) as connection:
        try:
            _stop_commits(connection)
            end = "BACKUP STAGE END" if is_mariadb(server_version(connection)) else "UNLOCK TABLES"
        except pymysql.err.MySQLError as error:
            if error.args[0] not in DENIED:
                raise
            _lock(connection, [table for table, _ in ask(connection, TABLES)])
            end = "UNLOCK TABLES"
        try:
            yield
        finally:
            ask(connection, end)


def _stop_commits(connection: Connection) -> None:
    if is_mariadb(server_version(connection)):
        for stage in STAGES:
            ask(connection, f"BACKUP STAGE {stage}")
    else:
        ask(connection, "FLUSH TABLES WITH READ LOCK")


def _lock(connection: Connection, tables: list[str]) -> None:
    if not tables:
        return
    try:
        ask(connection, "LOCK TABLES " + ", ".join(f"{quoted(table)} READ" for table in tables))
    except pymysql.err.MySQLError as error:
        if error.args[0] not in DENIED:
            raise
        raise DumpFailed(
            "The user may not stop writes for the moment in which a snapshot begins; grant it"
            " RELOAD, or LOCK TABLES on the database."
        ) from None


@contextmanager
def others_held(config: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Keep tables that have no snapshots (MyISAM, Aria) from being written until the block ends.

    Yields what a person should know of it.
    """
    with connected(config) as connection:
        tables = [table for table, engine in ask(connection, TABLES) if engine != "InnoDB"]
        if not tables:
            yield ()
            return
        named = ", ".join(tables[:MOST_NAMED]) + (" and others" if len(tables) > MOST_NAMED else "")
        try:
            _lock(connection, tables)
        except DumpFailed:
            note = (
                f"{named}: not InnoDB, and the user may not lock them; they may have been written"
                " while they were read. Grant LOCK TABLES, or alter them to InnoDB."
            )
            yield (note,)
            return
        yield (f"{named}: not InnoDB, so nobody could write them during the dump.",)


class Ending:
    """A stream that remembers how it ended."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._tail = b""

    def read(self, size: int) -> bytes:
        """The next bytes."""
        piece = self._stream.read(size)
        self._tail = (self._tail + piece)[-TAIL_BYTES:]
        return piece

    @property
    def is_complete(self) -> bool:
        """Whether the last line was the tool's own; asked when the stream has ended."""
        return _has_end(self._tail)


class Relay:
    """Passes a dump on, and says when it begins and whether its end was there."""

    def __init__(self, child: Program) -> None:
        self._source = os.dup(child.output.fileno())
        reader, self._target = os.pipe()
        self.stream: BinaryIO = os.fdopen(reader, "rb")
        self._begun = threading.Event()
        self._tail = b""
        self._thread = threading.Thread(target=self._pass_on, name="dump", daemon=True)
        self._thread.start()

    def wait_until_begun(self) -> None:
        """Come back once the tool has its snapshot, or has ended; raises `DumpFailed`."""
        if not self._begun.wait(HELD_SECONDS):
            raise DumpFailed(
                f"The dump did not begin within {HELD_SECONDS:.0f} s, and writes cannot wait longer"
                " for it; look what holds the tables (SHOW PROCESSLIST)."
            )

    @property
    def is_complete(self) -> bool:
        """Whether the tool's last line was there; asked when the stream has ended."""
        self._thread.join()
        return _has_end(self._tail)

    def end(self) -> None:
        """Close the stream, which ends the thread."""
        self.stream.close()
        self._thread.join(HELD_SECONDS)

    def _pass_on(self) -> None:
        head = b""
        try:
            while piece := os.read(self._source, PIECE_BYTES):
                if not self._begun.is_set():
                    head = (head + piece)[:HEAD_BYTES]
                    if len(head) == HEAD_BYTES or any(word in head for word in BEGUN):
                        self._begun.set()
                self._tail = (self._tail + piece)[-TAIL_BYTES:]
                view = memoryview(piece)
                while view:
                    view = view[os.write(self._target, view) :]
        except BrokenPipeError:  # nobody takes it any more
            return
        finally:
            self._begun.set()
            os.close(self._source)
            os.close(self._target)


def _has_end(tail: bytes) -> bool:
    return tail.rstrip().rpartition(b"\n")[2].startswith(COMPLETED)
