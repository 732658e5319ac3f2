"""Unpack a tar stream into a folder, without ever leaving it."""

import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from mainstay_server.areas.backups.schemas import RestoreFailed, Watched, printable

CHUNK_BYTES = 1 << 20
KEPT_BITS = 0o777
END_BYTES = 2 * tarfile.BLOCKSIZE
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def unpack(stream: BinaryIO, root: Path) -> None:
    """Write every entry; raises `RestoreFailed` at the first that is not as we pack them.

    Every step goes from folder to folder by their handles and follows no link: neither one of the
    archive nor one that somebody puts there meanwhile. Folders get their rights last, so that one
    that may not be written can be filled.
    """
    links: list[tarfile.TarInfo] = []
    folders: list[tarfile.TarInfo] = []
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        with _opened(root) as inside:
            for archive, entry in _entries(stream):
                if entry.issym():
                    links.append(entry)
                elif entry.isdir():
                    _make_folder(entry, inside)
                    folders.append(entry)
                else:
                    _write(archive, entry, inside)
            for entry in links:
                _make_link(entry, inside)
            for entry in reversed(folders):
                _give_rights(entry, inside)
    except (OSError, tarfile.TarError) as error:
        raise RestoreFailed(f"{root} could not be filled: {error}") from error


def _entries(stream: BinaryIO) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    watched = Watched(stream)
    with tarfile.open(
        fileobj=cast("BinaryIO", watched),
        mode="r|",
        bufsize=CHUNK_BYTES,
        encoding="utf-8",
        errors="surrogateescape",
    ) as archive:
        while (entry := archive.next()) is not None:
            parts = PurePosixPath(entry.name).parts
            if not parts or ".." in parts or parts[0] == "/" or "\0" in entry.name:
                raise RestoreFailed(f"{printable(entry.name)} leads out of the folder.")
            if not (entry.isreg() or entry.isdir() or entry.issym()):
                raise RestoreFailed(f"{printable(entry.name)} is no file, folder or link.")
            yield archive, entry
            archive.members.clear()  # type: ignore[attr-defined]  # it would keep all
    if watched.drain() - archive.offset < END_BYTES or watched.drain() % tarfile.BLOCKSIZE:
        raise RestoreFailed("The archive was cut: its end is missing.")


@contextmanager
def _opened(folder: Path | str, *, within: int | None = None) -> Iterator[int]:
    """The handle of a folder, which is no link."""
    handle = os.open(folder, FOLDER, dir_fd=within)
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _place_of(entry: tarfile.TarInfo, inside: int) -> Iterator[tuple[int, str]]:
    """The handle of the folder that an entry lies in, and its name there."""
    *above, name = PurePosixPath(entry.name).parts
    handle = os.dup(inside)
    try:
        for each in above:
            inner = os.open(each, FOLDER, dir_fd=handle)
            os.close(handle)
            handle = inner
        yield handle, name
    finally:
        os.close(handle)


def _make_folder(entry: tarfile.TarInfo, inside: int) -> None:
    with _place_of(entry, inside) as (folder, name):
        os.mkdir(name, 0o700, dir_fd=folder)


def _make_link(entry: tarfile.TarInfo, inside: int) -> None:
    with _place_of(entry, inside) as (folder, name):
        os.symlink(entry.linkname, name, dir_fd=folder)
        if _may_own():
            os.chown(name, entry.uid, entry.gid, dir_fd=folder, follow_symlinks=False)


def _give_rights(entry: tarfile.TarInfo, inside: int) -> None:
    with _place_of(entry, inside) as (folder, name), _opened(name, within=folder) as handle:
        if _may_own():
            os.fchown(handle, entry.uid, entry.gid)
        os.fchmod(handle, entry.mode & KEPT_BITS)


def _write(archive: tarfile.TarFile, entry: tarfile.TarInfo, inside: int) -> None:
    content = archive.extractfile(entry)
    assert content is not None, "it is a file"
    with _place_of(entry, inside) as (folder, name):
        handle = os.open(name, NEW, 0o600, dir_fd=folder)
    with os.fdopen(handle, "wb") as file:
        shutil.copyfileobj(content, file, CHUNK_BYTES)
        if file.tell() != entry.size:
            raise RestoreFailed(f"{printable(entry.name)} was cut.")
        file.flush()
        if _may_own():
            os.fchown(handle, entry.uid, entry.gid)
        os.fchmod(handle, entry.mode & KEPT_BITS)
        os.utime(handle, (entry.mtime, entry.mtime))


def _may_own() -> bool:
    """Whether things are given back to their owners."""
    return os.geteuid() == 0
