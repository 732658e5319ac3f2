"""`mainstay doctor`: what is left before an instance may go live; a gate for pipelines."""

import json
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from .client import AsJson, Environment, Project, Token, Url, server_of

EXIT_NOT_READY = 1
MARKS = {
    "passed": "[green]✓[/]",
    "failed": "[red]✗[/]",
    "unknown": "[yellow]?[/]",
    "notApplicable": "[dim]–[/]",  # noqa: RUF001 - the typographic sign
}


def doctor(
    project: Project,
    environment: Environment,
    url: Url = "",
    token: Token = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Ask every readiness check. Exit code 0: ready, 1: red lines, 2: could not ask."""
    server = server_of(url, token)
    instance = server.instance(project, environment)
    card = server.get(f"/api/instances/{instance['id']}/scorecard")
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
