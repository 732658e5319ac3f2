"""`mainstay backup`: make backups, prove them, read them, and clear away what retention lets go."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .backup_places import Instance, backup_of, every, instance_of, target_of, targets_of
from .backup_watching import wait_for
from .backup_words import (
    show_backup,
    show_backups,
    show_drill,
    show_preview,
    show_targets,
)
from .client import AsJson, Environment, Project, Token, Url, errors, give_up

Json = dict[str, Any]

EXIT_NOT_WELL = 1
WELL = ("succeeded", "passed")
EXPORTS = ("export",)
NO_DATABASES = ("files", *EXPORTS)
NOTHING = "Nothing of that kind is backed up here; see mainstay backup targets."

Target = Annotated[str, typer.Option(help="A target's name or id; without it all of them.")]
Wait = Annotated[bool, typer.Option("--wait", help="Stay until it ends, and show how far it is.")]
Yes = Annotated[bool, typer.Option("--yes", help="Ask nothing.")]
Which = Annotated[
    str, typer.Argument(help="A backup's id; or latest, or latest-verified, of --target.")
]

app = typer.Typer(
    no_args_is_help=True,
    help="Backups that are known to restore. Exit codes: 0 well, 1 not well, 2 refused.",
)


@app.command("full")
def back_up_all(
    project: Project,
    environment: Environment,
    url: Url = "",
    token: Token = "",
    *,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Back up everything of an instance now: databases, exports and files."""
    instance = instance_of(url, token, project, environment)
    _start(instance, targets_of(instance), wait=wait, as_json=as_json)


