"""Copying: all tables of the embedded engine as files of one moment, for whoever backs them up."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .layouts import quoted
from .store import open_engine_now

SHADOW = "shadow"
LEFT_OUT = frozenset({SHADOW, "tmp", "status", "user_defined", "flags"})
STORE = "store"
DEPTH_OF_A_TABLE = 3  # store/1dc/1dc8a42a-…
TABLES = """
SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'
ORDER BY name
"""


@dataclass(frozen=True)
class HeldFiles:
    """The engine's folder without the rows, and beside it the rows as they were at one moment."""

    folder: Path
    frozen: Path

    def __iter__(self) -> Iterator[tuple[str, Path]]:
        """Every file and link by its name in a folder that the engine opens, in order."""
        yield from _files(self.folder, leaves_rows=True)
        yield from _files(self.frozen, leaves_rows=False)


@contextmanager
def held_files(name: str) -> Iterator[HeldFiles | None]:
    """Keep what is stored now readable as files until the block ends, while rows go on arriving.

    They are hard links, so they take no room but what is deleted meanwhile. Tables are held one
    after the other, within some milliseconds. None where a server keeps the columns: it has
    backups of its own. `name` has letters and digits alone, and nobody else uses it meanwhile.
    """
    engine = open_engine_now()
    if engine.folder is None:
        yield None
        return
    assert name.isalnum(), "the engine would spell it otherwise on the disk"
    frozen = engine.folder / SHADOW / name
    try:
        for row in engine.rows(TABLES, {}):
            table = "`{}`".format(str(row["name"]).replace("`", "\\`"))
            engine.command(f"ALTER TABLE {table} FREEZE WITH NAME {quoted(name)}")
        yield HeldFiles(engine.folder, frozen)
    finally:
        shutil.rmtree(frozen, ignore_errors=True)


def tables_in(folder: Path) -> dict[str, str]:
    """The tables of an engine's folder: by the name of what holds their rows, their own name."""
    found = {}
    for link in (folder / "data").glob("*/*"):
        if link.is_symlink():
            found[link.readlink().name] = link.name
    return found


def _files(root: Path, *, leaves_rows: bool) -> Iterator[tuple[str, Path]]:
    for place, folders, files in os.walk(root):
        inside = Path(place).relative_to(root)
        links = [each for each in folders if (Path(place) / each).is_symlink()]
        if leaves_rows and not inside.parts:
            folders[:] = [each for each in folders if each not in LEFT_OUT]
        if leaves_rows and inside.parts[:1] == (STORE,) and len(inside.parts) == DEPTH_OF_A_TABLE:
            folders.clear()
        folders.sort()
        for each in sorted({*files, *links} - (set() if inside.parts else LEFT_OUT)):
            yield str(inside / each), Path(place) / each
