"""A folder as a destination: temporary name, fsync, rename."""

import os
import shutil
from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path
from secrets import token_hex

from mainstay_server.kernel.blobs import checked, make_folders, sync_folder
from mainstay_server.kernel.copies.destinations import UNFINISHED, CopyMissing, Locked

PIECE_BYTES = 1 << 20


class FolderUpload:
    """A file under a temporary name beside the one that it will have."""

    def __init__(self, root: Path, key: str) -> None:
        self._target = root / checked(key)
        make_folders(root, self._target.parent)
        name = f"{UNFINISHED}{token_hex(8)}-{self._target.name}"
        self._unfinished = self._target.with_name(name)
        self._file = self._unfinished.open("xb", buffering=0)

    def write(self, piece: bytes) -> None:
        """Write all of it: a full disk may take only a part and say so at the next."""
        view = memoryview(piece)
        while view:
            view = view[self._file.write(view) or 0 :]

    def prepare(self) -> None:
        """Let the bytes reach the disk."""
        os.fsync(self._file.fileno())

    def commit(self) -> None:
        """Rename, and let the name reach the disk."""
        self._file.close()
        self._unfinished.replace(self._target)
        sync_folder(self._target.parent)

    def abort(self) -> None:
        """Remove the temporary file."""
        self._file.close()
        self._unfinished.unlink(missing_ok=True)


class Folder:
    """A folder of this machine, which is made when it is missing."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def begin(self, key: str, *, expected_bytes: int) -> FolderUpload:  # noqa: ARG002 - as others
        """Begin a file."""
        self._root.mkdir(parents=True, exist_ok=True)
        return FolderUpload(self._root, key)

    def put(self, key: str, data: bytes) -> None:
        """Store a small file, all or nothing."""
        upload = self.begin(key, expected_bytes=len(data))
        try:
            upload.write(data)
            upload.prepare()
            upload.commit()
        except BaseException:
            upload.abort()
            raise

    def stream(self, key: str) -> Iterator[bytes]:
        """Give the file in pieces."""
        try:
            file = (self._root / checked(key)).open("rb", buffering=0)
        except FileNotFoundError:
            raise CopyMissing(f"There is no {key} in {self._root}.") from None

        def pieces() -> Iterator[bytes]:
            with file:
                while piece := file.read(PIECE_BYTES):
                    yield piece

        return pieces()

    def keys(self, folder: str, *, limit: int = 100_000) -> list[str]:
        """The files below a folder."""
        return sorted(self._walk(folder, unfinished=False))[:limit]

    def remove(self, key: str, *, now: datetime) -> None:  # noqa: ARG002 - a folder has no clock
        """Delete the file; one that may not be deleted is locked."""
        path = self._root / checked(key)
        try:
            path.unlink(missing_ok=True)
        except PermissionError:
            raise Locked(key) from None
        if path.parent.is_dir():
            sync_folder(path.parent)

    def sweep(self, folder: str, *, running: Collection[str] = (), of: str = "") -> list[str]:
        """Remove the temporary files of runs that ended without a word."""
        swept = []
        for path in self._walk(folder, unfinished=True):
            parent, _, name = path.rpartition("/")
            target = name.removeprefix(UNFINISHED).partition("-")[2]
            key = f"{parent}/{target}" if parent else target
            if of in key and key not in running:
                (self._root / path).unlink(missing_ok=True)
                swept.append(key)
        return sorted(swept)

    def free_bytes(self) -> int | None:
        """What the file system has left for us."""
        there = self._root
        while not there.exists():
            there = there.parent
        return shutil.disk_usage(there).free

    def _walk(self, folder: str, *, unfinished: bool) -> Iterator[str]:
        start = self._root / checked(folder) if folder else self._root
        for parent, _, names in os.walk(start, onerror=_unless_missing):
            for name in names:
                if name.startswith(UNFINISHED) is unfinished:
                    yield (Path(parent) / name).relative_to(self._root).as_posix()


def _unless_missing(error: OSError) -> None:
    """A folder that cannot be looked into is not an empty one; one that is not there is."""
    if not isinstance(error, FileNotFoundError):
        raise error
