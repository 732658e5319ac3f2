"""Does a data dir open: the database is sound, and the column engine puts nothing aside."""

import json
import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from mainstay_server.areas.backups.schemas import RestoreFailed
from mainstay_server.kernel.programs import ProgramFailed, told_by

from .packing import COLUMNS, DATABASE

SOURCES = Path(__file__).parents[5]
PROGRAM = "mainstay_server.kernel.columns.trying"


def refuse_unusable(root: Path, *, folder: Path) -> None:
    """Raise `RestoreFailed` for what does not open; nothing in `root` is changed.

    The column engine writes as soon as it opens, so it is given a tree of hard links.
    """
    try:
        with closing(
            sqlite3.connect(f"file:{root / DATABASE}?mode=ro&immutable=1", uri=True)
        ) as it:
            (verdict,) = it.execute("PRAGMA quick_check(1)").fetchone()
            migrated = it.execute("SELECT count(*) FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise RestoreFailed(f"The database does not open: {error}") from None
    if verdict != "ok" or not migrated[0]:
        raise RestoreFailed(f"The database is broken: {verdict}")
    if (root / COLUMNS).exists():
        _refuse_broken_columns(root / COLUMNS, folder=folder)


def _refuse_broken_columns(columns: Path, *, folder: Path) -> None:
    linked = folder / "tried"
    try:
        shutil.copytree(columns, linked, symlinks=True, copy_function=os.link)
        told = told_by(
            [sys.executable, "-P", "-m", PROGRAM, str(linked)],
            environment={"PYTHONPATH": str(SOURCES)},
        )
        broken = int(json.loads(told.strip().splitlines()[-1])["broken"])
    except (ProgramFailed, ValueError, KeyError, IndexError) as error:
        raise RestoreFailed(f"The columns do not open: {error}") from None
    finally:
        shutil.rmtree(linked, ignore_errors=True)
    if broken:
        raise RestoreFailed(f"The column engine put {broken} parts aside as broken.")
