"""`mainstay keys`: the API keys that a project gives to its users."""

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .client import AsJson, Environment, Project, Server, Token, Url, errors, give_up, server_of

ID_CHARACTERS = 36
MOST_LISTED = 10_000
PER_PAGE = 200
LIVING = ("active", "rotating", "disabled")
TONES = {"active": "green", "rotating": "yellow", "expired": "yellow"}

Which = Annotated[str, typer.Argument(help="Its id, its name or its last four characters.")]

app = typer.Typer(no_args_is_help=True, help="API keys that a project gives to its users.")


@app.command("list")
def list_keys(  # noqa: PLR0913 - what can be chosen
    project: Project,
    environment: Environment,
    status: Annotated[
        str, typer.Option(help="active, rotating, disabled, expired, retired or revoked.")
    ] = "",
    search: Annotated[str, typer.Option(help="In the name, the owner and the last four.")] = "",
    url: Url = "",
    token: Token = "",
    *,
    as_json: AsJson = False,
) -> None:
    """List the keys of an instance, newest first; the keys themselves are told by nobody."""
    server = server_of(url, token)
    path = _path(server, project, environment)
    found = _all(server, path, status=status, q=search)
    if as_json:
        typer.echo(json.dumps({"apiKeys": found}, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("Name", "Key", "Status", "Owner", "Scopes", "Last used", "Ends", "Id"):
        table.add_column(column, overflow="fold", no_wrap=column == "Id")
    for key in found:
        tone = TONES.get(key["status"], "dim")
        table.add_row(
            escape(key["name"]),
            f"…{key['lastFour']}",
            f"[{tone}]{key['status']}[/]",
            escape(key["owner"]),
            escape(" ".join(key["scopes"])),
            _day(key["lastUsedAt"]),
            _day(key["endsAt"]),
            key["id"],
        )
    console = Console()
    console.print(table if found else "No API key; make one with mainstay keys create.")


@app.command("create")
def create_key(  # noqa: PLR0913, PLR0917 - the fields of a key
    name: Annotated[str, typer.Argument(help="What it is for.")],
    project: Project,
    environment: Environment,
    scope: Annotated[
        list[str] | None, typer.Option(help="What it may, such as insight:read; again for more.")
    ] = None,
    owner: Annotated[str, typer.Option(help="Your customer whose key it is.")] = "",
    plan: Annotated[str, typer.Option(help="What that customer has.")] = "",
    network: Annotated[
        list[str] | None, typer.Option(help="From where it works; again for more.")
    ] = None,
    days: Annotated[int, typer.Option(help="How long it works; 0 is for good.", min=0)] = 365,
    url: Url = "",
    token: Token = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is printed this once, alone on standard output."""
    server = server_of(url, token)
    ends_at = (datetime.now(UTC) + timedelta(days=days)).isoformat() if days else None
    wanted = {
        "name": name,
        "scopes": scope or [],
        "owner": owner,
        "plan": plan,
        "networks": network or [],
        "expiresAt": ends_at,
    }
    made = server.post(_path(server, project, environment), wanted)
    _show_once(made, f"{name} works {_until(made['endsAt'])}.", as_json=as_json)


@app.command("rotate")
def rotate_key(  # noqa: PLR0913 - where, what and how long
    key: Which,
    project: Project,
    environment: Environment,
    grace_hours: Annotated[
        float, typer.Option(help="How long the old key works on; 0 ends it at once.", min=0)
    ] = 24,
    url: Url = "",
    token: Token = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Give a key a successor. The new key is printed this once, alone on standard output."""
    server = server_of(url, token)
    path = _path(server, project, environment)
    old = _find(server, path, key)
    wanted = {"keyId": old["id"], "gracePeriodHours": grace_hours}
    made = server.post(f"{path}/rotate", wanted)
    ends = _moment(made["oldKey"]["endsAt"])
    _show_once(made, f"The old key …{old['lastFour']} ends at {ends} by itself.", as_json=as_json)


@app.command("revoke")
def revoke_key(  # noqa: PLR0913 - where, what and whether it is meant
    key: Which,
    project: Project,
    environment: Environment,
    url: Url = "",
    token: Token = "",
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Stop a key everywhere within a second, for good."""
    server = server_of(url, token)
    path = _path(server, project, environment)
    found = _find(server, path, key)
    named = f"{found['name']} (…{found['lastFour']})"
    if not yes:
        if not sys.stdin.isatty():
            give_up(f"Add --yes to revoke {named}: there is nobody to ask.")
        typer.confirm(f"Revoke {named} of {project} {environment}?", abort=True, err=True)
    server.delete(f"{path}/{found['id']}")
    if as_json:
        typer.echo(json.dumps(server.get(f"{path}/{found['id']}"), indent=2))
    else:
        typer.echo(f"{named} opens nothing any more.")


def _path(server: Server, project: str, environment: str) -> str:
    return f"/api/instances/{server.instance(project, environment)['id']}/api-keys"


def _all(server: Server, path: str, **chosen: str) -> list[dict[str, Any]]:
    """The keys of all pages."""
    asked = {name: value for name, value in chosen.items() if value}
    found: list[dict[str, Any]] = []
    cursor = ""
    while len(found) < MOST_LISTED:
        page = server.get(path, limit=str(PER_PAGE), cursor=cursor, **asked)
        found += page["apiKeys"]
        cursor = page["nextCursor"] or ""
        if not cursor:
            break
    return found


def _find(server: Server, path: str, which: str) -> dict[str, Any]:
    """The one living key that is meant; when it could be another, nobody guesses."""
    if len(which) == ID_CHARACTERS:
        key: dict[str, Any] = server.get(f"{path}/{which}")
        return key
    found = [
        key
        for key in _all(server, path, q=which)
        if which in (key["name"], key["lastFour"]) and key["status"] in LIVING
    ]
    if len(found) > 1:
        ids = ", ".join(key["id"] for key in found[:5])
        give_up(f"{len(found)} keys are called {which!r}; give the id of one: {ids}.")
    if not found:
        give_up(f"No key that works is called {which!r}; see mainstay keys list.")
    return found[0]


def _show_once(made: dict[str, Any], told: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(made, indent=2))
        return
    errors.print(f"{told} Copy the new key now: it is not shown again.", highlight=False)
    typer.echo(made["key"])


def _day(moment: str | None) -> str:
    return moment[:10] if moment else "never"


def _until(moment: str | None) -> str:
    return f"until {moment[:10]}" if moment else "for good"


def _moment(moment: str) -> str:
    return f"{moment[:10]} {moment[11:16]} UTC"
