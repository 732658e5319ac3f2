"""Folders for work: scratch servers live there, and nothing is left of those that were killed."""

import hashlib
import re
import shutil
import socket
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from mainstay_server.areas.backups.settings import LONGEST_BASE, BackupSettings
from mainstay_server.kernel import leases
from mainstay_server.kernel.settings import of

PREFIX = "mainstay"
NAME = re.compile(rf"{PREFIX}-([0-9a-f]{{6}})-([0-9]+)-([0-9a-f]+)-\w+")


@contextmanager
def work_folder() -> Generator[Path]:
    """A folder that is ours alone, and gone when the block ends.

    It is named after this process, so that another one knows whether it may `sweep` it. Its name
    is short, for the paths of sockets in it may have 107 bytes: `LONGEST_BASE` is what that leaves.
    Scratch servers of other users may enter it.
    """
    owner = leases.this_process()
    prefix = f"{PREFIX}-{_host()}-{owner.process_id}-{owner.started_at_ms:x}-"
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=_base()))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep() -> list[Path]:
    """Remove the folders of processes of this machine that are dead, and end what still runs there.

    Servers end when we do; what a program of ours had started itself may not.
    """
    left = [folder for folder in _base().glob(f"{PREFIX}-*") if _is_of_the_dead(folder.name)]
    if not left:
        return []
    for process in psutil.process_iter(["cwd"]):
        where = process.info["cwd"]
        if where and any(Path(where).is_relative_to(folder) for folder in left):
            with suppress(psutil.NoSuchProcess):
                process.kill()
                process.wait(5)
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)
    return left


def _base() -> Path:
    """The operator's folder, or the system's; `/tmp` where that is named too long for sockets."""
    named = of(BackupSettings).backup_work_folder or tempfile.gettempdir()
    return Path(named if len(named) <= LONGEST_BASE else "/tmp")  # noqa: S108 - made by mkdtemp


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


def _is_of_the_dead(name: str) -> bool:
    found = NAME.fullmatch(name)
    if found is None or found.group(1) != _host():
        return False
    owner = leases.Owner(socket.gethostname(), int(found.group(2)), int(found.group(3), 16))
    return leases.is_certainly_dead(str(owner))
