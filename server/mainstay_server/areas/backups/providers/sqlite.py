"""SQLite, and libSQL's files, which are the same: copied by the online backup interface."""

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from mainstay_server.areas.backups.schemas import (
    DumpFailed,
    EngineFailed,
    Fingerprint,
    Fingerprints,
    RestoreFailed,
    RowSum,
    Versions,
)
from mainstay_server.areas.backups.settings import allowed_path, refuse_moved
from mainstay_server.kernel.problems import Conflict, Invalid

LABEL = "SQLite"
EXTENSION = "sqlite"
HEADER = b"SQLite format 3\0"
HEADER_BYTES = 100
LARGEST_PAGE = 1 << 16
CHUNK_BYTES = 1 << 20
BUSY_SECONDS = 30
TABLES = (
    "SELECT name FROM sqlite_schema WHERE type = 'table'"
    " AND sql IS NOT NULL AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name"
)
STRUCTURE = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema"


class SqliteDump:
    """A copy of one state, on its way from a file beside it."""

    def __init__(self, source: sqlite3.Connection, stream: BinaryIO, versions: Versions) -> None:
        self.stream = stream
        self.versions = versions
        self._source = source

    def finish(self) -> None:
        """The copy was whole before its first byte was read."""

    def fingerprints(self) -> Fingerprints:
        """Of the source, in the transaction that was copied, so that the copy is tried as well."""
        with _failing_as(DumpFailed):
            return _fingerprints(self._source)

    def beside(self) -> Mapping[str, bytes]:
        """Nothing: it is all in one file."""
        return {}

    def notes(self) -> tuple[str, ...]:
        """Nothing: a copy is whole."""
        return ()


def checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The `path` of a file that may be backed up."""
    path = allowed_path(config.get("path"))
    if path.is_dir():
        raise Invalid(f"{path} is a folder; name the file of the database.")
    return {"path": str(path)}


def shown(config: Mapping[str, Any]) -> str:
    """Its path."""
    return str(config["path"])


def find_versions(config: Mapping[str, Any]) -> Versions:
    """Both are the library's: it is in this process, and the file has no version of its own."""
    return Versions(server=sqlite3.sqlite_version, tools=sqlite3.sqlite_version)


@contextmanager
def dumping(config: Mapping[str, Any], *, folder: Path) -> Iterator[SqliteDump]:
    """Copy the database in one read transaction, writers going on in WAL mode, and keep that open.

    A plain copy of the file would miss what lies in the WAL, and may mix two states. The copy
    takes as much of the disk as the database.
    """
    copy = folder / "copy.sqlite"
    try:
        with _failing_as(DumpFailed), _opened(Path(config["path"])) as source:
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            copy.touch(mode=0o600)  # others may go through the folder
            with closing(sqlite3.connect(copy)) as target:
                source.backup(target)
            with copy.open("rb") as stream:
                yield SqliteDump(source, stream, find_versions(config))
    finally:
        _remove(copy)


def check_restore(config: Mapping[str, Any], versions: Versions) -> None:
    """Refuse a file that is there, unless it is empty, and a WAL that is left of another."""
    path = Path(config["path"])
    refuse_moved(path)
    if path.exists() and path.stat().st_size > 0:
        raise Conflict(
            f"{path} is not empty; move it away, or restore beside it under another name.",
            code="target-not-empty",
        )
    for left in _beside(path):
        if not left.name.endswith("-shm") and left.exists() and left.stat().st_size > 0:
            raise Conflict(
                f"{left} is left of another database; move it away.", code="target-not-empty"
            )
    if (left := _unfinished(path)).exists():
        raise Conflict(
            f"{left} is left of a restore that was killed; remove it.", code="target-not-empty"
        )


