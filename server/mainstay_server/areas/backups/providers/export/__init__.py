"""Data export: rows of chosen tables as JSON Lines, of PostgreSQL, MariaDB, MySQL and SQLite."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import sqlalchemy as sa

from mainstay_server.areas.backups.schemas import (
    DumpFailed,
    EngineFailed,
    Fingerprints,
    RestoreFailed,
    Versions,
    failing_as,
)
from mainstay_server.kernel.problems import Conflict

from .connecting import checked, connected, shapes, shown, snapshot
from .filling import fill
from .packing import ExportDump, fingerprint

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

LABEL = "Data export (JSON Lines)"
EXTENSION = "jsonl.tar"
FORMAT = "JSON Lines"


def find_versions(config: Mapping[str, Any]) -> Versions:
    """The database's; the format is read by anything."""
    with connected(config) as connection:
        return _versions(connection)


def _versions(connection: sa.Connection) -> Versions:
    numbers = ".".join(map(str, connection.dialect.server_version_info or ()))
    return Versions(server=f"{connection.dialect.name} {numbers}".strip(), tools=FORMAT)


@contextmanager
def dumping(config: Mapping[str, Any], *, folder: Path) -> Iterator[ExportDump]:
    """Read one table after the other in one snapshot; their fingerprints are made on the way."""
    with failing_as(DumpFailed), snapshot(config) as connection:
        dump = ExportDump(connection, config["tables"], _versions(connection))
        with dump.stream:
            yield dump


def check_restore(config: Mapping[str, Any], versions: Versions) -> None:
    """Refuse tables that are missing or hold a row; the kind of database may be another."""
    with snapshot(config) as connection:
        try:
            found = shapes(connection, config["tables"])
        except EngineFailed as error:
            raise Conflict(
                f"{error} Let the app make its tables first.", code="tables-missing"
            ) from None
        for shape in found:
            table = sa.table(shape.name, schema=shape.schema)
            if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
                raise Conflict(
                    f"The target is not empty, there are rows in {shape.full_name}; restore into"
                    " empty tables.",
                    code="target-not-empty",
                )


def restore(
    config: Mapping[str, Any], stream: BinaryIO, *, versions: Versions, folder: Path
) -> None:
    """Insert the rows into tables that are there and empty, in one transaction."""
    is_scratch = bool(config.get("isScratch"))
    if not is_scratch:
        check_restore(config, versions)
    with (
        failing_as(RestoreFailed),
        connected(_written(config)) as connection,
        connection.begin(),
    ):
        fill(connection, stream, is_scratch=is_scratch)


def empty(config: Mapping[str, Any]) -> None:
    """Delete all rows of the tables, in one transaction; the tables stay."""
    with connected(_written(config)) as connection, connection.begin():
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
        for shape in reversed(shapes(connection, config["tables"])):
            connection.execute(sa.delete(sa.table(shape.name, schema=shape.schema)))


def fingerprints(config: Mapping[str, Any], *, folder: Path) -> Fingerprints:
    """Of what is there now, in one snapshot."""
    with snapshot(config) as connection:
        found = [fingerprint(connection, each) for each in shapes(connection, config["tables"])]
    return tuple(sorted(found))


@contextmanager
def scratch(versions: Versions, *, folder: Path) -> Iterator[Mapping[str, Any]]:
    """A SQLite file with tables of the same columns, each of which takes any value."""
    path = folder / "export.sqlite"
    path.touch(mode=0o600)  # others may go through the folder
    try:
        yield {
            "path": str(path),
            "kind": "sqlite",
            "mode": "rwc",
            "tables": [],
            "isScratch": True,
        }
    finally:
        for each in folder.glob("export.sqlite*"):
            each.unlink()


def _written(config: Mapping[str, Any]) -> dict[str, Any]:
    return {"mode": "rw", **config}
