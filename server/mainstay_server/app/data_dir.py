"""The folder of the embedded stores: there, writable, and for nobody else to read."""

import logging
import os
import stat
from pathlib import Path

from mainstay_server.kernel.settings import ServerSettings, UnsafeSetting, secret_key

log = logging.getLogger(__name__)

OURS = ("secret_key", "mainstay.db", "mainstay.db-wal", "mainstay.db-shm", "columns", "blobs")
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def open_data_dir(server: ServerSettings) -> None:
    """Make the folder and the secret key in it, if they are not there, for their owner only.

    Older folders and keys are made so too.

    Raises:
        UnsafeSetting: it cannot be made, read or written.
    """
    folder = server.data_dir
    try:
        folder.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
        secret_key()
        make_private(folder)
    except OSError as error:
        raise UnsafeSetting(
            f"MAINSTAY_DATA_DIR: {folder} cannot be made, read or written"
            f" ({error.strerror}); choose another one, or mend that."
        ) from error


def make_private(folder: Path) -> None:
    """Take from others what an older version, or whoever made the folder, let them read.

    Only what belongs to this process's user is changed, and of the folder's content only what is
    ours by name. A folder that many share on purpose (`/tmp`) is left as it is.
    """
    found = [folder / name for name in OURS]
    if not folder.stat().st_mode & stat.S_ISVTX:
        found.insert(0, folder)
    for path in found:
        try:
            mode = path.lstat()
        except FileNotFoundError:
            continue
        if mode.st_uid != os.geteuid() or stat.S_ISLNK(mode.st_mode) or not mode.st_mode & OTHERS:
            continue
        try:
            path.chmod(stat.S_IMODE(mode.st_mode) & ~OTHERS)
        except OSError as error:  # a file system without modes
            log.warning("%s may be read by other users: %s", path, error.strerror)
        else:
            log.warning("%s could be read by other users; now only by its owner", path)
