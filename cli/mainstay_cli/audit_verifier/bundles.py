"""What was exported: a zip file or a folder with rows, checkpoints, notes of removals and keys."""

import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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
        return {
            file.relative_to(source).as_posix(): file.read_bytes()
            for file in source.rglob("*")
            if file.is_file()
        }
    with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _texts(files: dict[str, bytes], folder: str) -> dict[str, str]:
    return {
        name: text.decode("utf-8", "replace")
        for name, text in files.items()
        if name.startswith(folder) and not name.endswith("/")
    }
