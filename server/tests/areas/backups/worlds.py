"""What the tests of engines share: one way to back up, and one to restore and compare."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from mainstay_server.areas.backups.providers import Engine
from mainstay_server.areas.backups.schemas import (
    Difference,
    Fingerprints,
    Versions,
    compare,
)
from mainstay_server.areas.backups.settings import BackupSettings
from mainstay_server.kernel.settings import override_settings


class Taken:
    """A backup in memory."""

    def __init__(self, dump: bytes, fingerprints: Fingerprints, versions: Versions) -> None:
        self.dump = dump
        self.fingerprints = fingerprints
        self.versions = versions
        self.beside: Mapping[str, bytes] = {}
        self.notes: tuple[str, ...] = ()


@contextmanager
def shared_folder() -> Iterator[Path]:
    """A folder that servers of other users reach: pytest's own ones are closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="m-"))
    folder.chmod(0o711)
    try:
        yield folder
        assert list(folder.iterdir()) == [], "an engine leaves nothing"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def allow(folder: Path) -> None:
    override_settings(BackupSettings(backup_folders=str(folder)))


def open_to_others(folder: Path) -> list[Path]:
    """The files that other users of the machine could read: they may go through the folder."""
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if (Path(place) / name).stat().st_mode & 0o011]
        inside = [Path(place) / name for name in files]
        found += [path for path in inside if path.is_file() and path.stat().st_mode & 0o044]
    return found


def back_up(engine: Engine, config: Mapping[str, Any], folder: Path) -> Taken:
    with engine.dumping(config, folder=folder) as dump:
        assert open_to_others(folder) == [], "what is dumped is nobody else's"
        content = dump.stream.read()
        dump.finish()
        taken = Taken(content, dump.fingerprints(), dump.versions)
        taken.beside, taken.notes = dump.beside(), dump.notes()
    return taken


def restore(engine: Engine, config: Mapping[str, Any], taken: Taken, folder: Path) -> None:
    engine.restore(config, BytesIO(taken.dump), versions=taken.versions, folder=folder)


def drill(engine: Engine, taken: Taken, folder: Path) -> list[Difference]:
    """Restore into a scratch server and say what differs."""
    with engine.scratch(taken.versions, folder=folder) as config:
        restore(engine, config, taken, folder)
        assert open_to_others(folder) == [], "what was restored is nobody else's"
        return compare(taken.fingerprints, engine.fingerprints(config, folder=folder))


def with_flipped_bit(content: bytes, marker: bytes) -> bytes:
    """The content with the lowest bit of the marker's last byte turned."""
    at = content.index(marker) + len(marker) - 1
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
