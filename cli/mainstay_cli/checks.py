"""`mainstay checks`: the health checks of an environment, listed, shown, run, paused, resumed."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .client import AsJson, Environment, Project, Server, Token, Url, give_up, plain, server_of

EXIT_NOT_WELL = 1
MOST_PAGES = 100
PER_PAGE = "200"
TONES = {"healthy": "green", "degraded": "yellow", "unhealthy": "bold red"}
WELL = frozenset({"healthy", "degraded", "paused"})

Which = Annotated[str, typer.Argument(help="The name of a health check, or its id.")]

app = typer.Typer(no_args_is_help=True, help="What Mainstay asks from outside, and how it is.")


@app.command("list")
def list_checks(  # noqa: PLR0913 - what can be chosen
    project: Project,
    environment: Environment,
    state: Annotated[str, typer.Option(help="Only those in this state.")] = "",
    tag: Annotated[str, typer.Option(help="Only those with this tag.")] = "",
    url: Url = "",
    token: Token = "",
    *,
    as_json: AsJson = False,
) -> None:
    """List health checks. Exit code 0: none is down, 1: some are not well, 2: could not ask."""
    server = server_of(url, token)
    found = [
        check
        for check in _all(server, _path(server, project, environment))
        if (not state or check["state"] == state) and (not tag or tag in check["tags"])
    ]
    if as_json:
        typer.echo(json.dumps({"healthChecks": found}, indent=2))
    else:
        _table(found)
    if any(check["state"] not in WELL for check in found):
        raise typer.Exit(EXIT_NOT_WELL)


@app.command("show")
def show(
    which: Which,
    project: Project,
    environment: Environment,
    url: Url = "",
    token: Token = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Show one health check. Exit code 0: it is well, 1: it is not, 2: could not ask."""
    server = server_of(url, token)
    check = _find(server, _path(server, project, environment), which)
    if as_json:
        typer.echo(json.dumps(check, indent=2))
    else:
        _show(check)
    if check["state"] not in WELL:
        raise typer.Exit(EXIT_NOT_WELL)


@app.command("run")
def run(
    which: Which,
    project: Project,
    environment: Environment,
    url: Url = "",
    token: Token = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Ask one now. Exit code 0: healthy or degraded, 1: not well, 2: could not ask."""
    server = server_of(url, token)
    path = _path(server, project, environment)
    check = _find(server, path, which)
    result = server.post(f"{path}/{check['id']}/run", {})
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        why = result.get("errorMessage") or "answered as it should"
        status, took = result["status"], result["responseTimeMs"]
        tone = TONES.get(status, "dim")
        Console(highlight=False).print(
            f"[{tone}]{status}[/] {escape(plain(check['name']))}:"
            f" {escape(plain(why))} ({took:.0f} ms)"
        )
    if result["status"] not in WELL:
        raise typer.Exit(EXIT_NOT_WELL)


@app.command("pause")
def pause(
    which: Which, project: Project, environment: Environment, url: Url = "", token: Token = ""
) -> None:
    """Stop asking; the time until it is resumed does not count for uptime."""
    _tell_to("pause", which, project, environment, server_of(url, token))


@app.command("resume")
def resume(
    which: Which, project: Project, environment: Environment, url: Url = "", token: Token = ""
) -> None:
    """Ask again, at once."""
    _tell_to("resume", which, project, environment, server_of(url, token))


def _tell_to(act: str, which: str, project: str, environment: str, server: Server) -> None:
    path = _path(server, project, environment)
    check = _find(server, path, which)
    after = server.post(f"{path}/{check['id']}/{act}", {})
    typer.echo(plain(f"{after['name']} is {'paused' if after['paused'] else 'being asked'}."))


def _path(server: Server, project: str, environment: str) -> str:
    return f"/api/instances/{server.instance(project, environment)['id']}/health-checks"


def _all(server: Server, path: str) -> list[dict[str, Any]]:
    """All of them, page after page."""
    found: list[dict[str, Any]] = []
    cursor = ""
    for _ in range(MOST_PAGES):
        page = server.get(path, limit=PER_PAGE, **({"cursor": cursor} if cursor else {}))
        found += page["healthChecks"]
        cursor = page["nextCursor"] or ""
        if not cursor:
            break
    return found


def _find(server: Server, path: str, which: str) -> dict[str, Any]:
    """The one of that id or name; says which there are when it is none or several."""
    checks = _all(server, path)
    found = [c for c in checks if c["id"] == which] or [c for c in checks if c["name"] == which]
    if not found:
        known = ", ".join(sorted({check["name"] for check in checks})[:20]) or "none yet"
        give_up(f"There is no health check {which!r}; there are: {known}.")
    if len(found) > 1:
        ids = ", ".join(check["id"] for check in found)
        give_up(f"Several health checks are called {which!r}; give the id: {ids}.")
    return found[0]


def _table(checks: list[dict[str, Any]]) -> None:
    if not checks:
        typer.echo("No health check matches.")
        return
    table = Table("State", "Name", "Target", "Kind", "Latest", "Why", box=None, pad_edge=False)
    for check in sorted(checks, key=lambda c: (c["state"] in WELL, c["name"])):
        tone = TONES.get(check["state"], "dim")
        took = check["lastResponseMs"]
        table.add_row(
            f"[{tone}]{check['state']}[/]",
            escape(plain(check["name"])),
            escape(plain(check["target"])),
            check["kind"],
            "" if took is None else f"{took:.0f} ms",
            escape(plain(check["stateReason"])),
        )
    Console(highlight=False).print(table)


def _show(check: dict[str, Any]) -> None:
    lines = {
        "State": f"{check['state']} since {check['stateSince']}",
        "Why": check["stateReason"],
        "Target": check["target"],
        "Kind": check["kind"],
        "Every": f"{check['intervalSeconds']} s, time-out {check['timeoutSeconds']} s",
        "Latest": "" if check["lastResponseMs"] is None else f"{check['lastResponseMs']:.0f} ms",
        "Tags": ", ".join(check["tags"]),
        "Secrets": ", ".join(check["secrets"]),
        "Id": check["id"],
    }
    typer.echo(plain(check["name"]))
    for name, value in lines.items():
        if value:
            typer.echo(plain(f"  {name:8} {value}"))
