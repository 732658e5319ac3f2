"""Tar streams of PostgreSQL's own files: watched while they pass, and unpacked into a folder."""

import os
import pwd
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from mainstay_server.areas.backups.schemas import DumpFailed, RestoreFailed, printable
from mainstay_server.kernel.programs import lesser_user

CHUNK_BYTES = 1 << 20
MOST_PICKED_BYTES = 256 << 20
END_BYTES = 2 * tarfile.BLOCKSIZE


class Watched:
    """A stream that counts its bytes and, as a tar, keeps the content of one entry."""

    def __init__(self, stream: BinaryIO, wanted: str = "") -> None:
        self.size = 0
        self.picked = b""
        self._stream = stream
        self._wanted = wanted
        self._head = b""
        self._left = 0
        self._content = 0
        self._is_wanted = False

    def read(self, size: int = -1) -> bytes:
        """As the stream does."""
        chunk = self._stream.read(size)
        self.size += len(chunk)
        if self._wanted:
            self._look(memoryview(chunk))
        return chunk

    def drain(self) -> int:
        """How long the stream is, once all of it has been read."""
        while self.read(CHUNK_BYTES):
            pass
        return self.size

    def _look(self, chunk: memoryview) -> None:
        while chunk:
            if self._left:
                taken = chunk[: self._left]
                if self._is_wanted:
                    self._pick(taken[: self._content])
                self._left -= len(taken)
                chunk = chunk[len(taken) :]
                continue
            missing = tarfile.BLOCKSIZE - len(self._head)
            self._head += chunk[:missing]
            chunk = chunk[missing:]
            if len(self._head) == tarfile.BLOCKSIZE:
                self._begin_entry(self._head)
                self._head = b""

    def _begin_entry(self, head: bytes) -> None:
        if not any(head):
            return
        try:
            entry = tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        except tarfile.TarError as error:
            raise DumpFailed(f"What pg_basebackup wrote is no archive: {error}") from None
        self._content = entry.size if entry.isreg() else 0
        self._left = self._content + -self._content % tarfile.BLOCKSIZE
        self._is_wanted = entry.name == self._wanted

    def _pick(self, content: memoryview) -> None:
        self._content -= len(content)
        self.picked += content
        if len(self.picked) > MOST_PICKED_BYTES:
            raise DumpFailed(f"{self._wanted} is larger than {MOST_PICKED_BYTES >> 20} MiB.")


def unpack(stream: BinaryIO, root: Path) -> None:
    """Fill a folder with files and folders, without ever leaving it; raises `RestoreFailed`.

    It goes by the folder's handle, so that nobody leads it elsewhere meanwhile.
    """
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        with opened(root) as inside:
            os.fchmod(inside, 0o700)
            for archive, entry in _entries(stream):
                if entry.isdir():
                    os.mkdir(entry.name.rstrip("/"), 0o700, dir_fd=inside)
                else:
                    _write(archive, entry, inside)
    except (OSError, tarfile.TarError) as error:
        raise RestoreFailed(f"{root} could not be filled: {error}") from error


def give_to_server(root: Path) -> None:
    """Let all of a folder belong to whom PostgreSQL runs as here; nothing to do unless root.

    From the innermost outwards: what is given away is not walked any more.
    """
    user = lesser_user("postgres", "nobody")
    if user is None:
        return
    account = pwd.getpwnam(user)
    owner = account.pw_uid, account.pw_gid
    with opened(root) as inside:
        for _, _, files, handle in os.fwalk(".", topdown=False, dir_fd=inside):
            for name in files:
                os.chown(name, *owner, dir_fd=handle, follow_symlinks=False)
            os.fchown(handle, *owner)


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    """The handle of a folder, which is no link."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


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
            if not (entry.isreg() or entry.isdir()):
                raise RestoreFailed(f"{printable(entry.name)} is no file or folder.")
            yield archive, entry
            archive.members.clear()  # type: ignore[attr-defined]  # it would keep all
    if watched.drain() - archive.offset < END_BYTES or watched.size % tarfile.BLOCKSIZE:
        raise RestoreFailed("The archive was cut: its end is missing.")


def _write(archive: tarfile.TarFile, entry: tarfile.TarInfo, inside: int) -> None:
    content = archive.extractfile(entry)
    assert content is not None, "it is a file"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(entry.name, flags, 0o600, dir_fd=inside), "wb") as file:
        shutil.copyfileobj(content, file, CHUNK_BYTES)
        if file.tell() != entry.size:
            raise RestoreFailed(f"{printable(entry.name)} was cut.")
