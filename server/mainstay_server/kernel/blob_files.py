"""Blobs piece by piece: uploads that nobody sees before they are whole, and ranges.

A folder takes the pieces beside their final name; for the clouds they are gathered in a temporary
file first, since what was checked only at its end must not be seen before.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from secrets import randbits
from typing import BinaryIO, Protocol

import obstore

from mainstay_server.kernel import blobs
from mainstay_server.kernel.blobs import BlobMissing, checked, make_folders, sync_folder

PIECE_BYTES = 1 << 20
UNFINISHED = re.compile(r"#\d+$")  # obstore's listings pass over such names


@dataclass(frozen=True, kw_only=True)
class Blob:
    """What a listing tells of one blob."""

    key: str
    size_bytes: int
    changed_at: datetime


class BlobUpload:
    """One blob on its way, counted and hashed as it comes; call from one thread at once."""

    def __init__(self, key: str) -> None:
        self.size_bytes = 0
        self._key = checked(key)
        self._hash = hashlib.sha256()
        self._folder = blobs.folder()
        self._file, self._unfinished = self._open()

    @property
    def sha256(self) -> str:
        """The digest of what was written so far, in hexadecimal."""
        return self._hash.hexdigest()

    def write(self, piece: bytes | bytearray) -> None:
        """Take the next bytes; raises `OSError` when the disk is full."""
        self._hash.update(piece)
        self.size_bytes += len(piece)
        view = memoryview(piece)
        while view:
            view = view[self._file.write(view) or 0 :]

    def publish(self) -> None:
        """Show the blob under its key, whole; in a folder it has reached the disk then."""
        if self._folder is None:
            self._file.seek(0)
            blobs.put(self._key, iter(lambda: self._file.read(PIECE_BYTES), b""))
            self.abort()
            return
        os.fsync(self._file.fileno())
        self._file.close()
        target = self._folder / self._key
        self._unfinished.replace(target)
        sync_folder(target.parent)

    def abort(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        with suppress(FileNotFoundError):
            self._unfinished.unlink()

    def _open(self) -> tuple[BinaryIO, Path]:
        if self._folder is None:
            descriptor, name = tempfile.mkstemp(prefix="mainstay-upload-")
            return os.fdopen(descriptor, "w+b", buffering=0), Path(name)
        target = self._folder / self._key
        make_folders(self._folder, target.parent)
        path = target.with_name(f"{target.name}#{randbits(64)}")
        return path.open("xb", buffering=0), path


class BlobReading(Protocol):
    """One blob that is being read; what was begun stays readable when the blob is removed."""

    size_bytes: int

    def read(self, offset: int, length: int) -> bytes:
        """Some bytes from a place on; fewer at the end."""

    def close(self) -> None:
        """Let go of it."""


class _FileReading:
    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size_bytes = os.fstat(self._descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def close(self) -> None:
        os.close(self._descriptor)


class _CloudReading:
    def __init__(self, key: str) -> None:
        self._key = key
        self.size_bytes = blobs.size(key)

    def read(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.size_bytes)
        if offset >= end:
            return b""
        with blobs.told(self._key):
            return bytes(obstore.get_range(blobs.store(), self._key, start=offset, end=end))

    def close(self) -> None:
        """Nothing is held."""


def open_blob(key: str) -> BlobReading:
    """Begin to read a blob anywhere in it. Raises `BlobMissing`."""
    folder = blobs.folder()
    if folder is None:
        return _CloudReading(checked(key))
    try:
        return _FileReading(folder / checked(key))
    except FileNotFoundError:
        raise BlobMissing(key) from None


def find_blob(key: str) -> Blob | None:
    """What is known of one blob; None without it."""
    with suppress(BlobMissing), blobs.told(key):
        found = obstore.head(blobs.store(), checked(key))
        return Blob(key=key, size_bytes=int(found["size"]), changed_at=found["last_modified"])
    return None


def walk_blobs(prefix: str) -> Iterator[Blob]:
    """Every blob in the folder `prefix`, in no order."""
    with blobs.told(prefix):
        for batch in obstore.list(blobs.store(), checked(prefix), chunk_size=1000):
            for row in batch:
                yield Blob(
                    key=str(row["path"]),
                    size_bytes=int(row["size"]),
                    changed_at=row["last_modified"],
                )


def walk_keys(prefix: str, *, at_once: int) -> Iterator[list[str]]:
    """Every key in the folder `prefix`, so many at once, in no order, by one walk over all.

    What was given may be deleted while the walk goes on.
    """
    keys = (blob.key for blob in walk_blobs(prefix))
    while some := list(islice(keys, at_once)):
        yield some


def sweep_unfinished(prefix: str, *, before: datetime) -> int:
    """Remove what crashed uploads left in the folder `prefix`, untouched since then.

    An upload that goes on touches its file. Returns how many were removed.
    """
    folder = blobs.folder()
    if folder is None:
        return 0
    swept = 0
    for parent, _, names in os.walk(folder / checked(prefix)):
        for name in names:
            path = Path(parent) / name
            if UNFINISHED.search(name) and _changed_at(path) < before:
                path.unlink(missing_ok=True)
                swept += 1
    return swept


def _changed_at(path: Path) -> datetime:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
    except FileNotFoundError:
        return datetime.max.replace(tzinfo=UTC)
