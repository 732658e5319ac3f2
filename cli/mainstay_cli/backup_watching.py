"""Waiting for backups, drills and restores: live progress in a terminal, silence in a pipe."""

import time
from collections.abc import Callable
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from .client import errors

Json = dict[str, Any]

EVERY_SECONDS = 1.0
UNDER_WAY = ("queued", "running")
INTERRUPTED = 130


def wait_for(
    ask: Callable[[], Json], *, label: str, how_to_stop: str, every_seconds: float = EVERY_SECONDS
) -> Json:
    """Ask until it is not under way any more, and show on standard error how far it is.

    Ctrl-C ends the watching alone, with exit code 130: what is watched goes on at the server.
    """
    with _progress() as shown:
        task = shown.add_task(label, total=None)
        try:
            while (found := ask())["status"] in UNDER_WAY:
                _show(shown, task, found, label)
                time.sleep(every_seconds)
        except KeyboardInterrupt:
            shown.stop()
            errors.print(f"It goes on at the server. {how_to_stop}", highlight=False)
            raise typer.Exit(INTERRUPTED) from None
    return found


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _show(shown: Progress, task: TaskID, found: Json, label: str) -> None:
    how_far = found["progress"]
    told = f"{label}: {found.get('step') or found['status']}"
    if how_far is None:
        shown.update(task, description=told)
        return
    left, rate = how_far["secondsLeft"], how_far["bytesPerSecond"]
    done = how_far["plainBytes"]
    total = done + rate * left if rate and left is not None else None
    shown.update(task, description=told, completed=done, total=total)
