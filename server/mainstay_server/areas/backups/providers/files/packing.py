"""Pack a folder into a tar stream piece by piece, and take the fingerprints of what is packed."""

import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from mainstay_server.areas.backups.schemas import (
    DumpFailed,
    Fingerprint,
    Fingerprints,
    Versions,
    digest_of,
    printable,
)
from mainstay_server.kernel.copies.streams import file_of

CHUNK_BYTES = 1 << 18
MOST_ENTRIES = 200_000
MOST_NOTES = 100
BLOCK = tarfile.BLOCKSIZE
KEPT_BITS = 0o777
SECTOR = 512


class Packing:
    """Iterates over the bytes of the archive; then tells what it saw.

    The walk holds every folder open while it is in it, and follows no link, so that nobody who may
    write in the tree can lead it elsewhere.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found: list[Fingerprint] = []
        self._notes: list[str] = []
        self._left_out = 0
        self._ended = False

    def fingerprints(self) -> Fingerprints:
        """One for each entry, once all were read; raises `DumpFailed` before."""
        if not self._ended:
            raise DumpFailed("The stream was not read to its end.")
        return tuple(sorted(self._found))

    def notes(self) -> tuple[str, ...]:
        """What changed meanwhile or was left out; at most 100 by name."""
        more = self._left_out
        return (*self._notes, *([f"And {more} notes more."] if more else []))

    def __iter__(self) -> Iterator[bytes]:
        for root, folders, files, handle in os.fwalk(self._root, onerror=self._unreadable):
            folders.sort(key=os.fsencode)
            inside = os.path.relpath(root, self._root)
            at = "" if inside == "." else f"{inside}/"
            for name in sorted([*folders, *files], key=os.fsencode):
                yield from self._entry(at + name, name, handle)
        yield b"\0" * (2 * BLOCK)
        self._ended = True

    def _entry(self, path: str, name: str, folder: int) -> Iterator[bytes]:
        if len(self._found) >= MOST_ENTRIES:
            raise DumpFailed(
                f"{self._root} holds more than {MOST_ENTRIES:,} entries; back up parts of it."
            )
        try:
            seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            self._note(f"{printable(path)} went away meanwhile.")
            return
        kind = stat.S_IFMT(seen.st_mode)
        if kind == stat.S_IFREG:
            yield from self._file(path, name, folder)
        elif kind == stat.S_IFDIR:
            yield _header(path, seen, tarfile.DIRTYPE)
            self._saw(path, 0, f"folder {_bits(seen):o}")
        elif kind == stat.S_IFLNK:
            target = os.readlink(name, dir_fd=folder)
            yield _header(path, seen, tarfile.SYMTYPE, target=target)
            self._saw(path, 0, f"link {printable(target)}")
        else:
            self._note(f"{printable(path)} is no file, folder or link, and was left out.")

    def _file(self, path: str, name: str, folder: int) -> Iterator[bytes]:
        try:
            handle = os.open(
                name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder
            )
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                self._note(f"{printable(path)} went away meanwhile.")
                return
            raise DumpFailed(f"{printable(path)} cannot be read: {error.strerror}") from error
        with open(handle, "rb", buffering=0) as file:  # noqa: PTH123 - a handle
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode):
                self._note(f"{printable(path)} was replaced meanwhile, and was left out.")
                return
            yield _header(path, before, tarfile.REGTYPE, size=before.st_size)
            digest = hashlib.sha256()
            for chunk in _content(file, before.st_size):
                digest.update(chunk)
                yield chunk
            yield b"\0" * (-before.st_size % BLOCK)
            after = os.fstat(handle)
        if _state(before) != _state(after):
            self._note(f"{printable(path)} changed while it was read.")
        if before.st_blocks * SECTOR < before.st_size // 2 and before.st_size > 1 << 20:
            self._note(f"{printable(path)} has holes; they are stored as zeros.")
        if before.st_mode & (stat.S_ISUID | stat.S_ISGID):
            self._note(f"{printable(path)} runs with its owner's rights, which is not restored.")
        self._saw(path, before.st_size, f"file {_bits(before):o} {digest.hexdigest()}")

    def _saw(self, path: str, size: int, text: str) -> None:
        self._found.append(Fingerprint(printable(path), size, digest_of(text)))

    def _note(self, sentence: str) -> None:
        if len(self._notes) < MOST_NOTES:
            self._notes.append(sentence)
        else:
            self._left_out += 1

    def _unreadable(self, error: OSError) -> None:
        """A folder that cannot be entered is a backup that is not whole."""
        where = printable(str(error.filename or self._root))
        raise DumpFailed(f"{where} cannot be read: {error.strerror}") from error


class FilesDump:
    """The archive as a file to read from."""

    def __init__(self, packing: Packing, versions: Versions) -> None:
        self._packing = packing
        self.versions = versions
        self.stream = file_of(packing, buffer_bytes=CHUNK_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stream.close()

    def finish(self) -> None:
        """See to it that the whole archive was read."""
        self._packing.fingerprints()

    def fingerprints(self) -> Fingerprints:
        """Of the very bytes that were packed."""
        return self._packing.fingerprints()

    def beside(self) -> Mapping[str, bytes]:
        """Nothing: it is all in the archive."""
        return {}

    def notes(self) -> tuple[str, ...]:
        """What changed meanwhile or was left out."""
        return self._packing.notes()


def _content(file: io.RawIOBase, size: int) -> Iterator[bytes]:
    """Exactly as many bytes as the header promised: cut what grew, fill up what shrank."""
    left = size
    while left:
        chunk = cast("bytes", file.read(min(left, CHUNK_BYTES)))
        if not chunk:
            chunk = b"\0" * min(left, CHUNK_BYTES)
        left -= len(chunk)
        yield chunk


def _state(seen: os.stat_result) -> tuple[int, int, int]:
    return seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


def _bits(seen: os.stat_result) -> int:
    return seen.st_mode & KEPT_BITS


def _header(
    path: str, seen: os.stat_result, kind: bytes, *, size: int = 0, target: str = ""
) -> bytes:
    entry = tarfile.TarInfo(path)
    entry.type, entry.size, entry.linkname = kind, size, target
    entry.mode, entry.mtime = _bits(seen), max(0, int(seen.st_mtime))
    entry.uid, entry.gid = seen.st_uid, seen.st_gid
    return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
