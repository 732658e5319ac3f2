"""`mainstay restore`: fill a target from a backup, after what could go wrong was asked."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.prompt import IntPrompt, Prompt

from .backup import EXIT_NOT_WELL, Target, Yes
from .backup_places import (
    Instance,
    backup_of,
    every,
    instance_of,
    is_restorable,
    only_target,
    target_of,
    targets_of,
)
from .backup_watching import wait_for
from .backup_words import moment, show_differences, show_targets, size, status
from .client import AsJson, Environment, Project, Token, Url, errors, give_up

Json = dict[str, Any]

MOST_OFFERED = 10
MOST_LOOKED_AT = 50

To = Annotated[
    str,
    typer.Option(
        "--to",
        help="Where to, as JSON of the engine's settings (@FILE reads it); its own target without.",
    ),
]


def restore(  # noqa: PLR0913, PLR0917 - where from, where to, and how it is meant
    project: Project,
    environment: Environment,
    backup: Annotated[
        str, typer.Argument(help="A backup's id, latest or latest-verified; without it you choose.")
    ] = "",
    target: Target = "",
    to: To = "",
    url: Url = "",
    token: Token = "",
    *,
    safety_copy: Annotated[
        bool, typer.Option(help="Back up what is there before it is overwritten.")
    ] = True,
    key_file: Annotated[
        Path | None, typer.Option(help="A file with the secret age key that opens the backup.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="What is there may be removed; with --yes.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Stay until it ends.")] = True,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Restore a backup. In a terminal it asks step by step; scripts say --yes and everything else.

    Exit codes: 0 restored and compared, 1 not well, 2 refused.
    """
    instance = instance_of(url, token, project, environment)
    asks = sys.stdin.isatty() and not yes
    if not asks and not (yes and backup):
        give_up("Say which backup and --yes, or run this in a terminal to be asked.")
    body = _wish(to, key_file, safety_copy=safety_copy)
    chosen = backup_of(instance, backup, target) if backup else _choose(instance, target)
    path = f"/api/backups/{chosen['id']}/restores"
    body["confirm"] = _looked(instance, chosen, path, body, asks=asks, overwrite=overwrite)
    started = instance.server.post(path, body)

    def ask() -> Json:
        return instance.server.follow(f"{path}/{started['id']}")  # type: ignore[no-any-return] # JSON

    if wait:
        hint = "See the page Backups for how it ends."
        started = wait_for(ask, label=f"Restoring {chosen['targetName']}", how_to_stop=hint)
    _tell(started, as_json=as_json)
    if wait and started["status"] != "succeeded":
        raise typer.Exit(EXIT_NOT_WELL)


def _choose(instance: Instance, target: str) -> Json:
    """Let a person choose the target, then the backup; the newest proven one is suggested."""
    targets = targets_of(instance)
    if not target and len(targets) > 1:
        show_targets(targets)
        names = [each["name"] for each in targets]
        target = Prompt.ask("Which target", choices=names, console=errors)
    meant = target_of(instance, target) if target else only_target(instance)
    path = f"/api/backup-targets/{meant['id']}/backups"
    found = every(instance.server, path, "backups", most=MOST_LOOKED_AT)
    offered = [each for each in found if is_restorable(each)][:MOST_OFFERED]
    if not offered:
        give_up(f"{meant['name']} has no backup yet; see mainstay backup list.")
    for number, each in enumerate(offered, 1):
        proven = f"proven {moment(each['verifiedAt'])}" if each["verifiedAt"] else "not proven"
        told = f"{moment(each['finishedAt'])}  {size(each['sealedBytes'])}  {proven}"
        errors.print(f"{number:>3}  {status(each['status'])}  {told}", highlight=False)
    proven_ones = [number for number, each in enumerate(offered, 1) if each["verifiedAt"]]
    number = IntPrompt.ask(
        "Which backup",
        default=proven_ones[0] if proven_ones else 1,
        choices=[str(each) for each in range(1, len(offered) + 1)],
        console=errors,
    )
    return offered[number - 1]


def _looked(
    instance: Instance, backup: Json, path: str, body: Json, *, asks: bool, overwrite: bool
) -> str:
    """Ask both sides before a byte is moved; returns what confirms that something is removed."""
    asked = {"config": body["config"]} if "config" in body else {}
    seen = instance.server.post(f"{path}/check", asked)
    if seen["problem"]:
        give_up(seen["problem"])
    name: str = seen["to"] if asked else backup["targetName"]
    if not asks:
        if not seen["empty"] and not overwrite:
            give_up(f"{seen['to']} is not empty; add --overwrite to have removed what is there.")
        return "" if seen["empty"] else name
    told = (
        ("From", f"{backup['targetName']}, {moment(backup['finishedAt'])}"),
        ("", f"made of {seen['backupServer']}"),
        ("Into", seen["to"]),
        ("", f"which runs {seen['server']}"),
    )
    for title, text in told:
        errors.print(f"{title:<5} {text}", highlight=False, markup=False)
    if seen["empty"]:
        typer.confirm("Restore it?", abort=True, err=True)
        return ""
    is_safe = body["safetyCopy"] and not asked
    first = "backed up and then removed." if is_safe else "[red]removed, without a backup of it.[/]"
    errors.print(f"What is there now is {first}", highlight=False)
    return str(Prompt.ask(f"Type {escape(name)} to restore it", console=errors))


def _wish(to: str, key_file: Path | None, *, safety_copy: bool) -> Json:
    """What is asked of the server, before anybody confirmed it."""
    body: Json = {"safetyCopy": safety_copy}
    if to:
        body["config"] = _config_of(to)
    if key_file is not None:
        body["identity"] = _key_of(key_file)
    return body


def _config_of(to: str) -> Json:
    try:
        text = Path(to[1:]).read_text(encoding="utf-8") if to.startswith("@") else to
        found = json.loads(text)
    except (OSError, ValueError) as error:
        give_up(f"--to is no JSON: {error}")
    if not isinstance(found, dict):
        give_up('--to is a JSON object, such as {"path": "/srv/app/restored"}.')
    return found


def _key_of(path: Path) -> str:
    """The secret key in a file as age-keygen writes it: comments, and a line with the key."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        give_up(f"The key cannot be read: {error}")
    keys = [line.strip() for line in lines if line.strip().startswith("AGE-SECRET-KEY-")]
    if len(keys) != 1:
        give_up(f"{path} holds {len(keys)} secret keys of age; it must be one.")
    return keys[0]


def _tell(ended: Json, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(ended, indent=2))
        return
    console = Console()
    console.print(f"Restore {status(ended['status'])}. {escape(ended['reason'])}".rstrip())
    show_differences(ended["differences"], console=console)
    if ended["safetyBackupId"]:
        console.print(f"What was there before is in backup {ended['safetyBackupId']}.")
