"""What was exported: a zip file or a folder with rows, checkpoints, notes of removals and keys."""

import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_FILES = 10_000  # an export has some 400
MOST_BYTES = 2 << 30  # some two million rows; all of them are held in memory
STEP_BYTES = 1 << 20


@dataclass
class Bundle:
    """What was exported, unread: rows as bytes, notes as texts by the name of their file.

    `part` is of an export of some days: what stands before and behind its rows in the tree.
    """

    rows: Iterable[bytes]
    checkpoints: dict[str, str]
    removals: dict[str, str]
    keys: list[str]
    part: dict[str, Any] | None = None


def read_bundle(source: Path | bytes) -> Bundle:
    """Read a bundle: a zip file, its bytes, or a folder with the same files.

    Raises:
        OSError, KeyError, ValueError, zipfile.BadZipFile: it is none.
    """
    files = _files(source)
    part = files.get("part.json")
    return Bundle(
        rows=[line for line in files["rows.jsonl"].split(b"\n") if line],
        checkpoints=_texts(files, "checkpoints/"),
        removals=_texts(files, "removed/"),
        keys=files["keys.txt"].decode().split(),
        part=None if part is None else json.loads(part),
    )


def read_kept(places: Iterable[Path]) -> dict[str, str]:
    """The checkpoints in some files and folders, by path. Raises `OSError`."""
    files = [
        file
        for place in places
        for file in (sorted(place.rglob("*.txt")) if place.is_dir() else [place])
    ]
    return {str(file): file.read_text(encoding="utf-8") for file in files}


def _files(source: Path | bytes) -> dict[str, bytes]:
    if isinstance(source, Path) and source.is_dir():
        found = [file for file in source.rglob("*") if file.is_file()]
        _refuse_beyond(len(found), sum(file.stat().st_size for file in found))
        return {file.relative_to(source).as_posix(): file.read_bytes() for file in found}
    with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
        entries = archive.infolist()
        _refuse_beyond(len(entries), sum(entry.file_size for entry in entries))
        return {entry.filename: _unpacked(archive, entry) for entry in entries}


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """A file, no longer than the archive says it is: read at once, one that lies would be."""
    with archive.open(entry) as file:
        return b"".join(iter(lambda: file.read(STEP_BYTES), b""))


def _refuse_beyond(files: int, size_bytes: int) -> None:
    """Refuse what no export is like, before any of it is unpacked: a few bytes may be gigabytes."""
    if files > MOST_FILES or size_bytes > MOST_BYTES:
        raise ValueError(
            f"it has {files:,} files with {size_bytes:,} bytes unpacked, and {MOST_FILES:,} with"
            f" {MOST_BYTES:,} are read; export fewer days at once"
        )


def _texts(files: dict[str, bytes], folder: str) -> dict[str, str]:
    return {
        name: text.decode("utf-8", "replace")
        for name, text in files.items()
        if name.startswith(folder) and not name.endswith("/")
    }
