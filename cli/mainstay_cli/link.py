"""`mainstay link`: tie a folder to a project, so that other verbs need not be told."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .client import AsJson, Token, Url, give_up, server_of
from .linking import NAME, PRODUCTION, SAFE, linked, write


def link(  # noqa: PLR0913 - what it is tied to, and how
    project: Annotated[str, typer.Argument(help="The project's slug.")] = "",
    environment: Annotated[str, typer.Option(help="Which instance.")] = PRODUCTION,
    folder: Annotated[str, typer.Option(help="Its name as a synced folder.")] = "",
    directory: Annotated[
        Path,
        typer.Option("--dir", help="Which folder; else this one.", exists=True, file_okay=False),
    ] = Path(),
    url: Url = "",
    token: Token = "",
    *,
    show: Annotated[bool, typer.Option("--show", help="Say what it is tied to.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Tie it to nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tie a folder to a project: verbs that are used in it, or below it, need no --project.

    Writes `.mainstay.toml`, which holds no secret and may be committed. Exit code 2: refused.
    """
    if show or remove or not project:
        _show_or_remove(directory, remove=remove, as_json=as_json)
        return
    for word in (project, environment, folder):
        if word and not SAFE.fullmatch(word):
            give_up(f"{word!r} is no name.")
    server_of(url, token).instance(project, environment)
    file = write(directory, project=project, environment=environment, name=folder)
    if as_json:
        typer.echo(json.dumps({"project": project, "environment": environment, "folder": folder}))
    else:
        typer.echo(f"{file.parent.resolve()} belongs to {project} {environment} now.")


def _show_or_remove(directory: Path, *, remove: bool, as_json: bool) -> None:
    found = linked(directory)
    if found is None:
        give_up("This folder is tied to no project; tie it with: mainstay link SLUG")
    if remove:
        if found.file.parent != directory.resolve():
            give_up(f"The link is in {found.file.parent}; remove it there.")
        (directory / NAME).unlink()
        typer.echo(f"{directory.resolve()} is tied to nothing now.")
        return
    told = {
        "project": found.project,
        "environment": found.environment,
        "folder": found.folder,
        "file": str(found.file),
    }
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    where = f", folder {found.folder}" if found.folder else ""
    typer.echo(f"{found.project} {found.environment}{where} ({found.file})")
