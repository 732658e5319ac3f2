"""`mainstay link`: which project a folder belongs to, found upwards as git finds its own.

The file holds no secret and no address. A folder that came from elsewhere may have one, and must
not be able to say where an access token is sent.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tomllib
import typer

NAME = ".mainstay.toml"
LARGEST_BYTES = 1 << 16
PRODUCTION = "production"
SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,99}")


@dataclass(frozen=True)
class Link:
    """What a link says, and the file that says it."""

    file: Path
    project: str
    environment: str
    folder: str


def linked(start: Path | None = None) -> Link | None:
    """The nearest link of a folder or one that it lies in; None without one."""
    begin = (start or Path.cwd()).resolve()
    for folder in (begin, *begin.parents):
        file = folder / NAME
        if file.is_file():
            return _read(file)
    return None


def write(folder: Path, *, project: str, environment: str, name: str) -> Path:
    """Tie a folder to a project, in place of what was there."""
    file = folder / NAME
    lines = [
        "# Ties this folder to a project of Mainstay. It holds no secret.",
        f'project = "{project}"',
    ]
    lines.append(f'environment = "{environment}"')
    if name:
        lines.append(f'folder = "{name}"')
    file.write_text("\n".join(lines) + "\n")
    return file


def linked_project() -> str:
    """The project of the link, for verbs that were told none."""
    link = linked()
    if "_MAINSTAY_COMPLETE" in os.environ:  # a shell that asks what may follow knows none yet
        return link.project if link else ""
    if link is None or not link.project:
        raise typer.BadParameter(
            "name the project's slug, or tie this folder to it once: mainstay link SLUG"
        )
    return link.project


def linked_environment() -> str:
    """The environment of the link, or production."""
    link = linked()
    return link.environment if link else PRODUCTION


Project = Annotated[
    str,
    typer.Option(
        help="The project's slug; else that of `mainstay link`.",
        default_factory=linked_project,
        show_default=False,
    ),
]
Environment = Annotated[
    str,
    typer.Option(
        help="Which instance; else that of `mainstay link`, or production.",
        default_factory=linked_environment,
        show_default=False,
    ),
]


def _read(file: Path) -> Link:
    try:
        told = tomllib.loads(file.read_bytes()[:LARGEST_BYTES].decode())
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{file} cannot be read: {error}") from error

    def word(name: str, usual: str = "") -> str:
        value = told.get(name, usual)
        if value and not (isinstance(value, str) and SAFE.fullmatch(value)):
            raise typer.BadParameter(f"{file}: {name} is no name")
        return str(value)

    return Link(file, word("project"), word("environment", PRODUCTION), word("folder"))
