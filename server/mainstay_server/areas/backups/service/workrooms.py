"""Workrooms: a folder of our own for as long as a run takes, which scratch servers can enter."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mainstay_server.areas.backups.settings import BackupSettings
from mainstay_server.kernel.settings import of

MODE = 0o711  # servers of other users may go through it, and see nothing


@contextmanager
def workroom(run_id: str) -> Iterator[Path]:
    """An empty folder, gone when the block ends; `clear` removes what a killed process left."""
    folder = _folder(run_id)
    folder.mkdir(mode=MODE, parents=True)
    folder.chmod(MODE)
    try:
        yield folder
    finally:
        clear(run_id)


def clear(run_id: str) -> None:
    """Remove the folder of a run that has ended, if this machine has it."""
    shutil.rmtree(_folder(run_id), ignore_errors=True)


def _folder(run_id: str) -> Path:
    root = of(BackupSettings).backup_work_folder or tempfile.gettempdir()
    return Path(root) / f"mainstay-backup-{run_id}"
