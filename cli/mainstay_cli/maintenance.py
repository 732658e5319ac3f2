"""`mainstay maintenance`: hold alerts back while somebody works, and say so, from a pipeline."""

import json
import re
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .client import AsJson, Project, Token, Url, give_up, plain, server_of

UNITS = {"d": 1440, "h": 60, "m": 1}
LENGTH = re.compile(r"(?:\d{1,5}\s*[dhm]\s*)+")
PART = re.compile(r"(\d{1,5})\s*([dhm])")
MOST_LISTED = 200

Environments = Annotated[
    list[str] | None, typer.Option("--environment", help="Only this instance; repeatable.")
]

app = typer.Typer(no_args_is_help=True, help="Windows in which alerts are held back.")


@app.command("start")
def start(  # noqa: PLR0913, PLR0917 - what it covers and how long
    project: Project,
    length: Annotated[str, typer.Option("--for", help="How long: 30m, 2h, 1d 6h.")] = "30m",
    name: Annotated[str, typer.Option(help="What for.")] = "Maintenance",
    tag: Annotated[
        list[str] | None, typer.Option(help="Only what bears this tag; repeatable.")
    ] = None,
    environment: Environments = None,
    url: Url = "",
    token: Token = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Begin a window now; it ends by itself, or by `end`. Exit code 2: refused."""
    server = server_of(url, token)
    made = server.post(
        f"{_path(project)}/maintenance",
        {
            "name": name,
            "durationMinutes": _minutes(length),
            "tags": tag or [],
            "instanceIds": [server.instance(project, each)["id"] for each in environment or []],
        },
    )
    window = made["nextWindow"]
    _tell(
        window, as_json=as_json, text=f"{name} has begun and lasts until {_at(window['endsAt'])}."
    )


@app.command("end")
def end(
    project: Project,
    window: Annotated[
        str, typer.Argument(help="Its id, or a part of its name; else the only one that lasts.")
    ] = "",
    url: Url = "",
    token: Token = "",
    *,
    as_json: AsJson = False,
) -> None:
    """End a window that lasts, now. Exit code 2: refused, or it is not clear which."""
    server = server_of(url, token)
    path = f"{_path(project)}/maintenance-windows"
    lasting = server.get(path, status="active", limit=str(MOST_LISTED))["windows"]
    found = [each for each in lasting if _is_meant(each, window)]
    if len(found) != 1:
        names = ", ".join(f"{each['name']} ({each['id']})" for each in found or lasting)
        give_up(f"Which one? These last: {names}." if names else "No maintenance window lasts now.")
    ended = server.post(f"{path}/{quote(found[0]['id'], safe='')}/end", {})
    _tell(ended, as_json=as_json, text=f"{ended['name']} has ended.")


@app.command("list")
def list_windows(
    project: Project,
    url: Url = "",
    token: Token = "",
    *,
    as_json: AsJson = False,
) -> None:
    """List what lasts and what comes within 60 days, at most 200 windows."""
    server = server_of(url, token)
    found = server.get(f"{_path(project)}/maintenance-windows", limit=str(MOST_LISTED))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    if not found["windows"]:
        typer.echo("No maintenance is planned within 60 days.")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("State", "Maintenance", "Begins", "Ends", "Covers"):
        table.add_column(column, overflow="fold")
    for each in found["windows"]:
        covers = [*each["tags"], *each["subjectIds"]] or each["instanceIds"] or ["everything"]
        table.add_row(
            "[bold]lasts[/]" if each["status"] == "active" else "comes",
            escape(plain(each["name"])),
            _at(each["startsAt"]),
            _at(each["endsAt"]),
            escape(plain(", ".join(covers[:5]))),
        )
    Console().print(table)


def _path(project: str) -> str:
    return f"/api/projects/{quote(project, safe='')}"


def _minutes(text: str) -> int:
    clean = text.strip().lower()
    if not LENGTH.fullmatch(clean):
        give_up(f"--for takes a length such as 30m, 2h or 1d 6h, not {text!r}.")
    return sum(int(number) * UNITS[unit] for number, unit in PART.findall(clean))


def _is_meant(window: dict[str, Any], text: str) -> bool:
    wanted = text.casefold()
    return text in {window["id"], window["maintenanceId"]} or wanted in window["name"].casefold()


def _at(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"


def _tell(window: dict[str, Any], *, as_json: bool, text: str) -> None:
    typer.echo(json.dumps(window, indent=2) if as_json else plain(text))
