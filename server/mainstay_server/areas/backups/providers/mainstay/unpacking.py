"""Unpack the archive of a data dir into an empty folder, without ever leaving it."""

import os
import re
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from mainstay_server.areas.backups.schemas import RestoreFailed, Watched, printable

from .packing import COLUMNS, DATABASE, OBJECTS, SECRET_KEY

CHUNK_BYTES = 1 << 20
END_BYTES = 2 * tarfile.BLOCKSIZE
TOPS = frozenset({DATABASE, SECRET_KEY, COLUMNS, OBJECTS})
LINKS = re.compile(r"(\.\./){1,2}store/[0-9a-f]{3}/[0-9a-f-]{36}/?")


def unpack(stream: BinaryIO, root: Path) -> None:
    """Write every entry; raises `RestoreFailed` at the first that is not as we pack them."""
    watched = Watched(stream)
    try:
        with tarfile.open(
            fileobj=cast("BinaryIO", watched), mode="r|", bufsize=CHUNK_BYTES, encoding="utf-8"
        ) as archive:
            while (entry := archive.next()) is not None:
                _write(archive, entry, root)
                archive.members.clear()  # type: ignore[attr-defined]  # it would keep all
        size = watched.drain()
    except (OSError, tarfile.TarError) as error:
        raise RestoreFailed(f"{root} could not be filled: {error}") from error
    if size - archive.offset < END_BYTES or size % tarfile.BLOCKSIZE:
        raise RestoreFailed("The archive was cut: its end is missing.")


def _write(archive: tarfile.TarFile, entry: tarfile.TarInfo, root: Path) -> None:
    parts = PurePosixPath(entry.name).parts
    if not parts or parts[0] not in TOPS or ".." in parts:
        raise RestoreFailed(f"{printable(entry.name)} belongs to no data dir.")
    path = root / entry.name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.parent.resolve() != path.parent:
        raise RestoreFailed(f"{printable(entry.name)} leads out of the folder.")
    if entry.issym():
        if parts[0] != COLUMNS or not LINKS.fullmatch(entry.linkname):
            raise RestoreFailed(f"{printable(entry.name)} leads out of the folder.")
        path.symlink_to(entry.linkname)
        return
    content = archive.extractfile(entry)
    if content is None:
        raise RestoreFailed(f"{printable(entry.name)} is no file.")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        shutil.copyfileobj(content, file, CHUNK_BYTES)
        if file.tell() != entry.size:
            raise RestoreFailed(f"{printable(entry.name)} was cut.")
