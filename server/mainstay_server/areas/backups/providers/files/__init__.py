"""A folder of files, such as uploads: a tar stream, and the same one for the same files."""

import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from mainstay_server.areas.backups.schemas import DumpFailed, EngineFailed, Fingerprints, Versions
from mainstay_server.areas.backups.settings import allowed_path, refuse_moved
from mainstay_server.kernel.problems import Conflict, Invalid

from .packing import FilesDump, Packing
from .unpacking import unpack

LABEL = "Files"
EXTENSION = "tar"
CHUNK_BYTES = 1 << 20


def checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The `path` of a folder that may be backed up."""
    path = allowed_path(config.get("path"))
    if path.exists() and not path.is_dir():
        raise Invalid(f"{path} is no folder; name the folder that holds it.")
    return {"path": str(path)}


def shown(config: Mapping[str, Any]) -> str:
    """Its path."""
    return str(config["path"])


def find_versions(config: Mapping[str, Any]) -> Versions:
    """The system's; the format (POSIX.1-2001, "pax") is read by every tar."""
    return Versions(server=f"{sys.platform} {platform.release()}", tools="pax")


@contextmanager
def dumping(config: Mapping[str, Any], *, folder: Path) -> Iterator[FilesDump]:
    """Pack while it is read. There is no snapshot: what changes meanwhile is told in the notes."""
    path = _unmoved(config)
    with FilesDump(Packing(path), find_versions(config)) as dump:
        yield dump


def check_restore(config: Mapping[str, Any], versions: Versions) -> None:
    """Refuse a folder that holds something."""
    path = Path(config["path"])
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise Conflict(
            f"{path} is not empty; move it away, or restore into another folder.",
            code="target-not-empty",
        )
    refuse_moved(path)


def restore(
    config: Mapping[str, Any], stream: BinaryIO, *, versions: Versions, folder: Path
) -> None:
    """Fill an empty folder, or a new one; nothing is ever written outside of it."""
    check_restore(config, versions)
    unpack(stream, Path(config["path"]))


def empty(config: Mapping[str, Any]) -> None:
    """Remove what is in the folder, and not the folder."""
    path = _unmoved(config)
    try:
        for each in path.iterdir():
            if each.is_dir() and not each.is_symlink():
                _remove(each)
            else:
                each.unlink()
    except OSError as error:
        raise EngineFailed(f"{path} could not be emptied: {error}") from error


def fingerprints(config: Mapping[str, Any], *, folder: Path) -> Fingerprints:
    """Of what is there now: one for each entry; a dump that nobody keeps."""
    packing = Packing(_unmoved(config))
    for _ in packing:
        pass
    return packing.fingerprints()


@contextmanager
def scratch(versions: Versions, *, folder: Path) -> Iterator[Mapping[str, Any]]:
    """A folder in the folder."""
    path = folder / "files"
    try:
        yield {"path": str(path)}
    finally:
        _remove(path)


def _unmoved(config: Mapping[str, Any]) -> Path:
    path = Path(config["path"])
    if path.resolve() != path or not path.is_dir():
        raise DumpFailed(f"{path} is no folder; name the folder itself, without links.")
    return path


def _remove(path: Path) -> None:
    """Remove a tree even where its folders may not be written."""
    if not path.exists():
        return
    for root, folders, files, handle in os.fwalk(path, topdown=False):
        os.fchmod(handle, 0o700)
        for name in files:
            os.unlink(name, dir_fd=handle)
        for name in folders:
            if Path(root, name).is_symlink():
                os.unlink(name, dir_fd=handle)
            else:
                os.rmdir(name, dir_fd=handle)
    path.rmdir()
