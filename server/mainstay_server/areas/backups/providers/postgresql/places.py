"""Where whole clusters and their log come back to: a new folder that the operator allows."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mainstay_server.areas.backups.schemas import EngineFailed, Versions
from mainstay_server.areas.backups.settings import allowed_path, refuse_moved
from mainstay_server.kernel.problems import Conflict, Invalid
from mainstay_server.kernel.programs import ProgramFailed, told_by

from .connecting import PROGRAM_FOLDERS, major, program

PLAIN = re.compile(r"[\w./-]+")  # what a restore_command names needs no quotes


def checked_folder(config: Mapping[str, Any]) -> Path:
    """The `path` of a folder to restore into. Raises `Invalid`."""
    path = allowed_path(config.get("path"))
    if not PLAIN.fullmatch(str(path)):
        raise Invalid("The path must be made of letters, digits, dots, dashes and slashes.")
    return path


def refuse_filled(config: Mapping[str, Any]) -> None:
    """Refuse what is no new or empty folder. Raises `Conflict`."""
    if "path" not in config:
        raise Conflict(
            "It is not restored over a server that runs; name a new folder as the path of the"
            " restore, and start PostgreSQL on that.",
            code="target-is-a-server",
        )
    path = Path(config["path"])
    refuse_moved(path)
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise Conflict(
            f"{path} is not empty; restore into another folder.", code="target-has-files"
        )


def keep_filled(config: Mapping[str, Any]) -> None:
    """Nothing is ever removed: a restore makes a new folder. Raises `EngineFailed`."""
    raise EngineFailed(f"{config.get('path', 'The server')} is not emptied; name a new folder.")


def of_version(name: str, versions: Versions) -> str:
    """A program of the very major version, which alone reads the files. Raises `Conflict`."""
    wanted = major(versions.server)
    path = PROGRAM_FOLDERS / str(wanted) / "bin" / name
    if path.exists():
        return str(path)
    try:
        there = program(name)
        if f" {wanted}." in told_by([there, "--version"]):
            return there
    except ProgramFailed as error:
        raise Conflict(str(error)) from None
    raise Conflict(
        f"Only {name} of PostgreSQL {wanted} reads these files, and it is not on this machine;"
        f" install it (Debian's package: postgresql-{wanted}).",
        code="tools-missing",
    )
