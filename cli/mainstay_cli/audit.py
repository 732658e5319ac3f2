"""`mainstay audit verify`: look for yourself whether the audit log is what was once written."""

import json
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from .audit_verifier.bundles import Bundle, read_bundle, read_kept
from .audit_verifier.notes import Key, open_note
from .audit_verifier.reports import Report, told
from .audit_verifier.verifying import verify as verify_bundle
from .client import give_up, server_of

EXIT_NOT_VERIFIED = 1
KEY_FILE = "key"

app = typer.Typer(no_args_is_help=True, help="The audit log, and whether it was changed.")


@app.callback()
def audit() -> None:
    """The audit log, and whether it was changed."""


@app.command()
def verify(  # noqa: PLR0913 - one argument an option
    bundle: Annotated[
        Path | None, typer.Argument(help="An exported zip file; without one, the server is asked.")
    ] = None,
    key: Annotated[list[str] | None, typer.Option(help="A public key that you kept.")] = None,
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="Checkpoints that you kept: a file or a folder.")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="A folder of yours that remembers the key and the newest checkpoint."),
    ] = None,
    url: Annotated[str, typer.Option(help="The server; MAINSTAY_URL.")] = "",
    token: Annotated[str, typer.Option(help="An admin's access token; MAINSTAY_TOKEN.")] = "",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Check every row, the chain, the tree and the signatures with this program's own eyes.

    With --keep, each run is held against what the runs before it saw: rows that were cut off or
    written anew meanwhile are named, whatever the server says. Exit code 0: it verifies, 1: it does
    not, 2: it could not be read.
    """
    try:
        # First: a checkpoint that is signed while the log is on its way here has rows that are not.
        places = [*(checkpoint or ()), *([keep] if keep and keep.is_dir() else ())]
        kept = read_kept(places)
        source: Path | bytes = bundle or server_of(url, token).download(
            "/api/audit-logs", export="bundle"
        )
        exported = read_bundle(source)
        trusted = [*(key or ()), *_remembered(keep)]
        report = verify_bundle(exported, kept=kept, trusted=trusted)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        give_up(f"The log cannot be read: {error}")
    if keep and report.verified:
        _remember(keep, exported, report, keys=key or exported.keys)
    if as_json:
        typer.echo(json.dumps({**asdict(report), "verified": report.verified}, indent=2))
    else:
        typer.echo("\n".join(told(report)))
    if not report.verified:
        raise typer.Exit(EXIT_NOT_VERIFIED)


def _remembered(keep: Path | None) -> list[str]:
    file = keep / KEY_FILE if keep else None
    return file.read_text(encoding="utf-8").split() if file and file.is_file() else []


def _remember(keep: Path, exported: Bundle, report: Report, *, keys: list[str]) -> None:
    """Write down the newest checkpoint that the rows were found to lead to, and at first the key.

    A key is never written over: another one that the server names later is not believed.
    """
    keep.mkdir(parents=True, exist_ok=True)
    if not (keep / KEY_FILE).exists():
        (keep / KEY_FILE).write_text("".join(f"{key}\n" for key in keys), encoding="utf-8")
    believed = [Key.parse(text) for text in _remembered(keep)]
    for text in exported.checkpoints.values():
        note = open_note(text, believed)
        if note.signed and note.size == report.covered:
            (keep / f"{note.size:020d}.txt").write_text(text, encoding="utf-8")
