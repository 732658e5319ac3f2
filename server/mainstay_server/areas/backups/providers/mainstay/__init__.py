"""Mainstay itself: its database, columns and objects in one archive that is a data dir again."""

import secrets
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote, urlsplit

from mainstay_server.areas.backups.schemas import (
    DumpFailed,
    EngineFailed,
    Fingerprints,
    RestoreFailed,
    Versions,
)
from mainstay_server.areas.backups.settings import BackupSettings
from mainstay_server.kernel import blobs
from mainstay_server.kernel.columns import held_files
from mainstay_server.kernel.migrations import newest_revision
from mainstay_server.kernel.problems import Conflict, Invalid
from mainstay_server.kernel.settings import ServerSettings, of, secret_key

from .packing import COLUMNS, DATABASE, OBJECTS, SECRET_KEY, MainstayDump, files_below, prints_of
from .trying import refuse_unusable
from .unpacking import unpack

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

LABEL = "Mainstay itself"
EXTENSION = "tar"
LEAST_SECRET = 20
OWN_COPIES = "backups"
ITSELF = (
    "Mainstay cannot be replaced while it runs. Follow the recovery sheet on an empty data dir, and"
    " start Mainstay with that."
)


def checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The `secret` that the operator set: it is everybody's data that leaves."""
    known = of(BackupSettings).backup_itself_secret.get_secret_value()
    given = str(config.get("secret", ""))
    if len(known) < LEAST_SECRET or not secrets.compare_digest(given.encode(), known.encode()):
        raise Invalid(
            "The secret is not the operator's; it stands in MAINSTAY_BACKUP_ITSELF_SECRET, with at"
            f" least {LEAST_SECRET} characters.",
            code="not-the-operator",
        )
    _database()
    return {"itself": True}


def _database() -> Path:
    url = of(ServerSettings).database_url
    if not of(ServerSettings).embedded:
        raise Invalid(
            "This server's database is a PostgreSQL; back up that, and the data dir as files."
        )
    path = unquote(urlsplit(url).path)[1:] if url else ""
    return Path(path) if path else of(ServerSettings).data_dir / DATABASE


def shown(config: Mapping[str, Any]) -> str:
    """There is but one."""
    return str(config.get("path", "this server"))


def find_versions(config: Mapping[str, Any]) -> Versions:
    """The newest migration's: an older Mainstay does not read it."""
    return Versions(server=newest_revision(), tools="pax")


@contextmanager
def dumping(config: Mapping[str, Any], *, folder: Path) -> Iterator[MainstayDump]:
    """Copy the database, hold the columns, and read both, then the objects, which never change.

    The database is the last word on objects, so it is copied first: whatever it names is read. It
    takes its size on the disk until it was read.
    """
    copy = folder / DATABASE
    notes = []
    try:
        with _failing(), held_files(secrets.token_hex(8)) as columns:
            key = folder / SECRET_KEY
            for private in (copy, key):
                private.touch(mode=0o600)  # others may go through the folder
            _copy_database(copy)
            key.write_bytes(secret_key())
            sources: list[tuple[str, Path]] = [(SECRET_KEY, key), (DATABASE, copy)]
            if columns is None:
                notes.append("The columns lie on a ClickHouse server, which keeps its own backups.")
            else:
                sources += [(f"{COLUMNS}/{name}", path) for name, path in columns]
            objects = blobs.folder()
            if objects is None:
                notes.append("The objects lie in a bucket, and are left out.")
            else:
                notes.append("Copies of backups that lie on this server are left out.")
                sources += _objects_in(objects)
            with MainstayDump(sources, find_versions(config), notes, columns) as dump:
                yield dump
    finally:
        for each in (copy, folder / SECRET_KEY):
            each.unlink(missing_ok=True)


def _objects_in(folder: Path) -> list[tuple[str, Path]]:
    return [
        (f"{OBJECTS}/{name}", path)
        for name, path in files_below(folder)
        if "#" not in name and not name.startswith(f"{OWN_COPIES}/")
    ]


def _copy_database(copy: Path) -> None:
    with (
        closing(sqlite3.connect(f"file:{quote(str(_database()))}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)


def check_restore(config: Mapping[str, Any], versions: Versions) -> None:
    """Refuse to replace what runs."""
    if "path" not in config:
        raise Conflict(ITSELF, code="target-is-running")


def restore(
    config: Mapping[str, Any], stream: BinaryIO, *, versions: Versions, folder: Path
) -> None:
    """Unpack an archive into an empty folder, and look whether the engines open what is there."""
    check_restore(config, versions)
    root = Path(config["path"])
    unpack(stream, root)
    refuse_unusable(root, folder=folder)


def empty(config: Mapping[str, Any]) -> None:
    """Never: it runs."""
    raise EngineFailed(ITSELF)


def fingerprints(config: Mapping[str, Any], *, folder: Path) -> Fingerprints:
    """Of what lies in a folder."""
    if "path" not in config:
        raise EngineFailed(ITSELF)
    return prints_of(Path(config["path"]))


@contextmanager
def scratch(versions: Versions, *, folder: Path) -> Iterator[Mapping[str, Any]]:
    """A folder in the folder."""
    path = folder / "data"
    path.mkdir(mode=0o700)
    try:
        yield {"path": str(path)}
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise DumpFailed(f"The data dir could not be read: {error}") from error
    except RestoreFailed as error:
        raise DumpFailed(str(error)) from None
