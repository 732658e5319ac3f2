"""`mainstay apply` and `mainstay export`: a project as a document that is kept beside the code."""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn
from urllib.parse import quote

import typer
from rich.console import Console
from rich.text import Text

from .client import AsJson, Project, Refusal, Server, Token, Url, errors, plain, server_of
from .linking import linked_project

EXIT_REFUSED = 1
EXIT_PENDING = 2
LARGEST_BYTES = 5 << 20
TIMEOUT_SECONDS = 300
MOST_NAMED = 20
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-[^}]*)?\}")
PROJECT = re.compile(r"^project:[ \t]+([\"']?)([a-z0-9-]+)\1[ \t]*(?:#.*)?$", re.MULTILINE)
SIGNS = {"create": ("+", "green"), "change": ("~", "yellow"), "remove": ("-", "red")}
STDIN = "-"


File = Annotated[str, typer.Option("--file", "-f", help="The document; - reads standard input.")]
Slug = Annotated[
    str, typer.Option(help="Its slug; else the document's own, or that of `mainstay link`.")
]
OnlyPlan = Annotated[bool, typer.Option("--plan", help="Only show what would change.")]
Prune = Annotated[
    bool, typer.Option("--prune", help="Remove what this document made and no longer holds.")
]
Force = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Take over what another document holds; with --prune, remove what was made by hand"
        " from the lists that it has.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Ask no question.")]


def apply(  # noqa: PLR0913 - what is applied, and how
    file: File = "mainstay.yaml",
    project: Slug = "",
    url: Url = "",
    token: Token = "",
    *,
    plan: OnlyPlan = False,
    prune: Prune = False,
    force: Force = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Make a project what a document says: all of it, or nothing.

    ${NAME} in a text is an environment variable, ${NAME:-text} has a default. Exit code 0: applied,
    or nothing to do; 1: refused; with --plan 2: it would change something.
    """
    document = _read(file)
    server = _server(url, token)
    found = PROJECT.search(document)
    slug = project or (found[2] if found else "") or linked_project()
    asked = {
        "document": document,
        "variables": _variables(document),
        "prune": prune,
        "force": force,
    }
    planned = _post(server, slug, "plan", asked)
    pending = bool(planned["changes"])
    if plan or not as_json:
        _tell(planned, as_json=as_json)
    if plan:
        raise typer.Exit(EXIT_PENDING if pending else 0)
    if pending and not yes:
        _agree(planned)
    done = planned
    if pending or planned["adopted"]:
        done = _post(server, slug, "apply", {**asked, "fingerprint": planned["fingerprint"]})
    if as_json:
        _tell(done, as_json=True)
    elif pending:
        counts = f"{done['created']} created, {done['changed']} changed, {done['removed']} removed"
        typer.echo(f"Applied: {counts}.")


def export(
    project: Project,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file; else standard output.")
    ] = None,
    url: Url = "",
    token: Token = "",
) -> None:
    """Write a project as a document. Secrets are ${NAME:-kept}: what is there, or a variable."""
    server = _server(url, token)
    try:
        text = server.ask("GET", _path(project)).text
    except Refusal as refusal:
        _refuse(refusal)
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text)
    except OSError as error:
        _give_up(f"{output} cannot be written: {error.strerror}.")


def _read(file: str) -> str:
    try:
        raw = sys.stdin.buffer.read(LARGEST_BYTES + 1) if file == STDIN else _bytes(Path(file))
    except OSError as error:
        _give_up(f"{file} cannot be read: {error.strerror}.")
    if len(raw) > LARGEST_BYTES:
        _give_up(f"{file} is larger than {LARGEST_BYTES >> 20} MiB; split it.")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        _give_up(f"{file} is no UTF-8 in line {line}.")


def _bytes(path: Path) -> bytes:
    with path.open("rb") as opened:
        return opened.read(LARGEST_BYTES + 1)


def _variables(document: str) -> Mapping[str, str]:
    """The variables that the document names and the environment has; the server misses others.

    They go beside the document and not into it, so that none can add a line to it.
    """
    named = {found[1] for found in VARIABLE.finditer(document)}
    return {name: os.environ[name] for name in sorted(named) if name in os.environ}


def _tell(plan: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(plan, indent=2))
        return
    console = Console()
    for change in plan["changes"]:
        console.print(_change(change), soft_wrap=True)
    _tell_left(plan["left"])
    counts = [f"{plan['created']} to create", f"{plan['changed']} to change"]
    counts += [f"{plan['removed']} to remove", f"{plan['unchanged']} unchanged"]
    verdict = ", ".join(counts) if plan["changes"] else "nothing to do"
    typer.echo(f"{plan['project']}: {verdict}.")


def _change(change: Mapping[str, Any]) -> Text:
    sign, tone = SIGNS[change["action"]]
    where = f"  (line {change['line']})" if change["line"] else ""
    lines = [Text(f"{sign} {change['kind']} {plain(change['name'])}", tone) + Text(where, "dim")]
    for each in change["fields"]:
        before, after = _shown(each["before"]), _shown(each["after"])
        value = {"create": after, "remove": before}.get(change["action"], f"{before} → {after}")
        lines.append(Text(f"    {each['field']}: {value}"))
    if change["action"] == "remove" and change["kind"] == "instances":
        lines.append(Text("    everything of this instance goes with it", "red"))
    return Text("\n").join(lines)


def _shown(value: object) -> str:
    if value is None or value == "":
        return "none"
    return plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _tell_left(left: Sequence[Mapping[str, str]]) -> None:
    if not left:
        return
    named = ", ".join(plain(one["name"]) for one in left[:MOST_NAMED])
    more = f" and {len(left) - MOST_NAMED} more" if len(left) > MOST_NAMED else ""
    errors.print(
        f"Made by this document and no longer in it: {named}{more}. --prune removes what is left.",
        style="yellow",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _agree(planned: Mapping[str, Any]) -> None:
    if not sys.stdin.isatty():
        _give_up("Nothing was applied: say --yes where nobody can be asked.")
    count = len(planned["changes"])
    what = f"{count} changes" if count > 1 else "this change"
    if not typer.confirm(f"Apply {what} to {planned['project']}?"):
        _give_up("Nothing was applied.")


def _post(server: Server, slug: str, verb: str, body: Mapping[str, object]) -> dict[str, Any]:
    try:
        answer = server.ask("POST", f"{_path(slug)}/{verb}", json=body, timeout=TIMEOUT_SECONDS)
    except Refusal as refusal:
        _refuse(refusal)
    found: dict[str, Any] = answer.json()
    return found


def _path(slug: str) -> str:
    return f"/api/projects/{quote(slug, safe='')}/configuration"


def _server(url: str, token: str) -> Server:
    try:
        return server_of(url, token)
    except typer.Exit:
        raise typer.Exit(EXIT_REFUSED) from None


def _refuse(refusal: Refusal) -> NoReturn:
    told = list(dict.fromkeys(refusal.faults))
    _give_up("\n".join([str(refusal), *(f"  {one}" for one in told if len(told) > 1)]))


def _give_up(reason: str) -> NoReturn:
    """Say why and end with the exit code of a refusal, which here is no plan's."""
    errors.print(plain(reason), style="red", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(EXIT_REFUSED)
