"""The list of its files that a server writes into a base backup, and the same of a folder.

https://www.postgresql.org/docs/current/backup-manifest-format.html
"""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from mainstay_server.areas.backups.schemas import (
    DumpFailed,
    EngineFailed,
    Fingerprints,
    RowSum,
    printable,
)

LIST = "backup_manifest"
LOG = "pg_wal"  # which the server leaves out of the list: its records have checksums of their own


def listed(content: bytes) -> Fingerprints:
    """What the server says that it sent: one fingerprint per folder. Raises `DumpFailed`."""
    try:
        files = [
            (_name(each), int(each["Size"]), str(each["Checksum"]))
            for each in json.loads(content)["Files"]
            if not each.get("Path", "").startswith(f"{LOG}/")
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise DumpFailed(f"The server's list of files cannot be read ({error!r}).") from None
    return _summed(files)


def walked(root: Path) -> Fingerprints:
    """What lies in a folder, hashed anew. Raises `EngineFailed`."""
    return _summed(_files(root))


def _name(each: dict[str, str]) -> str:
    if "Encoded-Path" in each:
        return printable(bytes.fromhex(each["Encoded-Path"]))
    return each["Path"]


def _files(root: Path) -> Iterable[tuple[str, int, str]]:
    try:
        for folder, folders, names in os.walk(root):
            inside = os.path.relpath(folder, root)
            at = "" if inside == "." else f"{inside}/"
            if not at:
                folders[:] = [each for each in folders if each != LOG]
                names = [each for each in names if each != LIST]  # noqa: PLW2901 - of this round
            for name in names:
                with Path(folder, name).open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                    yield printable(at + name), file.tell(), digest
    except OSError as error:
        raise EngineFailed(f"{root} cannot be read: {error}") from error


def _summed(files: Iterable[tuple[str, int, str]]) -> Fingerprints:
    """By database or top folder: there may be a file for each of a million indexes."""
    sums: dict[str, RowSum] = {}
    for name, size, digest in files:
        parts = name.split("/")
        place = "/".join(parts[:2]) if parts[0] == "base" else parts[0]
        sums.setdefault(place, RowSum()).add(f"{name} {size} {digest}".encode())
    return tuple(sorted(each.named(place) for place, each in sums.items()))
