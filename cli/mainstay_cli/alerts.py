"""`mainstay alerts`: what needs people in an environment, listed, acknowledged, resolved."""

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .client import AsJson, Environment, Project, Server, Token, Url, give_up, plain, server_of

EXIT_ACTIVE = 1
MOST_PAGES = 50
PER_PAGE = "200"
AT_ONCE = 500  # as many as one request may name
# What became of an alert that was not there to act on.
OTHERWISE = {
    "already": "in somebody's hands already",
    "ended": "over already",
    "unknown": "not there any more",
}
TONES = {
    "critical": "bold red",
    "high": "red",
    "warning": "yellow",
    "medium": "yellow",
    "low": "blue",
    "info": "blue",
}

Which = Annotated[list[str], typer.Argument(help="The id of an alert, or its beginning.")]

app = typer.Typer(no_args_is_help=True, help="What needs people, and taking it in hand.")


@app.command("list")
def list_alerts(  # noqa: PLR0913 - what can be chosen
    project: Project,
    environment: Environment,
    severity: Annotated[str, typer.Option(help="Only those of this severity.")] = "",
    url: Url = "",
    token: Token = "",
    *,
    resolved: Annotated[bool, typer.Option("--resolved", help="Those that are over.")] = False,
    as_json: AsJson = False,
) -> None:
    """List active alerts. Exit code 0: there is none, 1: there are some, 2: could not ask."""
    server = server_of(url, token)
    found = _all(server, _path(server, project, environment), active=not resolved)
    found = [alert for alert in found if severity in ("", alert["severity"])]
    if as_json:
        typer.echo(json.dumps({"alerts": found}, indent=2))
    else:
        _table(found)
    if found and not resolved:
        raise typer.Exit(EXIT_ACTIVE)


@app.command("acknowledge")
def acknowledge(
    which: Which, project: Project, environment: Environment, url: Url = "", token: Token = ""
) -> None:
    """Take alerts in hand: whoever is told next knows that somebody works on them."""
    _act("acknowledge", which, project, environment, server_of(url, token))


@app.command("resolve")
def resolve(
    which: Which, project: Project, environment: Environment, url: Url = "", token: Token = ""
) -> None:
    """Say that alerts are over."""
    _act("resolve", which, project, environment, server_of(url, token))


def _act(action: str, which: list[str], project: str, environment: str, server: Server) -> None:
    path = _path(server, project, environment)
    active = _all(server, path, active=True)
    titles = {alert["id"]: alert["title"] for alert in [_one(active, each) for each in which]}
    words = {**OTHERWISE, "done": f"{action}d"}
    for some in _so_many(list(titles)):
        body = {"action": action, "alertIds": some}
        answer = server.post(f"/api/projects/{quote(project, safe='')}/alerts", body)
        for each in answer["results"]:
            typer.echo(f"{words[each['outcome']]}: {plain(titles[each['alertId']])}")


def _so_many(ids: list[str]) -> list[list[str]]:
    return [ids[first : first + AT_ONCE] for first in range(0, len(ids), AT_ONCE)]


def _one(active: list[dict[str, Any]], wanted: str) -> dict[str, Any]:
    found = [alert for alert in active if alert["id"].startswith(wanted)]
    if len(found) != 1:
        many = f"{len(found)} active alerts begin" if found else "No active alert begins"
        give_up(f"{many} with {wanted!r}; `mainstay alerts list` names them.")
    return found[0]


def _path(server: Server, project: str, environment: str) -> str:
    return f"/api/instances/{server.instance(project, environment)['id']}/alerts"


def _all(server: Server, path: str, *, active: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    for _ in range(MOST_PAGES):
        chosen = {"active": str(active).lower(), "limit": PER_PAGE}
        page = server.get(path, **(chosen | ({"cursor": cursor} if cursor else {})))
        found += page["alerts"]
        cursor = page.get("nextCursor") or ""
        if not cursor:
            break
    return found


def _table(found: list[dict[str, Any]]) -> None:
    if not found:
        typer.echo("No alert.")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("Severity", "Alert", "Since", "Times", "In whose hands", "Id"):
        table.add_column(column)
    for alert in found:
        tone = TONES.get(alert["severity"], "dim")
        table.add_row(
            f"[{tone}]{alert['severity']}[/]",
            escape(plain(alert["title"])),
            alert["createdAt"],
            str(alert["count"]),
            escape(plain(alert.get("acknowledgedBy") or "")),
            alert["id"],
        )
    Console(highlight=False).print(table)
