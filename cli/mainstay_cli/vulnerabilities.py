"""`mainstay vulnerabilities`: upload what scanners wrote, and stop a pipeline at what is grave."""

import gzip
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .client import AsJson, Environment, Project, Token, Url, errors, give_up, server_of

EXIT_FAILED = 1
SEVERITIES = ("critical", "high", "medium", "low", "unknown")
TONES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "blue"}
LARGEST_FILE_BYTES = 256 << 20

Source = Annotated[
    str, typer.Option(help="Which scan it is, the same every time; else the scanner's name.")
]
Branch = Annotated[str, typer.Option(help="The branch; from the CI's own variables if it can be.")]
Commit = Annotated[str, typer.Option(help="The commit; from the CI's own variables if it can be.")]

app = typer.Typer(no_args_is_help=True, help="What scanners find, followed until it is mended.")


@dataclass(frozen=True)
class Checkout:
    """What a CI says is checked out; "" for what it does not say."""

    branch: str = ""
    commit: str = ""
    release: str = ""


@app.command("upload")
def upload(  # noqa: PLR0913, PLR0917 - where, what and how whole
    files: Annotated[
        list[Path], typer.Argument(help="SARIF, CycloneDX, OSV, pip-audit or npm audit JSON.")
    ],
    project: Project,
    environment: Environment,
    source: Source = "",
    branch: Branch = "",
    commit: Commit = "",
    release: Annotated[str, typer.Option(help="The release that it is or becomes.")] = "",
    url: Url = "",
    token: Token = "",
    *,
    partial: Annotated[
        bool, typer.Option("--partial", help="Close nothing: it is only a part of a scan.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Upload scans. What they name no more is fixed. Exit code 0: taken, 2: refused."""
    server = server_of(url, token)
    path = f"/api/instances/{server.instance(project, environment)['id']}/vulnerability-scans"
    here = checked_out()
    about = {
        "source": source,
        "branch": branch or here.branch,
        "commit": commit or here.commit,
        "release": release or here.release,
        "complete": "false" if partial else "true",
    }
    if source and len(files) > 1 and not partial:
        give_up("Give each file a --source of its own, or --partial: each would close the others.")
    chosen = {name: value for name, value in about.items() if value}
    scans = [server.send(path, _packed(file), **chosen) for file in files]
    if as_json:
        typer.echo(json.dumps({"scans": scans}, indent=2))
        return
    for file, scan in zip(files, scans, strict=True):
        _tell(file, scan)


@app.command("gate")
def gate(  # noqa: PLR0913, PLR0917 - where and what is asked
    project: Project,
    environment: Environment,
    fail_on: Annotated[
        str, typer.Option(help="From which severity on: critical, high, medium or low.")
    ] = "high",
    against: Annotated[
        str, typer.Option(help="With --only-new: the branch whose findings do not count.")
    ] = "main",
    source: Annotated[str, typer.Option(help="Only what this source named.")] = "",
    branch: Branch = "",
    commit: Commit = "",
    url: Url = "",
    token: Token = "",
    *,
    only_new: Annotated[
        bool, typer.Option("--only-new", help="Only what the other branch does not have.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Ask whether a branch may go on. Exit code 0: yes, 1: no, 2: could not ask."""
    if fail_on not in SEVERITIES:
        give_up(f"--fail-on takes one of {', '.join(SEVERITIES)}.")
    server = server_of(url, token)
    instance = server.instance(project, environment)
    here = checked_out()
    asked = {
        "failOn": fail_on,
        "branch": branch or here.branch,
        "against": against if only_new else "",
        "source": source,
        "commit": commit or here.commit,
    }
    chosen = {name: value for name, value in asked.items() if value}
    verdict = server.get(f"/api/instances/{instance['id']}/vulnerabilities/gate", **chosen)
    if as_json:
        typer.echo(json.dumps(verdict, indent=2))
    else:
        _show(verdict)
    if not verdict["passed"]:
        raise typer.Exit(EXIT_FAILED)


@app.command("list")
def list_vulnerabilities(  # noqa: PLR0913, PLR0917 - what can be chosen
    project: Project,
    environment: Environment,
    status: Annotated[
        str, typer.Option(help="open, accepted, false_positive, fixed, unmerged; all for all.")
    ] = "open",
    severity: Annotated[str, typer.Option(help="One severity.")] = "",
    search: Annotated[str, typer.Option(help="In title, rule, package and place.")] = "",
    url: Url = "",
    token: Token = "",
    *,
    as_json: AsJson = False,
) -> None:
    """List the gravest two hundred findings."""
    server = server_of(url, token)
    asked = {
        "status": "" if status == "all" else status,
        "severity": severity,
        "q": search,
        "limit": "200",
    }
    chosen = {name: value for name, value in asked.items() if value}
    path = f"/api/instances/{server.instance(project, environment)['id']}/vulnerabilities"
    found = server.get(path, **chosen)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    _table(found["vulnerabilities"])
    if found["nextCursor"]:
        errors.print("There are more; choose a severity, or search.", highlight=False)


def checked_out() -> Checkout:
    """What the variables of GitHub Actions or GitLab CI say of the checkout.

    A pull request is of its own branch, and of the trial merge that GitHub checks out.
    """
    env = os.environ
    if env.get("GITHUB_ACTIONS"):
        if env.get("GITHUB_REF_TYPE") == "tag":
            return Checkout(
                commit=env.get("GITHUB_SHA", ""), release=env.get("GITHUB_REF_NAME", "")
            )
        branch = env.get("GITHUB_HEAD_REF") or env.get("GITHUB_REF_NAME", "")
        return Checkout(branch=branch, commit=env.get("GITHUB_SHA", ""))
    if env.get("GITLAB_CI"):
        return Checkout(
            branch=env.get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME")
            or env.get("CI_COMMIT_BRANCH", ""),
            commit=env.get("CI_COMMIT_SHA", ""),
            release=env.get("CI_COMMIT_TAG", ""),
        )
    return Checkout()


def _packed(file: Path) -> bytes:
    try:
        if file.stat().st_size > LARGEST_FILE_BYTES:
            give_up(f"{file} is larger than {LARGEST_FILE_BYTES >> 20} MiB.")
        body = file.read_bytes()
    except OSError as error:
        give_up(f"{file} cannot be read: {error.strerror}.")
    return body if body.startswith(b"\x1f\x8b") else gzip.compress(body, 6)


def _tell(file: Path, scan: dict[str, Any]) -> None:
    branch = f" on {scan['branch']}" if scan["branch"] else ""
    back = f", {scan['reopened']} back" if scan["reopened"] else ""
    typer.echo(
        f"{file.name}: {scan['source']}{branch} names {scan['findings']}:"
        f" {scan['new']} new{back}, {scan['fixed']} fixed."
    )
    if scan["outdated"]:
        errors.print(
            "It is older than what was uploaded before, and changed nothing.", style="yellow"
        )
    elif not scan["complete"]:
        errors.print("It is a part, or failed in part: it closes nothing.", style="yellow")


def _show(verdict: dict[str, Any]) -> None:
    if verdict["findings"]:
        _table(verdict["findings"])
    more = verdict["failing"] - len(verdict["findings"])
    console = Console()
    if more > 0:
        console.print(f"And {more} more.", highlight=False)
    word = "[green]Passed.[/]" if verdict["passed"] else "[red]Failed.[/]"
    console.print(f"{word} {escape(verdict['reason'])}", highlight=False, soft_wrap=True)
    if verdict["passed"] and verdict["counts"]["unknown"]:
        console.print(f"{verdict['counts']['unknown']} have no severity.", highlight=False)


def _table(found: list[dict[str, Any]]) -> None:
    if not found:
        typer.echo("Nothing is found.")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("Severity", "Finding", "Where", "Mended in", "Status"):
        table.add_column(column, overflow="fold")
    for one in found:
        names = one["identifiers"] or [one["rule"]]
        package = one["package"] and "@".join([one["package"], *one["versions"][:1]])
        tone = TONES.get(one["severity"], "dim")
        table.add_row(
            f"[{tone}]{one['severity']}[/]",
            escape(f"{one['title']} ({names[0]})"),
            escape(package or "".join(one["places"][:1])),
            escape(", ".join(one["fixedIn"][:3])),
            one["status"].replace("_", " "),
        )
    Console().print(table)