@app.command("database")
def back_up_databases(
    project: Project,
    environment: Environment,
    url: Url = "",
    token: Token = "",
    *,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Back up the databases of an instance now, and neither exports nor files."""
    instance = instance_of(url, token, project, environment)
    chosen = [each for each in targets_of(instance) if each["engine"] not in NO_DATABASES]
    _start(instance, chosen, wait=wait, as_json=as_json)


@app.command("export")
def back_up_exports(
    project: Project,
    environment: Environment,
    url: Url = "",
    token: Token = "",
    *,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Export chosen tables as JSON now, and nothing else."""
    instance = instance_of(url, token, project, environment)
    chosen = [each for each in targets_of(instance) if each["engine"] in EXPORTS]
    _start(instance, chosen, wait=wait, as_json=as_json)


@app.command("run")
def back_up(  # noqa: PLR0913 - where, and what
    target: Annotated[str, typer.Argument(help="The target's name or id.")],
    project: Project,
    environment: Environment,
    url: Url = "",
    token: Token = "",
    *,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Back up one target now."""
    instance = instance_of(url, token, project, environment)
    _start(instance, [target_of(instance, target)], wait=wait, as_json=as_json)


@app.command("cleanup")
def clean_up(  # noqa: PLR0913 - where, and what
    project: Project,
    environment: Environment,
    target: Target = "",
    url: Url = "",
    token: Token = "",
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Remove what retention lets go, and never the newest backup nor the newest proven one."""
    instance = instance_of(url, token, project, environment)
    chosen = [target_of(instance, target)] if target else targets_of(instance)
    told = {}
    for each in chosen:
        path = f"/api/backup-targets/{each['id']}"
        preview = instance.server.get(f"{path}/retention")["backups"]
        going = [one for one in preview if not one["reasons"]]
        if going and not dry_run:
            _confirm(f"Remove {len(going)} of {len(preview)} backups of {each['name']}?", yes=yes)
            preview = instance.server.post(f"{path}/cleanup", {})["backups"]
        told[each["id"]] = preview
        if not as_json:
            errors.print(f"{each['name']}:", highlight=False, markup=False)
            show_preview(preview, done=not dry_run)
    if as_json:
        typer.echo(json.dumps({"dryRun": dry_run, "targets": told}, indent=2))


@app.command("targets")
def list_targets(
    project: Project,
    environment: Environment,
    url: Url = "",
    token: Token = "",
    *,
    as_json: AsJson = False,
) -> None:
    """List what is backed up, how the last backup went, and when the last one was proven."""
    found = targets_of(instance_of(url, token, project, environment))
    if as_json:
        typer.echo(json.dumps({"backupTargets": found}, indent=2))
    else:
        show_targets(found)


@app.command("list")
def list_backups(  # noqa: PLR0913 - where, and what
    project: Project,
    environment: Environment,
    target: Target = "",
    url: Url = "",
    token: Token = "",
    *,
    limit: Annotated[int, typer.Option(help="How many of each target.", min=1, max=10_000)] = 20,
    as_json: AsJson = False,
) -> None:
    """List backups, newest first."""
    instance = instance_of(url, token, project, environment)
    chosen = [target_of(instance, target)] if target else targets_of(instance)
    found = [
        backup
        for each in chosen
        for backup in every(
            instance.server, f"/api/backup-targets/{each['id']}/backups", "backups", most=limit
        )
    ]
    found.sort(key=lambda backup: str(backup["queuedAt"]), reverse=True)
    if as_json:
        typer.echo(json.dumps({"backups": found}, indent=2))
    else:
        show_backups(found)


@app.command("show")
def show(  # noqa: PLR0913 - where, and what
    backup: Which,
    project: Project,
    environment: Environment,
    target: Target = "",
    url: Url = "",
    token: Token = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Tell everything about one backup: its copies, what was noticed, what was wrong."""
    instance = instance_of(url, token, project, environment)
    found = backup_of(instance, backup, target, may_be_under_way=True)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        show_backup(found)


@app.command("watch")
def watch(  # noqa: PLR0913 - where, and what
    backup: Which,
    project: Project,
    environment: Environment,
    target: Target = "",
    url: Url = "",
    token: Token = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Stay until a backup ends, and show how far it is."""
    instance = instance_of(url, token, project, environment)
    found = backup_of(instance, backup, target, may_be_under_way=True)
    _finish([_watched(instance, found)], as_json=as_json)


@app.command("cancel")
def cancel(
    backup: Which,
    project: Project,
    environment: Environment,
    target: Target = "",
    url: Url = "",
    token: Token = "",
) -> None:
    """Stop a backup that runs; nothing of it stays at any destination."""
    instance = instance_of(url, token, project, environment)
    found = backup_of(instance, backup, target, may_be_under_way=True)
    instance.server.post(f"/api/backups/{found['id']}/cancel", {})
    typer.echo(f"{found['id']} is being stopped.")


@app.command("drill")
def drill(  # noqa: PLR0913 - where, and what
    backup: Which,
    project: Project,
    environment: Environment,
    target: Target = "",
    url: Url = "",
    token: Token = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Restore a backup into a scratch server, compare every table, and say what differs."""
    instance = instance_of(url, token, project, environment)
    found = backup_of(instance, backup, target)
    path = f"/api/backups/{found['id']}/drills"
    asked = instance.server.post(path, {})

    def ask() -> Json:
        return instance.server.follow(f"{path}/{asked['id']}")  # type: ignore[no-any-return] # JSON

    ended = wait_for(ask, label="Drill", how_to_stop="See mainstay backup show.")
    if as_json:
        typer.echo(json.dumps(ended, indent=2))
    else:
        show_drill(ended)
    _exit_unless_well([ended])


@app.command("verify")
def verify(  # noqa: PLR0913 - where, and what
    backup: Which,
    project: Project,
    environment: Environment,
    target: Target = "",
    url: Url = "",
    token: Token = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Read every copy of a backup whole, and compare it with its signed manifest."""
    instance = instance_of(url, token, project, environment)
    found = backup_of(instance, backup, target)
    path = f"/api/backups/{found['id']}"
    instance.server.post(f"{path}/verify", {})

    def ask() -> Json:
        told: Json = instance.server.follow(path)
        waiting = any(copy["checkedAt"] is None for copy in told["copies"] if _is_there(copy))
        return told | {"status": "running" if waiting else told["status"], "step": "checking"}

    ended = wait_for(ask, label="Copies", how_to_stop="See mainstay backup show.")
    ended.pop("step")
    if as_json:
        typer.echo(json.dumps(ended, indent=2))
    else:
        show_backup(ended)
    # Of a copy that could not be reached there is a reason and no fault.
    if any(copy["fault"] or copy["reason"] for copy in ended["copies"] if _is_there(copy)):
        raise typer.Exit(EXIT_NOT_WELL)


@app.command("sheet")
def save_sheet(  # noqa: PLR0913, PLR0917 - where, what and how
    backup: Which,
    project: Project,
    environment: Environment,
    target: Target = "",
    out: Annotated[Path | None, typer.Option(help="A file; standard output without it.")] = None,
    url: Url = "",
    token: Token = "",
    *,
    as_html: Annotated[bool, typer.Option("--html", help="A page to print.")] = False,
) -> None:
    """Give the recovery sheet: how to restore this backup without Mainstay."""
    instance = instance_of(url, token, project, environment)
    found = backup_of(instance, backup, target)
    path = f"/api/backups/{found['id']}/recovery-sheet"
    sheet = instance.server.download(path, format="html" if as_html else "text")
    if out is None:
        typer.echo(sheet.decode())
        return
    out.write_bytes(sheet)
    typer.echo(f"{out}: print it, and keep it where the secret key is not.", err=True)


def _is_there(copy: Json) -> bool:
    return copy["status"] in {"stored", "locked"}


def _start(instance: Instance, targets: list[Json], *, wait: bool, as_json: bool) -> None:
    """Ask for a backup of each, and see them through when that is wanted."""
    if not targets:
        give_up(NOTHING)
    started = [
        instance.server.post(f"/api/backup-targets/{each['id']}/backups", {}) for each in targets
    ]
    if wait:
        _finish([_watched(instance, each) for each in started], as_json=as_json)
    elif as_json:
        typer.echo(json.dumps({"backups": started}, indent=2))
    else:
        for each in started:
            typer.echo(f"{each['id']}  {each['targetName']}  {each['status']}")


def _watched(instance: Instance, backup: Json) -> Json:
    path = f"/api/backups/{backup['id']}"

    def ask() -> Json:
        return instance.server.follow(path)  # type: ignore[no-any-return] # JSON

    stop = f"Stop it with mainstay backup cancel {backup['id']} --project {instance.project}."
    return wait_for(ask, label=backup["targetName"], how_to_stop=stop)


def _finish(backups: list[Json], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"backups": backups}, indent=2))
    else:
        show_backups(backups)
        for each in backups:
            if each["reason"]:
                told = f"{each['targetName']}: {each['reason']}"
                errors.print(told, highlight=False, markup=False)
    _exit_unless_well(backups)


def _exit_unless_well(ended: list[Json]) -> None:
    if any(each["status"] not in WELL for each in ended):
        raise typer.Exit(EXIT_NOT_WELL)


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        give_up("Add --yes: there is nobody to ask.")
    typer.confirm(question, abort=True, err=True)