def restore(
    config: Mapping[str, Any], stream: BinaryIO, *, versions: Versions, folder: Path
) -> None:
    """Write beside the target, look whether it is sound, and put it in its place in one step."""
    check_restore(config, versions)
    path = Path(config["path"])
    unfinished = _unfinished(path)
    try:
        with unfinished.open("xb") as file:
            os.fchmod(file.fileno(), 0o600)
            shutil.copyfileobj(stream, file, CHUNK_BYTES)
            file.flush()
            os.fsync(file.fileno())
        _refuse_broken(unfinished)
        if path.exists():
            path.unlink()
        path.hardlink_to(unfinished)  # which never replaces what somebody made meanwhile
    except (OSError, sqlite3.Error) as error:
        raise RestoreFailed(f"{path} could not be restored: {error}") from error
    finally:
        _remove(unfinished)


def _refuse_broken(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    if len(head) < HEADER_BYTES or not head.startswith(HEADER):
        raise RestoreFailed("The dump is no SQLite database.")
    page_bytes = int.from_bytes(head[16:18], "big")  # https://sqlite.org/fileformat2.html
    pages = int.from_bytes(head[28:32], "big")
    if path.stat().st_size != pages * (page_bytes if page_bytes > 1 else LARGEST_PAGE):
        raise RestoreFailed("The dump was cut.")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA trusted_schema = off")
        (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            raise RestoreFailed(f"The dump is a broken database: {verdict}")


def empty(config: Mapping[str, Any]) -> None:
    """Remove the file and what lies beside it; whoever has it open sees it until they close it."""
    path = Path(config["path"])
    if path.resolve() != path:
        raise EngineFailed(f"{path} leads elsewhere by now; name the file itself.")
    try:
        _remove(path)
        _remove(_unfinished(path))
    except OSError as error:
        raise EngineFailed(f"{path} could not be removed: {error}") from error


def fingerprints(config: Mapping[str, Any], *, folder: Path) -> Fingerprints:
    """Of what is there now, in one transaction."""
    with _failing_as(EngineFailed), _opened(Path(config["path"])) as connection:
        connection.execute("BEGIN")
        return _fingerprints(connection)


@contextmanager
def scratch(versions: Versions, *, folder: Path) -> Iterator[Mapping[str, Any]]:
    """A file in the folder: SQLite runs no code of a database but its checks and triggers."""
    path = folder / "scratch.sqlite"
    try:
        yield {"path": str(path)}
    finally:
        _remove(path)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Read only: a database that is not there is an error and not a new one."""
    if path.resolve() != path:
        raise EngineFailed(f"{path} leads elsewhere by now; name the file itself.")
    address = f"file:{quote(str(path))}?mode=ro"
    connection = sqlite3.connect(
        address, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    with closing(connection):
        connection.execute("PRAGMA trusted_schema = off")
        # Text of a dump need not be UTF-8; a blob stays apart from a text of the same bytes.
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        yield connection


def _fingerprints(connection: sqlite3.Connection) -> Fingerprints:
    structure = RowSum()
    for row in connection.execute(STRUCTURE):
        structure.add(ascii(row).encode())
    names = [name for (name,) in connection.execute(TABLES)]
    return tuple(sorted([structure.named("(structure)"), *(_of(connection, x) for x in names)]))


def _of(connection: sqlite3.Connection, table: str) -> Fingerprint:
    quoted = table.replace('"', '""')
    found = connection.execute(f'SELECT * FROM "{quoted}"')  # noqa: S608 - a quoted name
    rows = RowSum()
    for row in found:
        rows.add(ascii(row).encode())
    return rows.named(table, ascii([column[0] for column in found.description]))


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.restoring")


def _beside(path: Path) -> list[Path]:
    return [path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal")]


def _remove(path: Path) -> None:
    for each in (path, *_beside(path)):
        each.unlink(missing_ok=True)


@contextmanager
def _failing_as(kind: type[EngineFailed]) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, EngineFailed) as error:
        text = f"SQLite says: {error}" if isinstance(error, sqlite3.Error) else str(error)
        raise kind(text) from error
