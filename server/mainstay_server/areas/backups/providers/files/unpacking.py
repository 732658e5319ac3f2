"""Unpack a tar stream into a folder, without ever leaving it."""

import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from mainstay_server.areas.backups.schemas import RestoreFailed, printable

CHUNK_BYTES = 1 << 20
KEPT_BITS = 0o777
END_BYTES = 2 * tarfile.BLOCKSIZE


def unpack(stream: BinaryIO, root: Path) -> None:
    """Write every entry; raises `RestoreFailed` at the first that is not as we pack them.

    Links are made last, when nothing more is written: no entry can go through one. Folders get
    their rights after that, so that one that may not be written can be filled.
    """
    links: list[tarfile.TarInfo] = []
    folders: list[tarfile.TarInfo] = []
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        for archive, entry in _entries(stream):
            if entry.issym():
                links.append(entry)
            elif entry.isdir():
                (root / entry.name).mkdir(mode=0o700)
                folders.append(entry)
            else:
                _write(archive, entry, root / entry.name)
        for entry in links:
            (root / entry.name).symlink_to(entry.linkname)
            _own(root / entry.name, entry)
        for entry in reversed(folders):
            _own(root / entry.name, entry)
            (root / entry.name).chmod(entry.mode & KEPT_BITS)
    except (OSError, tarfile.TarError) as error:
        raise RestoreFailed(f"{root} could not be filled: {error}") from error


def _entries(stream: BinaryIO) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    watched = _Watched(stream)
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
    if watched.size() - archive.offset < END_BYTES or watched.size() % tarfile.BLOCKSIZE:
        raise RestoreFailed("The archive was cut: its end is missing.")


class _Watched:
    """A stream whose size is known: an archive that was cut between two entries looks whole."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size = 0

    def read(self, size: int) -> bytes:
        chunk = self._stream.read(size)
        self._size += len(chunk)
        return chunk

    def size(self) -> int:
        """How long it is, once all of it has been read."""
        while self.read(CHUNK_BYTES):
            pass
        return self._size


def _write(archive: tarfile.TarFile, entry: tarfile.TarInfo, path: Path) -> None:
    content = archive.extractfile(entry)
    assert content is not None, "it is a file"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        shutil.copyfileobj(content, file, CHUNK_BYTES)
        if file.tell() != entry.size:
            raise RestoreFailed(f"{printable(entry.name)} was cut.")
        _own(path, entry)
        os.fchmod(file.fileno(), entry.mode & KEPT_BITS)
    os.utime(path, (entry.mtime, entry.mtime), follow_symlinks=False)


def _own(path: Path, entry: tarfile.TarInfo) -> None:
    """Give it back to its owner, where we may."""
    if os.geteuid() == 0:
        os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
