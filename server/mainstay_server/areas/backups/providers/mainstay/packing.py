"""The archive of a data dir: a tar stream of files whose content is hashed on its way."""

import hashlib
import os
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from mainstay_server.areas.backups.schemas import (
    DumpFailed,
    Fingerprints,
    RowSum,
    Versions,
    printable,
)
from mainstay_server.kernel.columns import HeldFiles, tables_in
from mainstay_server.kernel.copies.streams import file_of

DATABASE, SECRET_KEY, COLUMNS, OBJECTS = "mainstay.db", "secret_key", "columns", "blobs"
CHUNK_BYTES = 1 << 20
MOST_NOTES = 20
TABLE_AT = 3  # columns/store/1dc/1dc8a42a-…/part/file
PREFIX_AT = 1  # blobs/prefix/…


class Groups:
    """Fingerprints of many files, one for each table of the columns and each kind of object."""

    def __init__(self, tables: Mapping[str, str]) -> None:
        self._tables = tables
        self._sums: dict[str, RowSum] = defaultdict(RowSum)

    def add(self, name: str, told: str) -> None:
        """Count a file in, by its name and by what is told of its content."""
        self._sums[self._group(name)].add(f"{name}\0{told}".encode())

    def fingerprints(self) -> Fingerprints:
        """One for each group; `rows` are its files."""
        return tuple(sorted(each.named(name) for name, each in self._sums.items()))

    def _group(self, name: str) -> str:
        parts = name.split("/")
        if parts[0] == COLUMNS:
            table = self._tables.get(parts[TABLE_AT]) if len(parts) > TABLE_AT else None
            return f"{COLUMNS}/{table or '(structure)'}"
        return "/".join(parts[: PREFIX_AT + 1]) if parts[0] == OBJECTS else name


class MainstayDump:
    """The archive on its way."""

    def __init__(
        self,
        sources: Sequence[tuple[str, Path]],
        versions: Versions,
        notes: Sequence[str],
        columns: HeldFiles | None,
    ) -> None:
        self.versions = versions
        self._sources = sources
        self._notes = list(notes)
        self._groups = Groups({} if columns is None else tables_in(columns.folder))
        self.stream = file_of(self._entries(), buffer_bytes=CHUNK_BYTES)

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
        """Every file was whole before the next one began."""

    def fingerprints(self) -> Fingerprints:
        """Of what was read, as it was read."""
        return self._groups.fingerprints()

    def beside(self) -> Mapping[str, bytes]:
        """Nothing: it is all in one archive."""
        return {}

    def notes(self) -> tuple[str, ...]:
        """What is left out, and what vanished while it was read."""
        return tuple(self._notes)

    def _entries(self) -> Iterator[bytes]:
        for name, path in self._sources:
            yield from self._entry(name, path)
        yield bytes(2 * tarfile.BLOCKSIZE)

    def _entry(self, name: str, path: Path) -> Iterator[bytes]:
        try:
            yield from self._link(name, path) if path.is_symlink() else self._file(name, path)
        except FileNotFoundError:
            self._vanished(name)

    def _link(self, name: str, path: Path) -> Iterator[bytes]:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = tarfile.SYMTYPE, str(path.readlink())
        yield _header(entry)
        self._groups.add(name, f"link {entry.linkname}")

    def _file(self, name: str, path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = size, 0o600
            yield _header(entry)
            digest, left = hashlib.blake2b(digest_size=16), size
            while left:
                piece = file.read(min(left, CHUNK_BYTES))
                if not piece:
                    raise DumpFailed(f"{printable(name)} became shorter while it was read.")
                digest.update(piece)
                left -= len(piece)
                yield piece
        yield bytes(-size % tarfile.BLOCKSIZE)
        self._groups.add(name, f"{size} {digest.hexdigest()}")

    def _vanished(self, name: str) -> None:
        if not name.startswith(f"{OBJECTS}/"):
            raise DumpFailed(f"{printable(name)} vanished before it was read.")
        if len(self._notes) < MOST_NOTES:
            self._notes.append(f"{printable(name)} was deleted before it was read.")


def prints_of(root: Path) -> Fingerprints:
    """Of a data dir as it lies in a folder."""
    groups = Groups(tables_in(root / COLUMNS))
    for name, path in files_below(root):
        if path.is_symlink():
            groups.add(name, f"link {path.readlink()}")
            continue
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
        groups.add(name, f"{path.stat().st_size} {digest.hexdigest()}")
    return groups.fingerprints()


def files_below(root: Path) -> Iterator[tuple[str, Path]]:
    """Every file and link below a folder, with its name there, in order."""
    for place, folders, files in os.walk(root):
        inside = Path(place).relative_to(root)
        links = [each for each in folders if (Path(place) / each).is_symlink()]
        folders.sort()
        for each in sorted([*files, *links]):
            yield str(inside / each), Path(place) / each


def _header(entry: tarfile.TarInfo) -> bytes:
    return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
