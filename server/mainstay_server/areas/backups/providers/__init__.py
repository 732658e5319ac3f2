"""Kinds of targets: one file or folder each; a new kind is that and a line in `ENGINES`."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from mainstay_server.areas.backups.schemas import Fingerprints, Versions

from . import export, files, mainstay, mariadb, postgresql, redis, sqlite
from .postgresql import clusters, logs


class Dump(Protocol):
    """One consistent state of a target on its way out."""

    @property
    def stream(self) -> BinaryIO:
        """The native dump; read it to its end. It is made while it is read: memory stays flat."""

    @property
    def versions(self) -> Versions:
        """What was running, and what it takes to restore it."""

    def finish(self) -> None:
        """Say that the stream has ended. Raises `DumpFailed` when the dump is no whole one."""

    def fingerprints(self) -> Fingerprints:
        """Of the very state that was dumped; asked after `finish`. Raises `DumpFailed`."""

    def beside(self) -> Mapping[str, bytes]:
        """Small files that belong to the dump, by name; asked after `finish`.

        They may tell who works there, so they are sealed as the dump is.
        """

    def notes(self) -> tuple[str, ...]:
        """What a person should know of the dump, a sentence each; asked after `finish`."""


class Engine(Protocol):
    """What a file of this folder offers.

    A `config` is what `checked` returned, or what `scratch` yields. `EXTENSION` ends the names of
    native dumps. Each `folder` is one that exists, and is ours alone; nothing stays in it. When we
    are root, scratch servers run as somebody else, who must be able to reach it.

    What a person can mend is a `Problem`; what breaks outside is an `EngineFailed`.
    """

    LABEL: str
    EXTENSION: str

    def checked(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The config as it is kept. Raises `Invalid` with the next step."""

    def shown(self, config: Mapping[str, Any]) -> str:
        """Where the target is, fit for any eye."""

    def find_versions(self, config: Mapping[str, Any]) -> Versions:
        """The versions there and here. Raises `Conflict` when our tools are too old for it."""

    def dumping(self, config: Mapping[str, Any], *, folder: Path) -> AbstractContextManager[Dump]:
        """Hold one consistent state until the block ends; nothing is written to the target.

        Raises `DumpFailed`.
        """

    def check_restore(self, config: Mapping[str, Any], versions: Versions) -> None:
        """Refuse, before a byte is moved, what could not be restored there.

        Raises `Conflict`: the target is older, lacks an extension, is not the user's to fill, or,
        asked last of all, is not empty (code `target-not-empty`).
        """

    def restore(
        self, config: Mapping[str, Any], stream: BinaryIO, *, versions: Versions, folder: Path
    ) -> None:
        """Check, then fill the empty target with a dump of these versions.

        Raises `RestoreFailed`; what could be undone of it has been.
        """

    def empty(self, config: Mapping[str, Any]) -> None:
        """Remove everything of a target that `check_restore` would find there; for good.

        Raises `EngineFailed`.
        """

    def fingerprints(self, config: Mapping[str, Any], *, folder: Path) -> Fingerprints:
        """Of what is there now."""

    def scratch(
        self, versions: Versions, *, folder: Path
    ) -> AbstractContextManager[Mapping[str, Any]]:
        """An empty target of our own, reached by nobody else, gone when the block ends.

        What a dump says to do is done there with the least rights. Raises `ScratchFailed`.
        """


ENGINES: dict[str, Engine] = {
    "postgresql": postgresql,
    "postgresql_cluster": clusters,
    "postgresql_log": logs,
    "mariadb": mariadb,
    "sqlite": sqlite,
    "files": files,
    "redis": redis,
    "export": export,
    "mainstay": mainstay,
}
