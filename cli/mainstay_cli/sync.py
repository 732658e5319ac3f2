"""`mainstay sync`: one folder on several machines, by snapshots on the server."""

import json
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .client import AsJson, Project, Refusal, Token, Url, errors, give_up, plain, server_of
from .linking import linked
from .syncing.entries import HostileTree
from .syncing.running import Busy, NotConfirmed, Report, Wish, run
from .syncing.state import InUse
from .syncing.transfers import Damaged

EXIT_LEFT_ALONE = 1
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
MOST_SHOWN = 20


def sync(  # noqa: PLR0913 - what, where to, and how
    directory: Annotated[
        Path, typer.Argument(help="The folder.", exists=True, file_okay=False, resolve_path=True)
    ],
    project: Project,
    folder: Annotated[
        str, typer.Option(help="Its name on the server; else the link's, or its own.")
    ] = "",
    machine: Annotated[str, typer.Option(help="How this machine is called.")] = "",
    url: Url = "",
    token: Token = "",
    *,
    push: Annotated[bool, typer.Option("--push", help="Only send; change nothing here.")] = False,
    pull: Annotated[bool, typer.Option("--pull", help="Only take; change nothing there.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only say what would be done.")
    ] = False,
    allow_deletes: Annotated[
        bool, typer.Option("--allow-deletes", help="Remove many files without asking.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring a folder and its latest snapshot together: both sides get what the other has new.

    Where both changed a file, both are kept, ours as a conflict copy. `.mainstayignore` leaves
    files out as .gitignore does. Exit code 0: the same, 1: something was left alone, 2: refused.
    """
    if push and pull:
        give_up("Give --push or --pull; without either both sides are brought together.")
    wish = Wish(
        root=directory,
        project=project,
        folder=_folder_name(folder, directory),
        machine=(machine or socket.gethostname())[:100].replace("/", "-"),
        may_remove=_asking(allowed=allow_deletes),
        push=not pull,
        pull=not push,
        dry_run=dry_run,
    )
    report = _run(server_of(url, token), wish)
    if as_json:
        typer.echo(json.dumps(_as_json(wish, report), indent=2))
    else:
        _show(wish, report)
    if report.skipped:
        raise typer.Exit(EXIT_LEFT_ALONE)


def _run(server: Any, wish: Wish) -> Report:  # noqa: ANN401 - a Server, which tests do not make
    try:
        return run(server, wish)
    except (Refusal, HostileTree, Damaged) as refused:
        give_up(str(refused))
    except NotConfirmed as refused:
        give_up(f"{refused} Nothing was changed; add --allow-deletes if that is meant.")
    except InUse:
        give_up(f"{wish.root} is being synced already; wait until that has ended.")
    except Busy:
        give_up("Other machines push all the time; try again in a moment.")
    except OSError as error:
        give_up(f"{error.filename or wish.root}: {error.strerror}.")


def _folder_name(folder: str, directory: Path) -> str:
    link = linked(directory)
    found = folder or (link.folder if link else "")
    if not found:
        found = re.sub(r"[^a-z0-9._-]+", "-", directory.name.lower()).strip("-._")
    if not NAME.fullmatch(found):
        give_up(f"{found!r} names no folder; give --folder, of small letters, digits and . _ -.")
    return found


def _asking(*, allowed: bool) -> Callable[[list[str]], bool]:
    def may_remove(sentences: list[str]) -> bool:
        if allowed:
            return True
        if not sys.stdin.isatty():
            return False
        return typer.confirm(f"{' '.join(sentences)} Go on?", err=True)

    return may_remove


def _counts(report: Report) -> dict[str, int]:
    made = report.plan
    return {
        "sent": len(made.push),
        "removedThere": len(made.push_removed),
        "received": len(made.write) + len(made.make) + len(made.mark),
        "removedHere": len(made.remove),
    }


def _as_json(wish: Wish, report: Report) -> dict[str, Any]:
    made = report.plan
    return {
        "folder": wish.folder,
        "snapshot": report.snapshot,
        "dryRun": wish.dry_run,
        **_counts(report),
        "conflicts": made.copies,
        "skipped": report.skipped,
        "readBytes": report.read_bytes,
        "sentBytes": report.sent_bytes,
        "fetchedBytes": report.fetched_bytes,
    }


def _show(wish: Wish, report: Report) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if wish.dry_run:
        _show_plan(report)
    counts = _counts(report)
    would = "would be " if wish.dry_run else ""
    if report.plan.is_empty:
        console.print(f"{wish.folder}: nothing to do, snapshot {report.snapshot}.", markup=False)
    else:
        words = ("sent", "removed there", "received", "removed here")
        pairs = zip(counts.values(), words, strict=True)
        told = ", ".join(f"{count:,} {would}{word}" for count, word in pairs)
        console.print(f"{wish.folder}: {told}; snapshot {report.snapshot}.", markup=False)
    for old, copy in report.plan.copies.items():
        told = plain(f"Both sides changed {old}; ours is {copy}.")
        errors.print(told, style="yellow", markup=False)
    for path, why in list(report.skipped.items())[:MOST_SHOWN]:
        errors.print(plain(f"Left alone: {path}: {why}."), style="yellow", markup=False)


def _show_plan(report: Report) -> None:
    made = report.plan
    for verb, entries in (
        ("send", made.push),
        ("remove there", made.push_removed),
        ("receive", [*made.write, *made.make, *made.mark]),
        ("remove here", made.remove),
    ):
        for entry in entries:
            typer.echo(
                f"{verb:>12}  {entry.path!r}"
                if not entry.path.isprintable()
                else f"{verb:>12}  {entry.path}"
            )
