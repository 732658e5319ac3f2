"""`mainstay upload results`: tests, runs and analyses of a pipeline, and what changed by them."""

import gzip
import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.markup import escape

from .client import AsJson, Project, Server, Token, Url, give_up, plain, server_of
from .vulnerabilities import Branch, Commit, checked_out

EXIT_FAILED = 1
KINDS = ("test-report", "run-ledger", "analysis")
LARGEST_FILE_BYTES = 256 << 20
MOST_SHOWN = 20
# What a gate may ask for, each with the count of the comparison that it looks at.
GATES = {
    "failures": ("newFailures", "stillFailing"),
    "new-failures": ("newFailures",),
    "slower": ("slower",),
    "removed": ("removed",),
}

app = typer.Typer(no_args_is_help=True, help="Upload what pipelines find out.")


@app.callback()
def upload() -> None:
    """Upload what pipelines find out."""


@app.command("results")
def upload_results(  # noqa: PLR0913, PLR0917 - what, where from, and what is asked of it
    file: Annotated[Path, typer.Argument(help="JUnit's XML, or JSON; may be gzip.")],
    project: Project,
    kind: Annotated[str, typer.Option(help="test-report, run-ledger or analysis.")] = "test-report",
    name: Annotated[str, typer.Option(help="Which results they are, the same every time.")] = "",
    branch: Branch = "",
    commit: Commit = "",
    against: Annotated[
        str, typer.Option(help="Compare with the newest of this branch; else with those before.")
    ] = "",
    fail_on: Annotated[
        list[str] | None,
        typer.Option(help="new-failures, failures, slower or removed; may be repeated."),
    ] = None,
    url: Url = "",
    token: Token = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Upload results and tell what is different. Exit code 0: fine, 1: --fail-on, 2: refused.

    The same file of the same commit is kept once, however often it is sent.
    """
    gates = fail_on or []
    if kind not in KINDS:
        give_up(f"--kind takes one of {', '.join(KINDS)}.")
    if not set(gates) <= GATES.keys():
        give_up(f"--fail-on takes one of {', '.join(GATES)}.")
    server = server_of(url, token)
    here = checked_out()
    about = {
        "kind": kind,
        "name": name,
        "branch": branch or here.branch,
        "commit": commit or here.commit,
    }
    path = f"/api/projects/{quote(project, safe='')}/results"
    sent = _send(server, path, file, {key: value for key, value in about.items() if value})
    asked = {"branch": against} if against else {}
    compared = server.get(f"{path}/{sent['id']}/comparison", **asked)
    failing = [gate for gate in gates if any(compared["counts"][each] for each in GATES[gate])]
    if as_json:
        told = {"result": sent, "comparison": compared, "failedOn": failing}
        typer.echo(json.dumps(told, indent=2))
    else:
        _show(file, sent, compared, failing)
    if failing:
        raise typer.Exit(EXIT_FAILED)


def _send(server: Server, path: str, file: Path, about: dict[str, str]) -> dict[str, Any]:
    try:
        if file.stat().st_size > LARGEST_FILE_BYTES:
            give_up(f"{file} is larger than {LARGEST_FILE_BYTES >> 20} MiB.")
        body = file.read_bytes()
    except OSError as error:
        give_up(f"{file} cannot be read: {error.strerror}.")
    packed = body if body.startswith(b"\x1f\x8b") else gzip.compress(body, 6)
    sent: dict[str, Any] = server.send(path, packed, **about)
    return sent


def _show(file: Path, sent: dict[str, Any], compared: dict[str, Any], failing: list[str]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    again = "" if sent["isNew"] else " (it was there already)"
    if sent["kind"] == "analysis":
        told = f"{sent['metrics']:,} numbers"
    else:
        told = (
            f"{sent['total']:,} cases, {sent['failed']:,} failed, {sent['skipped']:,} skipped,"
            f" {sent['seconds']:.1f} s"
        )
    console.print(f"{file.name}: {told}{again}.", markup=False)
    counts, base = compared["counts"], compared["against"]
    if base is None:
        console.print("There is nothing before to compare it with.")
    else:
        since = escape(plain(base["commit"][:12] or base["receivedAt"]))
        console.print(
            f"Since {since}: {counts['newFailures']} new failures, {counts['fixed']} fixed,"
            f" {counts['slower']} slower, {counts['metrics']} numbers moved."
        )
    _list(console, compared)
    for gate in failing:
        console.print(f"[red]Failed[/] on {escape(gate)}.")


def _list(console: Console, compared: dict[str, Any]) -> None:
    for case in compared["newFailures"][:MOST_SHOWN]:
        reason = case["message"].partition("\n")[0]
        console.print(f"  [red]fails[/]   {escape(plain(case['name']))}  {escape(plain(reason))}")
    for name in compared["fixed"][:MOST_SHOWN]:
        console.print(f"  [green]fixed[/]   {escape(plain(name))}")
    for one in compared["slower"][:MOST_SHOWN]:
        took = f"{one['before']:.1f} s before, {one['after']:.1f} s now"
        console.print(f"  [yellow]slower[/]  {escape(plain(one['name']))}  {took}")
    for one in compared["metrics"][:MOST_SHOWN]:
        console.print(
            f"  {escape(plain(one['name']))}: {_number(one['before'])} → {_number(one['after'])}"
        )


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"
