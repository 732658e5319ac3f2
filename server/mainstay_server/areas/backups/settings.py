"""Options of backups, for operators."""

from pathlib import Path

from pydantic import Field, SecretStr

from mainstay_server.kernel.problems import Conflict, Invalid
from mainstay_server.kernel.settings import Settings, of

# The path of a socket has at most 107 bytes; up to 62 of them are ours, below this folder.
LONGEST_BASE = 45


class BackupSettings(Settings):
    """What of this machine may be backed up and restored."""

    backup_folders: str = Field(
        "",
        description="Folders of this machine, separated by `:`, whose files every organization may"
        " back up, restore to and keep copies in; none by default.",
    )
    backups_at_once: int = Field(
        2, ge=0, le=32, description="How many backups one worker makes at once."
    )
    backup_work_folder: str = Field(
        "",
        max_length=LONGEST_BASE,
        description="Where snapshots of SQLite and Redis and scratch servers for drills lie"
        " meanwhile; by default where the system keeps what is temporary. Its path has at most 45"
        " characters, for sockets lie in it.",
    )
    backup_itself_secret: SecretStr = Field(
        SecretStr(""),
        description="Whoever knows it may have this server itself backed up, with all that it"
        " keeps of everybody; 20 characters or more, and nobody by default.",
    )
    backup_clusters: bool = Field(
        default=False,
        description="Whether whole PostgreSQL clusters may be backed up. Drills start them here, so"
        " that who administers such a cluster could run programs as the user of drills.",
    )
    backup_check_days: int = Field(
        7, ge=1, le=365, description="After how many days each copy is read and compared again."
    )


def allowed_path(path: object) -> Path:
    """The path without links in it, if it lies inside of a folder that the operator named.

    Raises `Invalid` otherwise: whoever may set up a backup could else read all files of the server.
    """
    if not isinstance(path, str) or not path.startswith("/") or "\0" in path:
        raise Invalid("The path must be absolute, such as /srv/app/data.")
    found = Path(path).resolve()
    folders = [
        Path(each).resolve() for each in of(BackupSettings).backup_folders.split(":") if each
    ]
    if not any(found.is_relative_to(folder) for folder in folders):
        raise Invalid(
            f"{path} lies in no folder that backups may use; the operator names those in"
            " MAINSTAY_BACKUP_FOLDERS.",
            code="path-not-allowed",
        )
    return found


def refuse_moved(path: Path) -> None:
    """Refuse a path that was allowed and has a link in it by now, which may lead anywhere.

    Raises `Conflict`.
    """
    if path.resolve() != path:
        raise Conflict(
            f"{path} leads elsewhere by now; name the place itself, without links.",
            code="target-moved",
        )
