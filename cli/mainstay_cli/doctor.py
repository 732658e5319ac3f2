"""`mainstay doctor`: what is left before an instance may go live; a gate for pipelines."""

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table

from .client import give_up, server_of

EXIT_NOT_READY = 1
MARKS = {
    "passed": "[green]✓[/]",
    "failed": "[red]✗[/]",
    "unknown": "[yellow]?[/]",
    "notApplicable": "[dim]–[/]",  # noqa: RUF001 - the typographic sign
}


def doctor(
    project: Annotated[str, typer.Option(help="The project's slug.")],
    environment: Annotated[str, typer.Option(help="Which instance.")] = "production",
    url: Annotated[str, typer.Option(help="The server; MAINSTAY_URL.")] = "",
    token: Annotated[str, typer.Option(help="An access token; MAINSTAY_TOKEN.")] = "",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Ask every readiness check. Exit code 0: ready, 1: red lines, 2: could not ask."""
    server = server_of(url, token)
    instances = server.get(f"/api/projects/{quote(project, safe='')}")["instances"]
    chosen = [one for one in instances if one["environment"] == environment]
    if not chosen:
        known = ", ".join(one["environment"] for one in instances)
        give_up(f"{project} has no environment {environment!r}; it has {known}.")
    card = server.get(f"/api/instances/{chosen[0]['id']}/scorecard")
    if as_json:
        typer.echo(json.dumps(card, indent=2))
    else:
        _show(card, title=f"{project} {environment}")
    if not card["ready"]:
        raise typer.Exit(EXIT_NOT_READY)


def _show(card: dict[str, Any], *, title: str) -> None:
    table = Table(title=title, show_header=False, box=None, pad_edge=False, title_justify="left")
    for check in card["checks"]:
        answer = check["evidence"] + (f"\n[bold]→ {check['fix']}[/]" if check["fix"] else "")
        table.add_row(MARKS[check["status"]], check["question"], answer)
    console = Console()
    console.print(table)
    verdict = "[green]Ready.[/]" if card["ready"] else "[red]Not ready yet.[/]"
    console.print(f"{verdict} {card['passed']} of {card['asked']} answered well.")
